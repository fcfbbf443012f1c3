//! What a failed request means on every server alike.

use crate::admin::http::Failure;
use crate::error::{Error, Outage};

/// A look that failed. What is settled has nothing to write, and need not say that the server is away.
pub(crate) fn unread(error: Error, settled: bool) -> Error {
    match error {
        Error::Unavailable(outage) if settled => Error::Unverified(outage),
        other => other,
    }
}

/// Whether a write that failed so has surely not been done. A server that loses its leadership, or its database, in the midst of one answers 500.
pub(crate) fn is_certain(failure: &Failure) -> bool {
    failure.is_certain() && !matches!(failure, Failure::Outage(Outage::Status(..) | Outage::Busy))
}
