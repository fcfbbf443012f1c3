//! What a failed request means on every type of server.

use crate::admin::http::Failure;
use crate::error::{Error, Outage};

/// Returns the error of a failed read. A settled resource has nothing to write, so it does not report an unavailable
/// server.
pub(crate) fn unread(error: Error, settled: bool) -> Error {
    match error {
        Error::Unavailable(outage) if settled => Error::Unverified(outage),
        other => other,
    }
}

/// Whether a failed write certainly had no effect. A server that loses its leadership or its database during a write
/// answers 500, so a 500 is not certain.
pub(crate) fn is_certain(failure: &Failure) -> bool {
    failure.is_certain() && !matches!(failure, Failure::Outage(Outage::Status(500, _) | Outage::Busy))
}
