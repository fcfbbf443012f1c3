//! Resolves a client's references to Scopes, Assignments and a JsonWebKeySet.

use std::sync::Arc;

use crate::admin::hydra::client::{Assigned, Catalogue, ScopeEntry};
use crate::api::{Assignment, JsonWebKeySet, OAuth2Client, Scope};
use crate::controller::common::referable::{Referable, lookup};
use crate::controller::engine::context::Context;
use crate::error::Error;

/// Everything that a client refers to, as far as it exists.
pub(crate) struct Referred {
    /// Scopes that the client may request besides its own.
    pub(crate) scopes: Vec<String>,
    /// Data that the client carries for the login and consent app.
    pub(crate) catalogue: Catalogue,
    /// Key set that the client authenticates with, if it refers to one.
    pub(crate) key_set: Option<Arc<JsonWebKeySet>>,
    /// A reference that does not exist or is not ready. Then nothing is written, not even in part.
    pub(crate) missing: Option<Error>,
}

/// Looks up the references of a client in the caches.
pub(crate) fn resolve(client: &OAuth2Client, ctx: &Context) -> Referred {
    let mut referred = Referred {
        scopes: Vec::new(),
        catalogue: Catalogue::default(),
        key_set: None,
        missing: None,
    };
    for name in Scope::named_by(client) {
        match lookup::<Scope>(client, ctx, name) {
            Err(error) => referred.missing = referred.missing.or(Some(error)),
            Ok(scope) => {
                let entry = ScopeEntry {
                    description: scope.spec.description.clone(),
                    template: scope.spec.template.clone(),
                };
                referred.scopes.push(scope.scope_name());
                referred.catalogue.scopes.insert(scope.scope_name(), entry);
            }
        }
    }
    for name in Assignment::named_by(client) {
        let assigned = referred.catalogue.assignments.get_or_insert_with(Assigned::default);
        match lookup::<Assignment>(client, ctx, name) {
            Err(error) => referred.missing = referred.missing.or(Some(error)),
            Ok(found) => {
                assigned.subjects.extend(found.spec.subjects.iter().cloned());
                assigned
                    .groups
                    .extend(found.spec.groups.iter().map(|group| group.name.clone()));
            }
        }
    }
    for name in JsonWebKeySet::named_by(client) {
        match lookup::<JsonWebKeySet>(client, ctx, name) {
            Err(error) => referred.missing = referred.missing.or(Some(error)),
            Ok(set) => referred.key_set = Some(set),
        }
    }
    referred
}
