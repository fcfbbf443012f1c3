//! What a failed request to a server means for a resource.

use kube::runtime::reflector::ObjectRef;

use super::Context;
use crate::admin::http::{Failure, TOO_LARGE};
use crate::admin::hydra::mapping;
use crate::error::{Error, Outage};

/// A look that failed. What is settled has nothing to write, and need not say that the server is away.
pub fn unread(error: Error, settled: bool) -> Error {
    match error {
        Error::Unavailable(outage) if settled => Error::Unverified(outage),
        other => other,
    }
}

/// What a failed request means for a resource.
pub fn failure(operation: &'static str, failed: Failure) -> Error {
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
            problem: "redirects elsewhere",
            field: "hydra.adminUrl",
        },
        Failure::Status { .. } => Error::Reply {
            operation,
            problem: "has a status that it never should",
        },
        // Only of a user's request does this speak of that request.
        Failure::Expired => Error::ServerRefused(401),
        Failure::NotSent(fault) => fault.into(),
        Failure::Handled(_) | Failure::NotInThisVersion | Failure::Denied | Failure::NoLogin(_) => Error::Reply {
            operation,
            problem: "has a status that it never should",
        },
        Failure::Reply(problem) => Error::Reply { operation, problem },
        Failure::TooLarge(_) => Error::Reply {
            operation,
            problem: TOO_LARGE,
        },
    }
}

/// An outage is the server's to report and to probe; the resource only says that it waits. Whoever noticed it first may have kept it to himself: that the
/// server's own pass knows nothing of it yet shows in that a request was made at all.
pub fn outage(ctx: &Context, server: &str, error: Error) -> Error {
    let is_open = matches!(
        error,
        Error::Unavailable(Outage::Known) | Error::Unverified(Outage::Known)
    );
    if !error.is_outage() && !is_open {
        return error;
    }
    ctx.servers.wake(ObjectRef::new(server));
    match error {
        Error::Unavailable(Outage::Status(500, _) | Outage::Busy)
        | Error::Unfinished(_)
        | Error::ServerRefused(_)
        | Error::Unverified(_) => error,
        _ => Error::Unavailable(Outage::Known),
    }
}
