//! Maps a spec to the client that Hydra should have. Pure.

use serde::Serialize;
use serde_json::Value;

use super::client::{Catalogue, Client, Lifespans, Marker};
use crate::api::authorization_server::Capability;
use crate::api::oauth2_client::{Effective, GrantType, OAuth2ClientSpec, TokenLifespans};

/// The client that Hydra should have. The operator owns every field: a field that the spec omits is sent as Hydra's
/// documented default.
pub fn desired(
    spec: &OAuth2ClientSpec,
    effective: &Effective,
    catalogue: &Catalogue,
    client_id: &str,
    marker: &Marker,
) -> Client {
    let hydra = spec.hydra.clone().unwrap_or_default();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut client = Client {
        client_id: client_id.to_owned(),
        client_name: text(&spec.client_name),
        owner: hydra.owner.clone(),
        redirect_uris: spec.redirect_uris.clone(),
        post_logout_redirect_uris: spec.post_logout_redirect_uris.clone(),
        grant_types: grant_names(&effective.grant_types),
        response_types: effective.response_types.iter().map(wire_name).collect(),
        scope: if effective.scopes.is_empty() {
            " ".to_owned()
        } else {
            effective.scopes.join(" ")
        },
        audience: spec.audience.clone(),
        contacts: spec.contacts.clone(),
        client_uri: text(&spec.client_uri),
        logo_uri: text(&spec.logo_uri),
        policy_uri: text(&spec.policy_uri),
        tos_uri: text(&spec.tos_uri),
        jwks: spec
            .jwks
            .as_ref()
            .and_then(|jwks| serde_json::to_value(jwks).ok()?.as_object().cloned())
            .unwrap_or_default(),
        jwks_uri: text(&spec.jwks_uri),
        subject_type: wire_name(&effective.subject_type),
        sector_identifier_uri: text(&spec.sector_identifier_uri),
        token_endpoint_auth_method: wire_name(&effective.token_endpoint_auth_method),
        token_endpoint_auth_signing_alg: named(&spec.token_endpoint_auth_signing_alg),
        request_object_signing_alg: named(&spec.request_object_signing_alg),
        userinfo_signed_response_alg: wire_name(&spec.userinfo_signed_response_alg.unwrap_or_default()),
        request_uris: spec.request_uris.clone(),
        frontchannel_logout_uri: text(&spec.frontchannel_logout_uri),
        frontchannel_logout_session_required: spec.frontchannel_logout_session_required.unwrap_or_default(),
        backchannel_logout_uri: text(&spec.backchannel_logout_uri),
        backchannel_logout_session_required: spec.backchannel_logout_session_required.unwrap_or_default(),
        allowed_cors_origins: spec.allowed_cors_origins.clone(),
        skip_consent: hydra.skip_consent.unwrap_or_default(),
        skip_logout_consent: hydra.skip_logout_consent,
        access_token_strategy: named(&hydra.access_token_strategy),
        metadata: spec.metadata.members(),
        lifespans: lifespans(spec, &hydra.token_lifespans.unwrap_or_default(), &effective.grant_types),
        ..Client::default()
    };
    client.mark(marker);
    client.catalogue(catalogue);
    client
}

/// The protocol's names of grant types.
pub fn grant_names(grant_types: &[GrantType]) -> Vec<String> {
    grant_types.iter().map(wire_name).collect()
}

/// The protocol's name of a value; empty if it is not set.
fn named<T: Serialize>(value: &Option<T>) -> String {
    value.as_ref().map(wire_name).unwrap_or_default()
}

