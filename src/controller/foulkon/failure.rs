//! What a failed request to a Foulkon means.

use crate::admin::foulkon::is_absent;
use crate::admin::http::{Failure, TOO_LARGE};
use crate::error::{Error, FoulkonFault, Outage};

/// Parameters that the server refuses, as its texts name them, and the field that each comes from. The first match
/// counts.
const PARAMETERS: [(&str, &str); 5] = [
    ("client name", "allowedClients"),
    ("issuerUrl", "issuer"),
    ("pathPrefix", "foulkon.pathPrefix"),
    ("path", "foulkon.path"),
    ("name", "foulkon.name"),
];

/// What a failed request means.
pub fn failure(operation: &'static str, failed: Failure) -> Error {
    // The entry was just deleted or renamed. The next pass finds out.
    if is_absent(&failed) {
        return Error::Overtaken;
    }
    match failed {
        Failure::Outage(Outage::Unfinished) => Error::Unfinished(Vec::new()),
        Failure::Outage(outage) => Error::Unavailable(outage),
        Failure::NotLeader => Error::NotLeader,
        Failure::Refused(code) => FoulkonFault::Refused(code).into(),
        Failure::NotSent(fault) => fault.into(),
        Failure::Denied => FoulkonFault::PermissionDenied(operation).into(),
        Failure::Status { error: None, .. } => not_recognized("is not found where it should be"),
        Failure::Status {
            code: 400, description, ..
        } => match parameter(&description) {
            Some(field) => Error::InvalidField {
                field,
                problem: "the server does not accept the value; nothing was changed. Correct it".to_owned(),
            },
            None => unexpected(operation),
        },
        Failure::Reply("is a redirect") => not_recognized("redirects to another URL"),
        Failure::Reply(problem) => Error::Reply { operation, problem },
        Failure::TooLarge(_) => Error::Reply {
            operation,
            problem: TOO_LARGE,
        },
        Failure::Status { .. }
        | Failure::NoLogin(_)
        | Failure::Expired
        | Failure::Handled(_)
        | Failure::NotInThisVersion => unexpected(operation),
    }
}

fn unexpected(operation: &'static str) -> Error {
    Error::Reply {
        operation,
        problem: "has an unexpected status",
    }
}

fn parameter(description: &str) -> Option<&'static str> {
    let parameter = description.strip_prefix("Invalid parameter: ")?;
    let parameter = parameter.strip_prefix("new ").unwrap_or(parameter);
    let found = PARAMETERS.iter().find(|(name, _)| parameter.starts_with(name));
    found.map(|(_, field)| *field)
}

fn not_recognized(problem: &'static str) -> Error {
    Error::NotRecognized {
        what: "Foulkon's admin API",
        problem,
        field: "foulkon.workerUrl",
    }
}
