//! Adoption of objects that existed on the server before their resource, on servers where objects carry no marker.
//!
//! The spec asks for it, the access rules grant it by exact name, and no other resource may have the object. What is
//! adopted stays on the server when its resource is deleted, unless the spec says otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;

use crate::api::AuthorizationServer;
use crate::api::event::Happening;
use crate::api::refs::{Adoption, DeletionPolicy, ManagementPolicy};
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;

/// Maximum number of ids that are kept in a list of clients.
pub(crate) const MOST_KEPT: usize = 1000;

/// What a spec says about the object on the server, besides its values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// Whether the object may be adopted.
    pub adoption: Option<Adoption>,
    /// What happens to the object when the resource is deleted.
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether nothing is written.
    pub suspend: Option<bool>,
    /// Whether the object is only observed.
    pub management: Option<ManagementPolicy>,
}

impl Consent {
    /// Whether the object may be adopted.
    pub fn adopts(&self) -> bool {
        self.adoption == Some(Adoption::Allow)
    }

    /// Whether nothing is written.
    pub fn is_suspended(&self) -> bool {
        self.suspend == Some(true)
    }

    /// Whether the spec asks that the object stays on the server when the resource is deleted.
    pub fn asks_to_stay(&self) -> bool {
        self.deletion_policy == Some(DeletionPolicy::Orphan)
    }

    /// Whether the object is only observed.
    pub fn observes(&self) -> bool {
        self.management == Some(ManagementPolicy::ObserveOnly)
    }

    /// Whether the object stays as it is: suspended, or only observed.
    pub fn leaves_alone(&self) -> bool {
        self.is_suspended() || self.observes()
    }

    /// What happens to the object when the resource is deleted. `adopted`: as in the status.
    pub fn policy(&self, adopted: Option<bool>) -> DeletionPolicy {
        let default = match adopted {
            Some(true) => DeletionPolicy::Orphan,
            _ => DeletionPolicy::Delete,
        };
        self.deletion_policy.unwrap_or(default)
    }
}

/// Reports an adoption and what it changes. `fields`: names of what differs on the server.
pub(crate) fn note_adoption<S>(pass: &mut Pass<S>, type_: &str, fields: &[&str]) {
    pass.note(Happening::Adopted, adopted_in_words(type_, fields));
}

fn adopted_in_words(type_: &str, fields: &[&str]) -> String {
    let adopted = format!("The {type_} existed on the server before and now belongs to this resource.");
    match fields {
        [] => format!("{adopted} Nothing was changed."),
        fields => format!("{adopted} Changed: {}.", fields.join(", ")),
    }
}

/// What an adoption would do, for the message of a suspended resource. `differences`: None if there is nothing to
/// adopt.
pub(crate) fn preview_in_words(type_: &str, differences: Option<&[&str]>) -> String {
    match differences {
        None => format!("The {type_} does not exist on the server, so it would be created."),
        Some([]) => "An adoption would change nothing on the server.".to_owned(),
        Some(fields) => format!(
            "An adoption would change these members of the {type_}: {}.",
            fields.join(", ")
        ),
    }
}

/// The ids that stay in a list of clients although no resource adds them. As soon as a resource adds one, resources
/// alone decide on it. `before`: those that stayed until now. `leaving`: those of clients whose resources are being
/// deleted and that stay on the server.
pub(crate) fn still_kept(before: &[String], leaving: BTreeSet<String>, added: &BTreeSet<String>) -> BTreeSet<String> {
    let all = before.iter().cloned().chain(leaving);
    all.filter(|id| !added.contains(id)).collect()
}

/// The part of a message that tells that a list has more clients than the resources add.
pub(crate) fn kept_in_words(kept: &[String]) -> &'static str {
    match kept {
        [] => "",
        _ => " Its list keeps clients that no resource has; status.keptClientIds names them.",
    }
}

/// Other AuthorizationServers through which resources have their objects in the same place: on the same server and, if
/// it has namespaces, in the same one.
pub(crate) fn neighbours(ctx: &Context, server: &AuthorizationServer) -> Vec<Arc<AuthorizationServer>> {
    let is_neighbour = |other: &AuthorizationServer| other.uid() != server.uid() && server.is_same_place(other);
    ctx.kinds.servers.store.state_filter(is_neighbour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_object_stays_unless_the_spec_says_otherwise() {
        use DeletionPolicy::{Delete, Orphan};
        for (policy, adopted, expected) in [
            (None, None, Delete),
            (None, Some(false), Delete),
            (None, Some(true), Orphan),
            (Some(Delete), Some(true), Delete),
            (Some(Orphan), None, Orphan),
        ] {
            let consent = Consent {
                deletion_policy: policy,
                ..Consent::default()
            };
            assert_eq!(consent.policy(adopted), expected, "{policy:?} {adopted:?}");
        }
    }

    #[test]
    fn an_id_is_kept_until_a_resource_adds_it() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let set = |names: &[&str]| ids(names).into_iter().collect::<BTreeSet<_>>();
        for (before, leaving, added, expected) in [
            (&["a", "b"][..], &[][..], &[][..], &["a", "b"][..]),
            (&["a", "b"], &[], &["b", "c"], &["a"]),
            (&[], &["c"], &["b"], &["c"]),
            (&["*"], &[], &["b"], &["*"]),
        ] {
            let found = still_kept(&ids(before), set(leaving), &set(added));
            assert_eq!(found, set(expected), "{before:?} {leaving:?} {added:?}");
        }
    }

    #[test]
    fn what_an_adoption_changes_is_put_into_words() {
        for (fields, adopted, preview) in [
            (
                &[][..],
                "The scope existed on the server before and now belongs to this resource. Nothing was changed.",
                "An adoption would change nothing on the server.",
            ),
            (
                &["description", "template"],
                "The scope existed on the server before and now belongs to this resource. Changed: description, template.",
                "An adoption would change these members of the scope: description, template.",
            ),
        ] {
            assert_eq!(adopted_in_words("scope", fields), adopted);
            assert_eq!(preview_in_words("scope", Some(fields)), preview);
        }
        let created = "The scope does not exist on the server, so it would be created.";
        assert_eq!(preview_in_words("scope", None), created);
    }
}
