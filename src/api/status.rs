//! Common parts of the statuses of all kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::assignment::AssignmentStatus;
use super::authorization_server::AuthorizationServerStatus;
use super::json_web_key_set::JsonWebKeySetStatus;
use super::oauth2_client::OAuth2ClientStatus;
use super::oidc_provider::OidcProviderStatus;
use super::scope::ScopeStatus;

/// A status with the typical properties (Kubernetes API conventions, "Typical status properties").
pub trait Standing {
    /// The observed generation and the conditions.
    fn standing(&self) -> (Option<i64>, &[Condition]);
    /// Like [`Standing::standing`], but mutable.
    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// The conditions.
    fn conditions(&self) -> &[Condition] {
        self.standing().1
    }
}

impl Standing for AuthorizationServerStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl Standing for OAuth2ClientStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl Standing for ScopeStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl Standing for AssignmentStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl Standing for JsonWebKeySetStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl Standing for OidcProviderStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}
