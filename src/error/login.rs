//! Why nothing is sent to a server to log in with.

use std::fmt;

use super::treatment::{Class, Treatment};
use crate::api::condition::Reason;
use crate::login::Unsafe;

/// What went wrong. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// The token that `vault.auth` asks for must not leave.
    #[error("{}", of_account(*.0))]
    Account(Unsafe),
    /// A value that is referred to must not leave.
    #[error(
        "Secret `{secret}`, key `{key}`: the value {why}, so the operator sends it to no server; use a token that only that server accepts."
    )]
    Secret {
        /// Name of the Secret.
        secret: String,
        /// Key within it.
        key: String,
        /// What the value is.
        why: Unsafe,
    },
    /// The Kubernetes API does not say what has to be known before a token of a ServiceAccount may leave.
    #[error("The operator cannot log in: {0}. Look at vault.auth and at the auth method on the server.")]
    Untold(Untold),
    /// The Kubernetes API does not say what has to be known before a value with a token in it may leave.
    #[error("Secret `{secret}`, key `{key}`: the value is a JSON Web Token, which the operator sends to no server until it knows whether the Kubernetes API accepts it: {}.", of_secret(*.why))]
    SecretUntold {
        /// Name of the Secret.
        secret: String,
        /// Key within it.
        key: String,
        /// Why nobody says so.
        why: Untold,
    },
}

/// Why the Kubernetes API does not say what has to be known. Displays as the end of a sentence about a ServiceAccount that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// There is no ServiceAccount to ask through.
    NoAccount,
    /// The operator may not ask for tokens of the ServiceAccount.
    NotGranted,
    /// The API does not tell who the operator is.
    Operator,
    /// The API does not tell which audiences it accepts.
    Audiences,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untold::NoAccount => "there is no such ServiceAccount in the operator's namespace",
            Untold::NotGranted => {
                "the operator may not ask for tokens of the ServiceAccount; name it in the chart's vault.serviceAccounts"
            }
            Untold::Operator => {
                "the Kubernetes API does not tell the operator who it is; let it create selfsubjectreviews, as the ClusterRole system:basic-user does"
            }
            Untold::Audiences => {
                "the Kubernetes API does not tell which audiences it accepts, and without that no token may leave for a server"
            }
        })
    }
}

fn of_secret(why: Untold) -> String {
    match why {
        Untold::NoAccount | Untold::NotGranted => {
            "the operator has no ServiceAccount for logins, or may not ask for its tokens; look at the chart's login.serviceAccount"
                .to_owned()
        }
        Untold::Operator | Untold::Audiences => why.to_string(),
    }
}

fn of_account(why: Unsafe) -> &'static str {
    match why {
        Unsafe::OwnAccount => {
            "vault.auth names the operator's own ServiceAccount, of which no token leaves for a server; name one without rights, such as that of the chart's login.serviceAccount."
        }
        Unsafe::ApiAudience | Unsafe::AnyAudience | Unsafe::TokenSecret | Unsafe::TooLarge => {
            "vault.auth asks for a token with an audience that the Kubernetes API accepts, and such a token leaves for no server; take that audience out, and give the Kubernetes auth method a token_reviewer_jwt of its own, or use the JWT auth method."
        }
    }
}

impl LoginFault {
    /// How it is treated. What keeps every resource from the server is for the server's own pass to look at.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            LoginFault::Account(_) => Treatment::of(Class::Invalid, Reason::UnsafeToken).of_the_server(),
            // The Secret may still be corrected.
            LoginFault::Secret { .. } => Treatment::of(Class::Blocked, Reason::UnsafeToken),
            LoginFault::Untold(_) => Treatment::of(Class::ServerRefused, Reason::LoginFailed).of_the_server(),
            LoginFault::SecretUntold { .. } => Treatment::of(Class::Blocked, Reason::LoginFailed),
        }
    }
}
