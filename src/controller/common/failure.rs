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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_write_that_was_refused_or_not_sent_certainly_had_no_effect() {
        let second = Duration::from_secs(1);
        // Whether it is certain in itself, and on every server.
        let table = [
            (Outage::Limited(second), true, true),
            (Outage::Status(429, Some(second)), true, true),
            (Outage::Known, true, true),
            (Outage::Busy, true, false),
            (Outage::Status(500, None), true, false),
            (Outage::Status(502, None), false, false),
            (Outage::Status(503, Some(second)), false, false),
            (Outage::Silent, false, false),
            (Outage::Unfinished, false, false),
            (Outage::Broken, false, false),
        ];
        for (outage, is_sure, everywhere) in table {
            let failure = Failure::Outage(outage.clone());
            assert_eq!(
                (failure.is_certain(), is_certain(&failure)),
                (is_sure, everywhere),
                "{outage:?}"
            );
        }
    }
}
