//! Fields of a client that a Vault does not have.

use kube::ResourceExt;

use crate::api::authorization_server::Capability;
use crate::api::oauth2_client::{GrantType, ResponseType, SubjectType, TokenEndpointAuthMethod};
use crate::api::refs::{Adoption, DeletionPolicy};
use crate::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use crate::controller::common::client::plan::Plan;
use crate::controller::common::refuse::refuse_by_version;
use crate::controller::vault::key::overlap;
use crate::error::{Error, Result};

/// What the server does not have is refused: it would take the field without a word and drop it.
pub(crate) fn check_fields(client: &OAuth2Client, plan: &Plan) -> Result<()> {
    refuse_by_version(&plan.server, unsupported(client, plan))
}

/// What cannot be together.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check_combinations(client: &OAuth2Client, plan: &Plan) -> Result<()> {
    let spec = &client.spec;
    let asked = spec.id_token_ttl.as_deref().and_then(crate::duration::parse);
    let too_long = plan
        .key_set
        .as_ref()
        .is_some_and(|set| asked.is_some_and(|ttl| ttl > overlap(set)));
    if too_long {
        return Err(Error::InvalidField {
            field: "idTokenTtl",
            problem: "ID tokens must not be valid for longer than the key's public half stays published; shorten it, or lengthen rotation.overlap of the JsonWebKeySet".to_owned(),
        });
    }
    let is_listed = spec.key_set_ref.is_some() || !spec.provider_refs.is_empty();
    match spec.deletion_policy {
        Some(DeletionPolicy::Orphan) if is_listed => Err(Error::InvalidField {
            field: "deletionPolicy",
            problem: "an orphaned client would fall off the lists of its JsonWebKeySet and OidcProviders and stop working; leave it out, or keySetRef and providerRefs"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

fn unsupported(client: &OAuth2Client, plan: &Plan) -> Vec<&'static str> {
    let spec = &client.spec;
    let chooses_grants = chooses_grants(plan);
    let has_grant = |grant| plan.effective.grant_types.contains(&grant);
    let known = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
    let other_grants = plan.effective.grant_types.iter().any(|grant| !known.contains(grant))
        || !chooses_grants && (has_grant(GrantType::ClientCredentials) || !has_grant(GrantType::AuthorizationCode));
    let other_responses = |types: &Vec<ResponseType>| types.iter().any(|type_| *type_ != ResponseType::Code);
    let asked = [
        ("clientId", spec.client_id.is_some()),
        ("clientName", spec.client_name.is_some()),
        ("postLogoutRedirectUris", !spec.post_logout_redirect_uris.is_empty()),
        ("grantTypes", other_grants),
        (
            "responseTypes",
            spec.response_types.as_ref().is_some_and(other_responses),
        ),
        ("scopes", spec.scopes.is_some()),
        ("scopeRefs", !spec.scope_refs.is_empty()),
        ("audience", !spec.audience.is_empty()),
        ("contacts", !spec.contacts.is_empty()),
        ("clientUri", spec.client_uri.is_some()),
        ("logoUri", spec.logo_uri.is_some()),
        ("policyUri", spec.policy_uri.is_some()),
        ("tosUri", spec.tos_uri.is_some()),
        ("jwks", spec.jwks.is_some()),
        ("jwksUri", spec.jwks_uri.is_some()),
        (
            "subjectType",
            spec.subject_type.is_some_and(|type_| type_ != SubjectType::Public),
        ),
        ("sectorIdentifierUri", spec.sector_identifier_uri.is_some()),
        (
            "tokenEndpointAuthMethod",
            spec.token_endpoint_auth_method == Some(TokenEndpointAuthMethod::PrivateKeyJwt),
        ),
        (
            "tokenEndpointAuthSigningAlg",
            spec.token_endpoint_auth_signing_alg.is_some(),
        ),
        ("requestObjectSigningAlg", spec.request_object_signing_alg.is_some()),
        ("userinfoSignedResponseAlg", spec.userinfo_signed_response_alg.is_some()),
        ("requestUris", !spec.request_uris.is_empty()),
        ("frontchannelLogoutUri", spec.frontchannel_logout_uri.is_some()),
        (
            "frontchannelLogoutSessionRequired",
            spec.frontchannel_logout_session_required.is_some(),
        ),
        ("backchannelLogoutUri", spec.backchannel_logout_uri.is_some()),
        (
            "backchannelLogoutSessionRequired",
            spec.backchannel_logout_session_required.is_some(),
        ),
        ("allowedCorsOrigins", !spec.allowed_cors_origins.is_empty()),
        ("refreshTokenTtl", spec.refresh_token_ttl.is_some()),
        ("metadata", !spec.metadata.members().is_empty()),
        ("hydra", spec.hydra.is_some()),
        ("clientSecretRef", spec.client_secret_ref.is_some()),
        ("rotation", spec.rotation.is_some()),
        ("adoption", spec.adoption == Some(Adoption::Allow)),
        (
            "the annotation rotate-at",
            client.annotations().contains_key(ROTATE_AT_ANNOTATION),
        ),
    ];
    asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field)
        .collect()
}

/// Whether the grants of a client can be chosen on the server.
pub(crate) fn chooses_grants(plan: &Plan) -> bool {
    let status = plan.server.status.as_ref();
    status.is_some_and(|status| status.capabilities.contains(&Capability::ClientCredentials))
}