fn lifespans(spec: &OAuth2ClientSpec, by_grant: &TokenLifespans, grant_types: &[GrantType]) -> Lifespans {
    let access = |own: &Option<String>| {
        own.clone()
            .or_else(|| spec.access_token_ttl.clone())
            .unwrap_or_default()
    };
    let id = |own: &Option<String>| own.clone().or_else(|| spec.id_token_ttl.clone()).unwrap_or_default();
    let refresh = |own: &Option<String>| {
        own.clone()
            .or_else(|| spec.refresh_token_ttl.clone())
            .unwrap_or_default()
    };
    // A version without the grant drops its lifetimes, so they would differ for ever.
    let has_device = grant_types.contains(&GrantType::DeviceCode);
    let of_device = |own: &Option<String>, lifespan: String| match own.is_some() || has_device {
        true => lifespan,
        false => String::new(),
    };
    Lifespans {
        device_authorization_grant_access_token_lifespan: of_device(
            &by_grant.device_authorization_grant_access_token,
            access(&by_grant.device_authorization_grant_access_token),
        ),
        device_authorization_grant_id_token_lifespan: of_device(
            &by_grant.device_authorization_grant_id_token,
            id(&by_grant.device_authorization_grant_id_token),
        ),
        device_authorization_grant_refresh_token_lifespan: of_device(
            &by_grant.device_authorization_grant_refresh_token,
            refresh(&by_grant.device_authorization_grant_refresh_token),
        ),
        authorization_code_grant_access_token_lifespan: access(&by_grant.authorization_code_grant_access_token),
        authorization_code_grant_id_token_lifespan: id(&by_grant.authorization_code_grant_id_token),
        authorization_code_grant_refresh_token_lifespan: refresh(&by_grant.authorization_code_grant_refresh_token),
        client_credentials_grant_access_token_lifespan: access(&by_grant.client_credentials_grant_access_token),
        implicit_grant_access_token_lifespan: access(&by_grant.implicit_grant_access_token),
        implicit_grant_id_token_lifespan: id(&by_grant.implicit_grant_id_token),
        jwt_bearer_grant_access_token_lifespan: access(&by_grant.jwt_bearer_grant_access_token),
        refresh_token_grant_access_token_lifespan: access(&by_grant.refresh_token_grant_access_token),
        refresh_token_grant_id_token_lifespan: id(&by_grant.refresh_token_grant_id_token),
        refresh_token_grant_refresh_token_lifespan: refresh(&by_grant.refresh_token_grant_refresh_token),
    }
}

/// Fields of the spec that a server with these capabilities would drop silently.
pub fn unsupported(spec: &OAuth2ClientSpec, capabilities: &[Capability]) -> Vec<&'static str> {
    let hydra = spec.hydra.clone().unwrap_or_default();
    let table = [
        (
            Capability::TokenLifespans,
            "accessTokenTtl",
            spec.access_token_ttl.is_some(),
        ),
        (Capability::TokenLifespans, "idTokenTtl", spec.id_token_ttl.is_some()),
        (
            Capability::TokenLifespans,
            "refreshTokenTtl",
            spec.refresh_token_ttl.is_some(),
        ),
        (
            Capability::TokenLifespans,
            "hydra.tokenLifespans",
            hydra.token_lifespans.is_some(),
        ),
        // `false` is what every version does.
        (
            Capability::SkipConsent,
            "hydra.skipConsent",
            hydra.skip_consent == Some(true),
        ),
        (
            Capability::SkipConsent,
            "hydra.skipLogoutConsent",
            hydra.skip_logout_consent.is_some(),
        ),
        (
            Capability::AccessTokenStrategy,
            "hydra.accessTokenStrategy",
            hydra.access_token_strategy.is_some(),
        ),
    ];
    let missing = since_25_4(spec)
        .into_iter()
        .chain(table)
        .filter(|(needed, _, asked)| *asked && !capabilities.contains(needed));
    missing.map(|(_, field, _)| field).collect()
}

