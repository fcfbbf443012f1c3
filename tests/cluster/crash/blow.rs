//! Blows to the operator at the n-th request of a scenario, counted over all proxies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use testbed::proxy::{Action, Fault, FaultHandle, RequestHead};
use testbed::wait;

use crate::bed::{Bed, LIMIT, Operator, PROVIDERS, is_list};
use crate::closing::rbac::KubeRequest;

/// What happens at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The operator is killed; the server never sees the request.
    KilledBefore,
    /// The server acts, then the operator is killed.
    KilledAfter,
    /// The server acts, and the connection ends without a reply.
    LostReplyOf,
}

impl Blow {
    /// All blows.
    pub const ALL: [Self; 3] = [Self::KilledBefore, Self::KilledAfter, Self::LostReplyOf];

    /// Whether it kills the operator.
    pub fn kills(self) -> bool {
        self != Self::LostReplyOf
    }

    fn action(self, operator: Arc<Operator>) -> Action {
        match self {
            Self::KilledBefore => Action::call_before(move || operator.kill()),
            Self::KilledAfter => Action::call_after(move || operator.kill()),
            Self::LostReplyOf => Action::LoseReply,
        }
    }
}

/// A blow at a request.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// Number of the request, counted from 1.
    pub nth: usize,
    /// What happens at it.
    pub blow: Blow,
}

/// Counts the requests of a scenario over all proxies, and strikes at one of them on demand.
pub struct Tap {
    seen: Arc<Mutex<Vec<String>>>,
    faults: [FaultHandle; 2],
}

impl Tap {
    /// Starts counting the requests about a namespace or a client.
    pub fn open(bed: &Bed, namespace: &str, strike: Option<Strike>) -> Self {
        let operator = bed.operator();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let action = || match strike {
            Some(strike) => strike.blow.action(Arc::clone(&operator)),
            None => Action::Refuse, // never happens: no request is to be struck
        };
        let turn = || {
            let (count, seen) = (Arc::clone(&count), Arc::clone(&seen));
            move |head: &RequestHead| {
                let request = format!("{} {}", head.method, head.path());
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                strike.is_some_and(|strike| strike.nth == number)
            }
        };
        let (kube_turn, admin_turn) = (turn(), turn());
        let namespace = namespace.to_owned();
        let kube_namespace = namespace.clone();
        let kube = Fault::new(move |head| is_about(head, &kube_namespace) && kube_turn(head), action());
        let within = namespace;
        let admin = Fault::new(
            move |head| is_about_an_object(head, &within) && admin_turn(head),
            action(),
        );
        Self {
            seen,
            faults: [operator.kube().inject(kube), bed.servers()[0].admin.inject(admin)],
        }
    }

    /// The requests counted so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has struck.
    pub fn has_struck(&self) -> bool {
        self.faults.iter().any(|fault| fault.struck() > 0)
    }

    /// Ends the strikes.
    pub fn end(&self) {
        self.faults.iter().for_each(FaultHandle::end);
    }

    /// Waits until it has struck.
    pub async fn struck(&self) -> Result<()> {
        wait::until("the request to be struck", LIMIT, async || {
            Ok(self.has_struck().then_some(()))
        })
        .await
    }
}

/// Whether a request to the kube-apiserver is about a resource: in its namespace, or the read of its server before a
/// create.
pub fn is_about(head: &RequestHead, namespace: &str) -> bool {
    KubeRequest::of(head).is_some_and(|request| match (request.verb, request.resource.as_str()) {
        ("list" | "watch", _) | (_, "events" | "leases") => false,
        (verb, "authorizationservers") => verb == "get",
        _ => request.namespace.as_deref() == Some(namespace),
    })
}

/// Whether a request to an admin API is not part of a sweep. Objects on OpenBao have the namespace in their names.
fn is_about_an_object(head: &RequestHead, namespace: &str) -> bool {
    match head.path().strip_prefix("/v1/") {
        Some(path) => path.contains(&format!("/{namespace}.")) || path.starts_with("identity/group/"),
        None if head.path().starts_with(PROVIDERS) => !head.is("GET", PROVIDERS),
        None => !is_list(head) && !head.is("GET", "/version") && !head.is("GET", "/about"),
    }
}
