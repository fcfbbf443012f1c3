//! What the operator says about a new resource that is suspended: what its adoption would change. Pure.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::api::condition::{READY, STALLED, SUSPENDED};
use crate::controller::hydra::client::adoption::{CHANGES_NOTHING, NOT_ADOPTABLE, WOULD_CHANGE, WOULD_CREATE};
use crate::plugin::ask::{self, Answer};

const UNSEEN: &str =
    "The operator has not compared it with its client. Check that it runs and that the server is ready, and try again.";

const OF_ANOTHER: &str =
    "Another resource may have it: look at the owner and the metadata of the client in Hydra, and try again.";

/// What an adoption would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// It would change nothing but the mark.
    Nothing,
    /// It would change these members of the client.
    Changes(String),
    /// There is no client to adopt.
    Missing,
    /// The client cannot be adopted: why.
    Refused(String),
    /// The resource has its client already.
    Done,
    /// It is not known yet: what is known about the wait.
    Open(String),
}

impl Preview {
    /// What the status of a resource says.
    pub fn of(found: &DynamicObject) -> Self {
        let status = &found.data["status"];
        if !status["updatedAt"].is_null() {
            return Self::Done;
        }
        if status["observedGeneration"].as_i64() != found.metadata.generation {
            return Self::Open(UNSEEN.to_owned());
        }
        match (message(status, SUSPENDED), message(status, STALLED)) {
            (Some(said), _) => Self::read(said),
            (None, Some(why)) => Self::Refused(why.to_owned()),
            (None, None) => Self::Open(any(status, READY).unwrap_or(UNSEEN).to_owned()),
        }
    }

    fn read(said: &str) -> Self {
        if let Some((_, members)) = said.split_once(WOULD_CHANGE) {
            let members = members.split_once('.').map_or(members, |(members, _)| members);
            return Self::Changes(members.to_owned());
        }
        let found = [
            (CHANGES_NOTHING, Self::Nothing),
            (WOULD_CREATE, Self::Missing),
            (NOT_ADOPTABLE, Self::Refused(format!("{NOT_ADOPTABLE} {OF_ANOTHER}"))),
        ];
        let found = found.into_iter().find(|(sentence, _)| said.contains(sentence));
        found.map_or_else(|| Self::Open(UNSEEN.to_owned()), |(_, preview)| preview)
    }

    /// Why a resource does not move, if it does not. `server`: of the new resource; `accepts`: what the caller agrees to.
    pub fn objection(&self, server: &str, accepts: Accepts) -> Option<String> {
        match self {
            Self::Nothing | Self::Done => None,
            Self::Changes(_) if accepts == Accepts::Changes => None,
            Self::Changes(members) => Some(format!(
                "Its client on AuthorizationServer `{server}` is not as the resource says, so these members would change: {members}. Correct the resource or the client, or add --accept-changes."
            )),
            Self::Missing => Some(format!(
                "Its client does not exist on AuthorizationServer `{server}`. Name the server that has it with --server, or let hydra-maester make the client again first."
            )),
            Self::Refused(why) | Self::Open(why) => Some(why.clone()),
        }
    }
}

/// What the caller agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Clients stay as they are.
    Nothing,
    /// Clients become what their resources say.
    Changes,
}

/// Whether the operator has written nothing for a resource.
pub fn is_idle(new: &DynamicObject) -> bool {
    new.data["status"]["updatedAt"].is_null()
        && new.finalizers().is_empty()
        && new.metadata.deletion_timestamp.is_none()
}

/// Whether the operator has written nothing for a resource, and writes nothing, because it is suspended.
pub fn is_untouched(new: &DynamicObject) -> bool {
    new.data["spec"]["suspend"] == true && is_idle(new)
}

/// Whether the operator has taken over the client of a resource.
pub fn has_adopted(new: &DynamicObject) -> bool {
    new.data["status"]["adopted"] == true
}

/// Whether the operator has taken over the client and works on it. `server`: of the resource; `since`: as for
/// [`ask::in_sync`].
pub fn adopted(new: &DynamicObject, server: &str, since: Option<Timestamp>) -> Answer {
    match ask::in_sync(new, since) {
        Answer::Done(_) if new.data["spec"]["suspend"] == true => {
            Answer::Refused("Its new resource was suspended meanwhile. Repeat the command.".to_owned())
        }
        Answer::Done(_) if !has_adopted(new) => Answer::Refused(format!(
            "The operator did not find its client on AuthorizationServer `{server}` and made another one. Give the new resource the deletionPolicy Orphan, delete it, and name the server that has the client with --server."
        )),
        answer => answer,
    }
}

/// The message of a condition that is True.
fn message<'a>(status: &'a Value, type_: &str) -> Option<&'a str> {
    let found = condition(status, type_).filter(|found| found["status"] == "True")?;
    found["message"].as_str()
}

/// The message of a condition.
fn any<'a>(status: &'a Value, type_: &str) -> Option<&'a str> {
    condition(status, type_)?["message"].as_str()
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|found| found["type"] == type_)
}