/// What Hydra 25.4 added: the capability, the field, and whether the spec needs it.
fn since_25_4(spec: &OAuth2ClientSpec) -> [(Capability, &'static str, bool); 5] {
    let hydra = spec.hydra.as_deref();
    let lifespans = hydra.and_then(|hydra| hydra.token_lifespans.as_ref());
    let asked = |lifespan: fn(&TokenLifespans) -> &Option<String>| lifespans.is_some_and(|set| lifespan(set).is_some());
    [
        // Others decode the path first: `victim/lifespans` would be another operation on another client.
        (
            Capability::SlashesInClientIds,
            "clientId (a slash)",
            spec.client_id.as_ref().is_some_and(|id| id.contains('/')),
        ),
        (
            Capability::DeviceAuthorizationGrant,
            "grantTypes (urn:ietf:params:oauth:grant-type:device_code)",
            spec.grant_types
                .iter()
                .flatten()
                .any(|grant| *grant == GrantType::DeviceCode),
        ),
        (
            Capability::DeviceAuthorizationGrant,
            "hydra.tokenLifespans.deviceAuthorizationGrantAccessToken",
            asked(|set| &set.device_authorization_grant_access_token),
        ),
        (
            Capability::DeviceAuthorizationGrant,
            "hydra.tokenLifespans.deviceAuthorizationGrantIdToken",
            asked(|set| &set.device_authorization_grant_id_token),
        ),
        (
            Capability::DeviceAuthorizationGrant,
            "hydra.tokenLifespans.deviceAuthorizationGrantRefreshToken",
            asked(|set| &set.device_authorization_grant_refresh_token),
        ),
    ]
}

/// The protocol value of an enum.
fn wire_name<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Members of a client that refusals name, and their fields in the spec.
const FIELDS: [(&str, &str); 24] = [
    ("post_logout_redirect_uri", "postLogoutRedirectUris"),
    ("redirect_uri", "redirectUris"),
    ("grant_type", "grantTypes"),
    ("response_type", "responseTypes"),
    ("audience", "audience"),
    ("contacts", "contacts"),
    ("client_uri", "clientUri"),
    ("logo_uri", "logoUri"),
    ("policy_uri", "policyUri"),
    ("tos_uri", "tosUri"),
    ("jwks_uri", "jwksUri"),
    ("jwks", "jwks"),
    ("subject_type", "subjectType"),
    ("sector_identifier_uri", "sectorIdentifierUri"),
    ("token_endpoint_auth_method", "tokenEndpointAuthMethod"),
    ("token_endpoint_auth_signing_alg", "tokenEndpointAuthSigningAlg"),
    ("request_object_signing_alg", "requestObjectSigningAlg"),
    ("userinfo_signed_response_alg", "userinfoSignedResponseAlg"),
    ("request_uris", "requestUris"),
    ("frontchannel_logout_uri", "frontchannelLogoutUri"),
    ("backchannel_logout_uri", "backchannelLogoutUri"),
    ("allowed_cors_origins", "allowedCorsOrigins"),
    ("access_token_strategy", "hydra.accessTokenStrategy"),
    ("client_secret", "clientSecretRef"),
];

/// Further members and their fields.
const MORE_FIELDS: [(&str, &str); 8] = [
    ("client_name", "clientName"),
    ("scope", "scopes"),
    ("metadata", "metadata"),
    (
        "frontchannel_logout_session_required",
        "frontchannelLogoutSessionRequired",
    ),
    (
        "backchannel_logout_session_required",
        "backchannelLogoutSessionRequired",
    ),
    ("skip_consent", "hydra.skipConsent"),
    ("skip_logout_consent", "hydra.skipLogoutConsent"),
    ("owner", "hydra.owner"),
];

/// Field of the spec that becomes this member of a client. None: a lifespan, or one that has no field.
pub fn field_of(member: &str) -> Option<&'static str> {
    let mut all = FIELDS.iter().chain(&MORE_FIELDS);
    let found = all.find(|(wire, _)| wire.trim_end_matches('s') == member.trim_end_matches('s'));
    found.map(|(_, field)| *field)
}

/// Fields of the spec that become these members of a client, all of which have one.
pub fn fields_of(members: &[String]) -> Vec<&'static str> {
    let field = |member: &String| field_of(member).unwrap_or("hydra.tokenLifespans");
    let mut fields: Vec<_> = members.iter().map(field).collect();
    fields.dedup();
    fields
}

/// Fields of the spec that a refusal of the server concerns: those whose wire name occurs in its description. The
/// description itself is never shown.
pub fn fields_named_in(description: &str) -> Vec<&'static str> {
    // Some descriptions write the name as words: `Subject type … is not supported by server`.
    const WORDS: [(&str, &str); 2] = [
        ("Subject type", "subject_type"),
        ("access token strategy", "access_token_strategy"),
    ];
    let mut words: Vec<&str> = description
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    words.extend(
        WORDS
            .iter()
            .filter(|(spoken, _)| description.contains(spoken))
            .map(|(_, wire)| *wire),
    );
    let named = |wire: &str| {
        words
            .iter()
            .any(|word| word.trim_end_matches('s') == wire.trim_end_matches('s'))
    };
    FIELDS
        .iter()
        .filter(|(wire, _)| named(wire))
        .map(|(_, field)| *field)
        .collect()
}
