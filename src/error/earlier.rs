//! Faults of a resource that was restored from a backup, or may have been, or that adopts a client: something was there
//! before it and cannot be taken over without consent, or it is not known yet whether there was.

use super::treatment::{Class, Retry, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// Why a resource does not take over what an earlier resource of its name left. As for [`super::Error`], `Display` is the
/// message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EarlierFault {
    /// The client is on the server, and no Secret of the namespace holds its current secret.
    #[error(
        "The client `{}` of an earlier resource of this name is on the server, and no Secret in this namespace holds its current secret; nothing was changed. Restore its Secrets, or add the id to adopt.clientIds of the access rule to keep the client, or run `hydra delete oauth2-client {}` to get a new one.",
        shown(.0),
        shown(.0)
    )]
    Unproven(String),
    /// The client is on the server, and never had a secret of ours that could be the proof.
    #[error(
        "The client `{}` of an earlier resource of this name is on the server, and it has no secret of the operator that could prove whose it is; nothing was changed. Add the id to adopt.clientIds of the access rule to keep the client, or run `hydra delete oauth2-client {}` to get a new one.",
        shown(.0),
        shown(.0)
    )]
    Unprovable(String),
    /// The client is on the server, and no access rule allows its id.
    #[error(
        "The client `{}` of an earlier resource of this name is on the server, and no access rule allows its id; nothing was changed. Add the id to adopt.clientIds of the access rule to keep the client, or run `hydra delete oauth2-client {}` to get a new one.",
        shown(.0),
        shown(.0)
    )]
    Denied(String),
    /// Secrets name a client that is not on the server any more.
    #[error(
        "Restored Secrets name the client `{}`, which is not on the server; nothing was changed. Add the id to adopt.clientIds of the access rule to register the client again with the same secret, or run `kubectl delete secret -n {namespace} -l oidc-operator.dev/uid={}` to get a new one.",
        shown(.id),
        shown(.uid)
    )]
    Gone {
        /// Id of the client.
        id: String,
        /// Namespace of the Secrets.
        namespace: String,
        /// UID in the label of the Secrets.
        uid: String,
    },
    /// Secrets name a client that carries no mark of the operator.
    #[error(
        "Restored Secrets name the client `{}`, which no resource manages; nothing was changed. Create this resource again with that clientId and adoption: Allow to keep the client, or run `kubectl delete secret -n {namespace} -l oidc-operator.dev/uid={}` to get a new one.",
        shown(.id),
        shown(.uid)
    )]
    Unmarked {
        /// Id of the client.
        id: String,
        /// Namespace of the Secrets.
        namespace: String,
        /// UID in the label of the Secrets.
        uid: String,
    },
    /// A Secret of the wanted name exists, and cannot be taken over with the client that the resource adopts.
    #[error("Secret `{}` exists and cannot be taken over: {problem}.", shown(.name))]
    SecretUnfit {
        /// Name of the Secret.
        name: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The clients on the server were not listed since the operator started. A new client could be a second one.
    #[error(
        "Waiting until the operator has listed the clients on AuthorizationServer `{server}` after its start, because an earlier client of this resource may be among them; nothing was registered. {}",
        listing.advice(server)
    )]
    Unlisted {
        /// Name of the AuthorizationServer.
        server: String,
        /// State of the listing.
        listing: Listing,
    },
}

/// State of a listing that is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is in progress, or about to begin.
    Running,
    /// The server limits the rate of requests.
    Limited,
    /// It failed.
    Failed,
}

impl Listing {
    fn advice(self, server: &str) -> String {
        match self {
            Listing::Running => "A server with many clients takes some minutes; there is nothing to do.".to_owned(),
            // It is not reported on the AuthorizationServer, which can be used.
            Listing::Limited => {
                "The server limits the rate of requests (429): raise its limit for the operator, or wait.".to_owned()
            }
            Listing::Failed => format!("The listing failed: run `kubectl describe authserver {server}` to see why."),
        }
    }
}

impl EarlierFault {
    /// The treatment of the fault.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            // The end of the listing wakes the resource. Usually it comes soon.
            EarlierFault::Unlisted { listing, .. } => {
                let waits = Treatment::of(Class::Blocked, Reason::ServerNotReady);
                if *listing == Listing::Failed {
                    waits
                } else {
                    waits.late()
                }
            }
            EarlierFault::SecretUnfit { .. } => Treatment::of(Class::NotOwned, Reason::SecretConflict),
            // Changes of rules and Secrets wake the resource, and so does a sweep that finds that the client came or
            // went.
            EarlierFault::Unproven(_)
            | EarlierFault::Unprovable(_)
            | EarlierFault::Denied(_)
            | EarlierFault::Gone { .. }
            | EarlierFault::Unmarked { .. } => Treatment::of(Class::NotOwned, Reason::NotRestored).again(Retry::Seldom),
        }
    }
}
