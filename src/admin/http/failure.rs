//! Why a request failed.

use crate::error::{LoginFault, Outage};
use crate::secret::Secret;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server cannot be used now.
    Outage(Outage),
    /// 401 or 403.
    Refused(u16),
    /// 403 although the login is valid: it lacks the permission.
    Denied,
    /// The operator cannot log in: why, as the end of a sentence.
    NoLogin(&'static str),
    /// The operator did not send a login.
    NotSent(LoginFault),
    /// Another status.
    Status {
        /// HTTP status.
        code: u16,
        /// The error code, in the format of [`ErrorBody`]. None if the body is not the server's, but for example a
        /// proxy's.
        error: Option<String>,
        /// The description of the error. It is searched for field names and never shown.
        description: String,
    },
    /// The reply cannot be used: why, as the end of a sentence.
    Reply(&'static str),
    /// The reply is too large. Holds its `Link` header, which came before the body.
    TooLarge(Option<String>),
    /// A write was not started, since leadership may expire before it ends.
    NotLeader,
    /// The user's request was already answered: 410 with the URL for the browser, or 409.
    Handled(Option<RedirectTo>),
    /// The user's request is too old to be answered; the user has to start over.
    Expired,
    /// The server's version has no such operation; nothing was sent.
    NotInThisVersion,
}

impl Failure {
    /// Whether a write with this failure certainly has no effect, now or later.
    pub fn is_certain(&self) -> bool {
        match self {
            Failure::Status { .. }
            | Failure::Refused(_)
            | Failure::Denied
            | Failure::NoLogin(_)
            | Failure::NotSent(_)
            | Failure::NotLeader
            | Failure::NotInThisVersion => true,
            // A limit of the rate is checked before anything else.
            Failure::Outage(outage) => matches!(
                outage,
                Outage::Busy | Outage::Known | Outage::Limited(_) | Outage::Status(429 | 500, _)
            ),
            Failure::Reply(_) | Failure::TooLarge(_) | Failure::Handled(_) | Failure::Expired => false,
        }
    }
}

/// What is wrong with a reply that is [`Failure::TooLarge`], as the end of a sentence.
pub const TOO_LARGE: &str = "is too large";

/// The URL that a user's browser is sent to. It holds a verifier, which stands for the user's login or consent, so
/// Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectTo(Secret);

impl RedirectTo {
    /// Wraps a URL.
    pub fn new(url: String) -> Self {
        RedirectTo(Secret::new(url))
    }

    /// The URL. Only for the `Location` header of the answer to that browser.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl std::fmt::Debug for RedirectTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedirectTo")
    }
}

/// The format of a server's own errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorBody {
    /// A code in `error` and a text in `error_description` (RFC 6749, section 5.2).
    #[default]
    OAuth,
    /// A list of texts in `errors`. The code is empty.
    Listed,
    /// A code in `code` and a text in `message`. A 400 without a code refuses the login; a 403 with a code refuses one
    /// request.
    Coded,
}
