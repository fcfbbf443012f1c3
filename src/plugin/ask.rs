//! What a person asks the operator for, and what the status answers. Pure.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::api::condition::{READY, STALLED, SUSPENDED};
use crate::api::{RECONCILE_AT_ANNOTATION, ROTATE_AT_ANNOTATION};

const UNSEEN: &str =
    "The operator has not looked yet. Check that it runs, and that the server is ready: `kubectl oidc status`.";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Another secret or key.
    Rotate,
    /// A comparison with the server.
    Reconcile,
}

/// What the status says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The operator has done it: how, in words.
    Done(String),
    /// The operator has looked and does not do it: why.
    Refused(String),
    /// Nothing yet: what is known about the wait.
    Open(String),
}

/// A request and the state before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    ask: Ask,
    /// The value of the annotation `reconcile-at`, by which the operator confirms that it has looked.
    at: Timestamp,
    rotated_at: Option<Timestamp>,
    key_ids: Vec<String>,
}

impl Request {
    /// A request at this time.
    ///
    /// # Errors
    /// A sentence, if the operator would not follow it.
    pub fn of(ask: Ask, found: &DynamicObject, now: Timestamp) -> Result<Self, String> {
        let (spec, status) = (&found.data["spec"], &found.data["status"]);
        if is_true(found, SUSPENDED) || spec["suspend"] == true {
            return Err("It is suspended. Resume it first.".to_owned());
        }
        if ask == Ask::Rotate {
            may_rotate(found)?;
        }
        Ok(Self {
            ask,
            at: now,
            rotated_at: time(&status["rotatedAt"]),
            key_ids: key_ids(status),
        })
    }

    /// The change of the resource that makes the request.
    pub fn change(&self) -> Value {
        let mut annotations = json!({ (RECONCILE_AT_ANNOTATION): self.at.to_string() });
        if self.ask == Ask::Rotate {
            // The operator ignores requests from before the last rotation, and this clock may be behind its own.
            let after = self.rotated_at.map(|at| at + SignedDuration::from_secs(1));
            let at = after.map_or(self.at, |after| after.max(self.at));
            annotations[ROTATE_AT_ANNOTATION] = json!(at.to_string());
        }
        json!({ "metadata": { "annotations": annotations } })
    }

    /// What the status of the resource says about the request.
    pub fn answer(&self, found: &DynamicObject) -> Answer {
        let status = &found.data["status"];
        let is_handled = handled(status).is_some_and(|at| at >= self.at);
        let is_ready = is_true(found, READY);
        let message = message(found);
        match self.ask {
            Ask::Rotate if time(&status["rotatedAt"]) > self.rotated_at => return Answer::Done("done".to_owned()),
            Ask::Rotate if key_ids(status).iter().any(|kid| !self.key_ids.contains(kid)) => {
                return Answer::Done(match status["nextRotationAt"].as_str() {
                    Some(at) => format!("the next key is published and signs from {at}"),
                    None => "the next key is published".to_owned(),
                });
            }
            Ask::Reconcile if is_handled && is_ready => return Answer::Done("done".to_owned()),
            Ask::Rotate | Ask::Reconcile => {}
        }
        match (is_handled, is_ready) {
            (true, false) => Answer::Refused(message.to_owned()),
            (true, true) => Answer::Open(match status["nextRotationAt"].as_str() {
                Some(at) => format!("The request stands; the rotation is due at {at}. {message}"),
                None => format!("The request stands. {message}"),
            }),
            (false, _) => Answer::Open(UNSEEN.to_owned()),
        }
    }
}

/// Whether a resource and its server are in sync. `since`: the operator was asked then to look again, so that what it said
/// before does not count.
pub fn in_sync(found: &DynamicObject, since: Option<Timestamp>) -> Answer {
    let status = &found.data["status"];
    let is_current = status["observedGeneration"].as_i64() == found.metadata.generation;
    let has_looked = since.is_none_or(|since| handled(status).is_some_and(|at| at >= since));
    match (
        is_current && is_true(found, READY),
        is_current && has_looked && is_true(found, STALLED),
    ) {
        (true, _) => Answer::Done("done".to_owned()),
        (false, true) => Answer::Refused(message(found).to_owned()),
        (false, false) if message(found).is_empty() => Answer::Open(UNSEEN.to_owned()),
        (false, false) => Answer::Open(message(found).to_owned()),
    }
}

fn may_rotate(found: &DynamicObject) -> Result<(), String> {
    let spec = &found.data["spec"];
    let kind = found.types.as_ref().map_or("", |types| types.kind.as_str());
    let refusal = match kind {
        _ if spec["managementPolicy"] == "ObserveOnly" => "The operator only observes it, and changes nothing.",
        "JsonWebKeySet" if spec["generate"].is_null() => {
            "Its keys are yours. Change the Secret that spec.import names."
        }
        "JsonWebKeySet" => return Ok(()),
        "OAuth2Client" if !spec["clientSecretRef"].is_null() => {
            "Its secret is yours. Change the Secret that spec.clientSecretRef names."
        }
        "OAuth2Client" if spec["rotation"]["withoutOverlap"] != "Allow" && spec["rotation"]["overlap"].is_null() => {
            "The server rejects the old secret as soon as it has the new one, so applications fail until they have read that. Set spec.rotation.overlap if the server can keep both, or spec.rotation.withoutOverlap: Allow to accept it; a Vault cannot replace a secret at all."
        }
        "OAuth2Client" => return Ok(()),
        _ => "Only OAuth2Clients and JsonWebKeySets have something to rotate.",
    };
    Err(refusal.to_owned())
}

/// The first of the requests that were handled last: ours stands before that of Flux.
fn handled(status: &Value) -> Option<Timestamp> {
    let text = status["lastHandledReconcileAt"].as_str()?;
    text.split(' ').next()?.parse().ok()
}

fn key_ids(status: &Value) -> Vec<String> {
    let keys = status["keys"].as_array().into_iter().flatten();
    let ids = keys.filter_map(|key| key["kid"].as_str());
    ids.map(str::to_owned).collect()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn condition<'a>(found: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = found.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_)
}

fn is_true(found: &DynamicObject, type_: &str) -> bool {
    condition(found, type_).is_some_and(|condition| condition["status"] == "True")
}

fn message(found: &DynamicObject) -> &str {
    condition(found, READY)
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}
