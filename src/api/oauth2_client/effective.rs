//! The effective values of a spec, defaults included.

use super::OAuth2ClientSpec;
use super::status::Effective;
use super::values::{
    ClientType, GrantType, OFFLINE_ACCESS, OPENID, ResponseType, SubjectType, TokenEndpointAuthMethod,
};

impl Effective {
    /// The effective values of a spec: its own values, and the documented defaults for the rest. `subject_types` is
    /// what the server's discovery document lists, empty if unknown; `referred` are the scopes that the spec refers to.
    pub fn of(spec: &OAuth2ClientSpec, subject_types: &[SubjectType], referred: &[String]) -> Self {
        let client_type = spec.client_type.unwrap_or_default();
        let grant_types = spec
            .grant_types
            .clone()
            .unwrap_or_else(|| vec![GrantType::AuthorizationCode, GrantType::RefreshToken]);
        let with_code = grant_types.contains(&GrantType::AuthorizationCode);
        let with_user = with_code || grant_types.contains(&GrantType::DeviceCode);
        let default_scopes = || {
            let mut scopes = Vec::new();
            if with_user {
                scopes.push(OPENID.to_owned());
                if grant_types.contains(&GrantType::RefreshToken) {
                    scopes.push(OFFLINE_ACCESS.to_owned());
                }
            }
            scopes
        };
        let mut scopes = spec.scopes.clone().unwrap_or_else(default_scopes);
        for scope in referred {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let default_subject_type = match subject_types {
            [] => SubjectType::Public,
            listed if listed.contains(&SubjectType::Public) => SubjectType::Public,
            [first, ..] => *first,
        };
        Effective {
            response_types: spec
                .response_types
                .clone()
                .unwrap_or_else(|| with_code.then_some(ResponseType::Code).into_iter().collect()),
            scopes,
            token_endpoint_auth_method: spec.token_endpoint_auth_method.unwrap_or(match client_type {
                ClientType::Confidential => TokenEndpointAuthMethod::ClientSecretBasic,
                ClientType::Public => TokenEndpointAuthMethod::None,
            }),
            subject_type: spec.subject_type.unwrap_or(default_subject_type),
            deletion_policy: spec.deletion_policy.unwrap_or_default(),
            client_type,
            grant_types,
        }
    }

    /// Whether the client authenticates with a secret, so that there is a secret to store.
    pub fn has_secret(&self) -> bool {
        matches!(
            self.token_endpoint_auth_method,
            TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost
        )
    }
}
