//! Common parts of the statuses of all kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::assignment::AssignmentStatus;
use super::authorization_server::AuthorizationServerStatus;
use super::json_web_key_set::JsonWebKeySetStatus;
use super::oauth2_client::OAuth2ClientStatus;
use super::oidc_provider::OidcProviderStatus;
use super::scope::ScopeStatus;

/// What every status records besides generation and conditions. None: the kind does not have it.
pub struct Records<'a> {
    /// Name of the AuthorizationServer in use.
    pub server: Option<&'a mut Option<String>>,
    /// When the operator last wrote to the server or confirmed a new generation.
    pub last_sync_time: &'a mut Option<String>,
    /// When the next scheduled rotation is due.
    pub next_rotation_at: Option<&'a mut Option<String>>,
    /// The request for a full pass that was handled last.
    pub last_handled_reconcile_at: &'a mut Option<String>,
}

/// A status with the typical properties (Kubernetes API conventions, "Typical status properties").
pub trait Standing {
    /// The observed generation and the conditions.
    fn standing(&self) -> (Option<i64>, &[Condition]);
    /// Like [`Standing::standing`], but mutable.
    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// What is recorded besides.
    fn records_mut(&mut self) -> Records<'_>;

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

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: None,
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: None,
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}

impl Standing for OAuth2ClientStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: Some(&mut self.server),
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: Some(&mut self.next_rotation_at),
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}

impl Standing for ScopeStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: Some(&mut self.server),
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: None,
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}

impl Standing for AssignmentStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: Some(&mut self.server),
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: None,
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}

impl Standing for JsonWebKeySetStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: Some(&mut self.server),
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: Some(&mut self.next_rotation_at),
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}

impl Standing for OidcProviderStatus {
    fn standing(&self) -> (Option<i64>, &[Condition]) {
        (self.observed_generation, &self.conditions)
    }

    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn records_mut(&mut self) -> Records<'_> {
        Records {
            server: Some(&mut self.server),
            last_sync_time: &mut self.last_sync_time,
            next_rotation_at: None,
            last_handled_reconcile_at: &mut self.last_handled_reconcile_at,
        }
    }
}
