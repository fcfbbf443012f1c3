//! Faults that only a Foulkon server has.

use super::treatment::{Class, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// Why a pass failed. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoulkonFault {
    /// The worker refuses the login.
    #[error("The worker answered {0}: it refuses the operator's login. Check foulkon.auth of the AuthorizationServer.")]
    Refused(u16),
    /// The login works but lacks a permission.
    #[error(
        "The operator can log in, but the policies of its user on the server do not allow {0}. Let it manage OIDC providers, or use the admin's login in foulkon.auth."
    )]
    PermissionDenied(&'static str),
    /// The provider was moved to a path outside the operator's prefix.
    #[error(
        "The provider was moved to the path `{}` on the server, which is not below foulkon.pathPrefix; the operator does not change it there. Move it back, or delete it on the server.",
        shown(.0)
    )]
    MovedAway(String),
    /// The provider was given a name that also matches other names.
    #[error(
        "The provider was renamed to `{}` on the server, where an underscore matches any character; the operator does not change it. Rename it, or delete it on the server.",
        shown(.0)
    )]
    Ambiguous(String),
    /// None of the provider's clients exists.
    #[error(
        "None of the clients in allowedClients exists, and a provider without clients would break every login with a token, so it is not on the server. Name a client that exists."
    )]
    NoClients,
    /// None of the clients of an adopted provider exists, and the provider stays.
    #[error(
        "None of the clients in allowedClients can be used, but the provider was adopted and stays on the server, so tokens of its last clients are still accepted. Name a client that exists, or set deletionPolicy: Delete to remove the provider from the server."
    )]
    StillTrusts,
    /// A list to adopt has too many clients.
    #[error(
        "The provider on the server lists more than a thousand clients that allowedClients does not name, which is more than the operator keeps; nothing was changed. Name them, or remove those that do not exist any more."
    )]
    TooManyClients,
    /// The server does not accept the id of a client.
    #[error(
        "allowedClients: the id of OAuth2Client `{0}` has characters that this server does not accept, or more than 127. Create a client with another id."
    )]
    UnfitClientId(String),
}

impl FoulkonFault {
    /// The treatment of the fault. The server's own pass checks the faults that keep every resource from using the
    /// server.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            FoulkonFault::Refused(_) => Treatment::of(Class::ServerRefused, Reason::ServerRefused).of_the_server(),
            FoulkonFault::MovedAway(_) | FoulkonFault::Ambiguous(_) | FoulkonFault::TooManyClients => {
                Treatment::of(Class::NotOwned, Reason::NotOwned)
            }
            FoulkonFault::PermissionDenied(_) => Treatment::of(Class::ServerRefused, Reason::PermissionDenied),
            FoulkonFault::NoClients | FoulkonFault::StillTrusts => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotFound)
            }
            FoulkonFault::UnfitClientId(_) => Treatment::of(Class::Blocked, Reason::InvalidSpec),
        }
    }
}
