//! URIs of a client, and whether the hosts that they lead to are allowed.

use url::Url;

use crate::api::oauth2_client::OAuth2ClientSpec;

/// Every URI of the spec with the field it stands in.
pub(super) fn uris(spec: &OAuth2ClientSpec) -> impl Iterator<Item = (&'static str, &str)> {
    let lists: [(&'static str, &[String]); 4] = [
        ("redirectUris", &spec.redirect_uris),
        ("postLogoutRedirectUris", &spec.post_logout_redirect_uris),
        ("requestUris", &spec.request_uris),
        ("allowedCorsOrigins", &spec.allowed_cors_origins),
    ];
    let single: [(&'static str, &Option<String>); 8] = [
        ("clientUri", &spec.client_uri),
        ("logoUri", &spec.logo_uri),
        ("policyUri", &spec.policy_uri),
        ("tosUri", &spec.tos_uri),
        ("jwksUri", &spec.jwks_uri),
        ("sectorIdentifierUri", &spec.sector_identifier_uri),
        ("frontchannelLogoutUri", &spec.frontchannel_logout_uri),
        ("backchannelLogoutUri", &spec.backchannel_logout_uri),
    ];
    lists
        .into_iter()
        .flat_map(|(field, list)| list.iter().map(move |uri| (field, uri.as_str())))
        .chain(
            single
                .into_iter()
                .filter_map(|(field, uri)| uri.as_deref().map(|uri| (field, uri))),
        )
}

/// Only http and https lead to the host that they name; a URI of another scheme (`com.example.app://…`) leads to whatever app took that scheme.
pub(super) fn host_allowed(allowed: &[String], uri: &str) -> bool {
    let url = Url::parse(uri)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = url.and_then(|url| url.host_str().map(str::to_ascii_lowercase)) else {
        return false;
    };
    allowed
        .iter()
        .map(|pattern| pattern.to_ascii_lowercase())
        .any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host
                .strip_suffix(parent)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => host == pattern,
        })
}
