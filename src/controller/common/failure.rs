//! What a failed request means on every server alike.

use kube::runtime::reflector::ObjectRef;

use crate::admin::http::Failure;
use crate::controller::engine::context::Context;
use crate::error::{Error, Outage};

/// A look that failed. What is settled has nothing to write, and need not say that the server is away.
pub fn unread(error: Error, settled: bool) -> Error {
    match error {
        Error::Unavailable(outage) if settled => Error::Unverified(outage),
        other => other,
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
    ctx.kinds.servers.wake(ObjectRef::new(server));
    match error {
        Error::Unavailable(Outage::Status(500, _) | Outage::Busy)
        | Error::Unfinished(_)
        | Error::ServerRefused(_)
        | Error::Unverified(_) => error,
        _ => Error::Unavailable(Outage::Known),
    }
}

/// Whether a write that failed so has surely not been done. A server that loses its leadership, or its database, in the midst of one answers 500.
pub fn is_certain(failure: &Failure) -> bool {
    failure.is_certain() && !matches!(failure, Failure::Outage(Outage::Status(..) | Outage::Busy))
}
