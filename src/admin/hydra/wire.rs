//! Common to everything on the wire: `null` counts as absent, and bodies are JSON or forms.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::http::{Body, Failure};

/// Reads an object. None if the value is not an object of this type. Members that are `null` count as absent: lists,
/// objects and times are `null` in many replies.
pub(super) fn parse<T: DeserializeOwned>(value: Value) -> Option<T> {
    let Value::Object(mut members) = value else { return None };
    members.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(members)).ok()
}

/// [`parse`] for a member that is an object itself.
pub(super) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    parse(Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not an object of this type"))
}

/// [`object`] for a member that may be absent.
pub(super) fn optional<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    object(deserializer).map(Some)
}

/// A JSON body.
pub(super) fn json(body: &impl Serialize) -> Body {
    Body::Json(serde_json::to_vec(body).expect("strings and JSON values serialise"))
}

/// A form body.
pub(super) fn form(fields: &[(&str, &str)]) -> Body {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    Body::Form(form.extend_pairs(fields).finish().into_bytes())
}

/// Whether a failure is Hydra's own reply with this status, and not that of a proxy or of a wrong path.
fn is_own(failure: &Failure, status: u16) -> bool {
    matches!(failure, Failure::Status { code, error: Some(_), .. } if *code == status)
}

/// Whether the object does not exist. Only Hydra's own 404 counts: after a 404 of a proxy or of a wrong path, creating
/// the object would be wrong.
pub(super) fn is_absent(failure: &Failure) -> bool {
    is_own(failure, 404)
}

/// Hydra's own 409: the id is taken, or the request was already answered.
pub(super) fn is_conflict(failure: &Failure) -> bool {
    is_own(failure, 409)
}
