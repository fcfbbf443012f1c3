//! Fields of a client that a Vault does not have.

use std::borrow::Cow;

use kube::ResourceExt;

use crate::api::authorization_server::Capability;
use crate::api::oauth2_client::{GrantType, ResponseType, SubjectType, TokenEndpointAuthMethod};
use crate::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::refuse::refuse_by_version;
use crate::controller::vault::key::overlap;
use crate::error::{Error, Result};

/// Refuses fields that the server does not have: the server would accept and silently drop them.
pub(crate) fn check_fields(client: &OAuth2Client, plan: &ClientPlan) -> Result<()> {
    refuse_by_version(&plan.server, unsupported(client, plan))
}

/// Refuses combinations that cannot work.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check_combinations(client: &OAuth2Client, plan: &ClientPlan) -> Result<()> {
    let spec = &client.spec;
    let asked = spec.id_token_ttl.as_deref().and_then(crate::duration::parse);
    let too_long = plan
        .key_set
        .as_ref()
        .is_some_and(|set| asked.is_some_and(|ttl| ttl > overlap(set)));
    if too_long {
        return Err(Error::InvalidField {
            field: "idTokenTtl",
            problem: "ID tokens must not be valid for longer than the public key stays published; shorten it, or lengthen rotation.overlap of the JsonWebKeySet".to_owned(),
        });
    }
    Ok(())
}

/// Fields of the spec that the server does not have, by their names in the manifest. Every field that is not known to
/// be supported is refused, so a new field is never silently dropped.
fn unsupported(client: &OAuth2Client, plan: &ClientPlan) -> Vec<Cow<'static, str>> {
    let spec = &client.spec;
    let is_refused = |field: &str| match field {
        // Fields that the server has.
        "clientType" | "redirectUris" | "assignmentRefs" | "providerRefs" | "keySetRef" | "accessTokenTtl"
        | "idTokenTtl" | "vault" => false,
        // Fields for the operator.
        "serverRef" | "credentials" | "deletionPolicy" | "managementPolicy" | "suspend" | "adoption" => false,
        // Fields that the server has in part.
        "grantTypes" => has_other_grants(plan),
        "responseTypes" => spec
            .response_types
            .iter()
            .flatten()
            .any(|type_| *type_ != ResponseType::Code),
        "subjectType" => spec.subject_type != Some(SubjectType::Public),
        "tokenEndpointAuthMethod" => spec.token_endpoint_auth_method == Some(TokenEndpointAuthMethod::PrivateKeyJwt),
        "metadata" => !spec.metadata.members().is_empty(),
        _ => true,
    };
    let written = serde_json::to_value(spec).unwrap_or_default();
    let asked = written.as_object().into_iter().flat_map(|fields| fields.keys());
    let mut fields: Vec<Cow<'static, str>> = asked
        .filter(|field| is_refused(field))
        .map(|field| field.clone().into())
        .collect();
    if client.annotations().contains_key(ROTATE_AT_ANNOTATION) {
        fields.push("the annotation rotate-at".into());
    }
    fields
}

fn has_other_grants(plan: &ClientPlan) -> bool {
    let grants = &plan.effective.grant_types;
    let known = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
    let must_be_code = !chooses_grants(plan);
    grants.iter().any(|grant| !known.contains(grant))
        || must_be_code
            && (grants.contains(&GrantType::ClientCredentials) || !grants.contains(&GrantType::AuthorizationCode))
}

/// Whether the server lets the grants of a client be chosen.
pub(crate) fn chooses_grants(plan: &ClientPlan) -> bool {
    let status = plan.server.status.as_ref();
    status.is_some_and(|status| status.capabilities.contains(&Capability::ClientCredentials))
}
