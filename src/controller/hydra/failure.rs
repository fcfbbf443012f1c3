//! What a failed request to a Hydra means for a resource.

use crate::admin::http::{Failure, TOO_LARGE};
use crate::admin::hydra::mapping;
use crate::error::{Error, Outage};

/// What a failed request means for a resource.
pub(crate) fn failure(operation: &'static str, failed: Failure) -> Error {
    match failed {
        Failure::Outage(Outage::Unfinished) => Error::Unfinished(Vec::new()),
        Failure::Outage(outage) => Error::Unavailable(outage),
        Failure::Refused(code) => Error::ServerRefused(code),
        Failure::NotLeader => Error::NotLeader,
        Failure::Status {
            code: 400,
            error: Some(code),
            description,
        } if code.starts_with("invalid_") => Error::MetadataRefused(mapping::fields_named_in(&description)),
        Failure::Status { code: 404 | 405, .. } => Error::NotRecognized {
            what: "The admin API",
            problem: "is not found where it should be",
            field: "hydra.adminUrl",
        },
        Failure::Reply("is a redirect") => Error::NotRecognized {
            what: "The admin API",
            problem: "redirects to another URL",
            field: "hydra.adminUrl",
        },
        Failure::Status { .. } => Error::Reply {
            operation,
            problem: "has an unexpected status",
        },
        // Outside a user's request, this reply refuses the operator's login.
        Failure::Expired => Error::ServerRefused(401),
        Failure::NotSent(fault) => fault.into(),
        Failure::Handled(_) | Failure::NotInThisVersion | Failure::Denied | Failure::NoLogin(_) => Error::Reply {
            operation,
            problem: "has an unexpected status",
        },
        Failure::Reply(problem) => Error::Reply { operation, problem },
        Failure::TooLarge(_) => Error::Reply {
            operation,
            problem: TOO_LARGE,
        },
    }
}
