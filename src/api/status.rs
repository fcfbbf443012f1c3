//! Common parts of the statuses of all kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::assignment::AssignmentStatus;
use super::authorization_server::AuthorizationServerStatus;
use super::json_web_key_set::JsonWebKeySetStatus;
use super::oauth2_client::OAuth2ClientStatus;
use super::oauth2_client::RotationWait;
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

/// What a status tells about rotations (RFC 3339).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotations<'a> {
    /// When what is in use came into use.
    pub rotated_at: Option<&'a str>,
    /// When it is to be replaced.
    pub next_rotation_at: Option<&'a str>,
    /// What a rotation that is due waits for.
    pub waits_for: Option<RotationWait>,
}

/// A status with the typical properties (Kubernetes API conventions, "Typical status properties").
pub trait Standing {
    /// The observed generation and the conditions.
    fn standing(&self) -> (Option<i64>, &[Condition]);
    /// Like [`Standing::standing`], but mutable.
    fn standing_mut(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// What is recorded besides.
    fn records_mut(&mut self) -> Records<'_>;

    /// When a secret or key in use was replaced, and when it will be.
    fn rotations(&self) -> Rotations<'_> {
        Rotations::default()
    }

    /// The conditions.
    fn conditions(&self) -> &[Condition] {
        self.standing().1
    }
}

/// Clears what a status tells of one object on a server, and keeps what every status has: generation, conditions and
/// records.
pub fn clear<S: Standing + Default>(status: &mut S) {
    let mut former = std::mem::take(status);
    let ((from_generation, from_conditions), (generation, conditions)) = (former.standing_mut(), status.standing_mut());
    (*generation, *conditions) = (from_generation.take(), std::mem::take(from_conditions));
    let (from, to) = (former.records_mut(), status.records_mut());
    *to.last_sync_time = from.last_sync_time.take();
    *to.last_handled_reconcile_at = from.last_handled_reconcile_at.take();
    if let (Some(from), Some(to)) = (from.server, to.server) {
        *to = from.take();
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

    fn rotations(&self) -> Rotations<'_> {
        Rotations {
            rotated_at: self.rotated_at.as_deref(),
            next_rotation_at: self.next_rotation_at.as_deref(),
            waits_for: self.rotation_waits_for,
        }
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

    fn rotations(&self) -> Rotations<'_> {
        Rotations {
            rotated_at: self.rotated_at.as_deref(),
            next_rotation_at: self.next_rotation_at.as_deref(),
            waits_for: None,
        }
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
