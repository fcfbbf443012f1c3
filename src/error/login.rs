//! Why the operator does not send a credential to a server.

use std::fmt;

use super::treatment::{Class, Treatment};
use crate::api::condition::Reason;
use crate::login::Unsafe;

/// Why a pass failed. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// The token that `vault.auth` asks for must not be sent to a server.
    #[error("{}", of_account(*.0))]
    Account(Unsafe),
    /// The referenced value must not be sent to a server.
    #[error(
        "Secret `{secret}`, key `{key}`: the value {why}, so the operator does not send it to a server. Use a token that only that server accepts."
    )]
    Secret {
        /// Name of the Secret.
        secret: String,
        /// Key in the Secret.
        key: String,
        /// Why the value is unsafe.
        why: Unsafe,
    },
    /// The operator does not know what it must know before it sends a token of a ServiceAccount to a server.
    #[error("The operator cannot log in: {0}. Check vault.auth and the auth method on the server.")]
    Untold(Untold),
    /// The operator does not know what it must know before it sends a value that contains a token to a server.
    #[error("Secret `{secret}`, key `{key}`: the value is a JSON Web Token, which the operator does not send to a server until it knows whether the Kubernetes API accepts it: {}.", of_secret(*.why))]
    SecretUntold {
        /// Name of the Secret.
        secret: String,
        /// Key in the Secret.
        key: String,
        /// Why the operator does not know it.
        why: Untold,
    },
}

/// Why the operator cannot find out whether a token is safe to send. `Display` is the end of a sentence about the
/// ServiceAccount that `vault.auth` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// The ServiceAccount whose tokens the operator requests does not exist.
    NoAccount,
    /// The operator is not allowed to request tokens of the ServiceAccount.
    NotGranted,
    /// The Kubernetes API does not report the operator's identity.
    Operator,
    /// The Kubernetes API does not report which audiences it accepts.
    Audiences,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untold::NoAccount => "the ServiceAccount does not exist in the operator's namespace",
            Untold::NotGranted => {
                "the operator is not allowed to request tokens of the ServiceAccount; add it to vault.serviceAccounts of the chart"
            }
            Untold::Operator => {
                "the Kubernetes API does not report the operator's identity; allow the operator to create selfsubjectreviews, as the ClusterRole system:basic-user does"
            }
            Untold::Audiences => {
                "the Kubernetes API does not report which audiences it accepts, and until it does the operator sends no token to a server"
            }
        })
    }
}

fn of_secret(why: Untold) -> String {
    match why {
        Untold::NoAccount | Untold::NotGranted => {
            "the operator has no ServiceAccount for logins, or is not allowed to request its tokens; set login.serviceAccount.create in the values of the chart"
                .to_owned()
        }
        Untold::Operator | Untold::Audiences => why.to_string(),
    }
}

fn of_account(why: Unsafe) -> &'static str {
    match why {
        Unsafe::OwnAccount => {
            "vault.auth names the operator's own ServiceAccount, whose tokens the operator does not send to a server. Name a ServiceAccount without rights, such as login.serviceAccount of the chart."
        }
        Unsafe::ApiAudience | Unsafe::AnyAudience | Unsafe::TokenSecret | Unsafe::TooLarge => {
            "vault.auth asks for a token with an audience that the Kubernetes API accepts, and the operator does not send such a token to a server. Remove that audience, and give the Kubernetes auth method its own token_reviewer_jwt, or use the JWT auth method."
        }
    }
}

impl LoginFault {
    /// The treatment of the fault. The server's own pass checks the faults that keep every resource from using the
    /// server.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            LoginFault::Account(_) => Treatment::of(Class::Invalid, Reason::UnsafeToken).of_the_server(),
            // A change of the Secret can correct it.
            LoginFault::Secret { .. } => Treatment::of(Class::Blocked, Reason::UnsafeToken),
            LoginFault::Untold(_) => Treatment::of(Class::ServerRefused, Reason::LoginFailed).of_the_server(),
            LoginFault::SecretUntold { .. } => Treatment::of(Class::Blocked, Reason::LoginFailed),
        }
    }
}
