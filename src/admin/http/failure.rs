//! Why a request did not give a result.

use crate::error::{LoginFault, Outage};
use crate::secret::Secret;

/// Why a request did not give a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server cannot be used now.
    Outage(Outage),
    /// 401 or 403.
    Refused(u16),
    /// 403, and the login is good: it may not do this.
    Denied,
    /// There is no login to be had: why, as the end of a sentence.
    NoLogin(&'static str),
    /// Nothing was sent to log in with.
    NotSent(LoginFault),
    /// Another status.
    Status {
        /// HTTP status.
        code: u16,
        /// The error's code, as [`ErrorBody`] says. None if the body is not the server's, but a proxy's for example.
        error: Option<String>,
        /// What is said of it. For finding field names in; never to be shown.
        description: String,
    },
    /// The reply cannot be used.
    Reply(&'static str),
    /// The reply is larger than any that is read. With its `Link` header, which came before it.
    TooLarge(Option<String>),
    /// A write was not begun, since leadership may lapse before it ends.
    NotLeader,
    /// The user's request was answered before: 410 with where its browser goes instead, or 409.
    Handled(Option<RedirectTo>),
    /// The user's request is too old to be answered; the user has to begin anew.
    Expired,
    /// The server's version has no such operation; nothing was sent.
    NotInThisVersion,
}

impl Failure {
    /// Whether a write that failed so has surely not been done, now or later.
    pub fn is_certain(&self) -> bool {
        match self {
            Failure::Status { .. }
            | Failure::Refused(_)
            | Failure::Denied
            | Failure::NoLogin(_)
            | Failure::NotSent(_)
            | Failure::NotLeader
            | Failure::NotInThisVersion => true,
            Failure::Outage(outage) => matches!(outage, Outage::Busy | Outage::Known | Outage::Status(500, _)),
            Failure::Reply(_) | Failure::TooLarge(_) | Failure::Handled(_) | Failure::Expired => false,
        }
    }
}

/// What is wrong with a reply that is [`Failure::TooLarge`], as the end of a sentence.
pub const TOO_LARGE: &str = "is larger than any real one";

/// Where a user's browser is to be sent: holds a verifier, which stands for the user's login or consent. Debug says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectTo(Secret);

impl RedirectTo {
    /// Takes a URL into custody.
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

/// The form of a server's own errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorBody {
    /// A code in `error` and a text in `error_description` (RFC 6749, section 5.2).
    #[default]
    OAuth,
    /// A list of texts in `errors`, without a code: it is empty then.
    Listed,
    /// A code in `code` and a text in `message`. Without both, a status of 400 refuses the login; with them, 403 refuses one request.
    Coded,
}
