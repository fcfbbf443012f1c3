//! Requests of users for a full pass, by annotation: a pass that reads the object on the server and compares it, even if
//! nothing has changed since the last success.

use std::time::Duration;

use kube::ResourceExt;

use crate::api::status::Standing;
use crate::api::{FLUX_REQUEST_ANNOTATION, RECONCILE_AT_ANNOTATION};
use crate::controller::engine::managed::Managed;
use crate::controller::engine::memory::Memory;

/// What the annotations of a resource request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing, or what was handled before.
    None,
    /// A full pass now.
    Now(String),
    /// A full pass after this time, because there were too many requests.
    Later(Duration),
}

impl Request {
    /// What a resource requests, within the limit on requests.
    pub(crate) fn of<K: Managed>(resource: &K, status: &mut K::Status, memory: &Memory<K>) -> Self {
        let uid = resource.meta().uid.as_deref().unwrap_or_default();
        match unhandled(requested(resource), status) {
            None => Request::None,
            Some(request) => match memory.ask(uid, &request) {
                None => Request::Now(request),
                Some(wait) => Request::Later(wait),
            },
        }
    }

    /// Records that the pass has done what was requested.
    pub(crate) fn answer<K: Managed>(&self, status: &mut K::Status, memory: &Memory<K>, uid: &str) {
        if let Request::Now(request) = self {
            *status.records_mut().last_handled_reconcile_at = Some(request.clone());
            memory.answered(uid);
        }
    }

    /// Time until a request that waits can be accepted.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Request::None | Request::Now(_) => None,
            Request::Later(wait) => Some(*wait),
        }
    }
}

/// What the annotations request, whether it was handled or not: the value of one, or of both with a space between them,
/// so that a new value of either is a new request.
pub(crate) fn requested(resource: &impl ResourceExt) -> Option<String> {
    let annotations = resource.annotations();
    let value = |name: &str| annotations.get(name).filter(|value| !value.is_empty());
    match (value(RECONCILE_AT_ANNOTATION), value(FLUX_REQUEST_ANNOTATION)) {
        (Some(own), Some(flux)) if own != flux => Some(format!("{own} {flux}")),
        (own, flux) => own.or(flux).cloned(),
    }
}

fn unhandled(request: Option<String>, status: &mut impl Standing) -> Option<String> {
    request.filter(|request| status.records_mut().last_handled_reconcile_at.as_ref() != Some(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Scope;

    #[test]
    fn each_new_value_of_an_annotation_is_a_request() {
        let table = [
            (None, None, None, None),
            (Some("1"), None, None, Some("1")),
            (Some("1"), None, Some("1"), None),
            (Some("2"), None, Some("1"), Some("2")),
            (None, Some("2"), Some("1"), Some("2")),
            (Some("1"), Some("2"), Some("1"), Some("1 2")),
            (Some("1"), Some("2"), Some("1 2"), None),
            (Some("1"), Some("3"), Some("1 2"), Some("1 3")),
            (Some("1"), Some("1"), None, Some("1")),
            (Some(""), None, None, None),
            (None, None, Some("1"), None), // the user removed the annotation
        ];
        for (own, flux, handled, expected) in table {
            let mut scope = Scope::new("orders", Default::default());
            let named = [(RECONCILE_AT_ANNOTATION, own), (FLUX_REQUEST_ANNOTATION, flux)];
            let named = named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            scope.annotations_mut().extend(named);
            let mut status = crate::api::scope::ScopeStatus {
                last_handled_reconcile_at: handled.map(str::to_owned),
                ..Default::default()
            };
            let found = unhandled(requested(&scope), &mut status);
            assert_eq!(found.as_deref(), expected, "{own:?} {flux:?} {handled:?}");
        }
    }
}
