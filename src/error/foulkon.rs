//! What can go wrong on a Foulkon only.

use super::treatment::{Class, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// What went wrong. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoulkonFault {
    /// The login is refused.
    #[error("The worker answered {0}: it refuses the operator's login; check foulkon.auth of the AuthorizationServer.")]
    Refused(u16),
    /// The login is good and may not do it.
    #[error(
        "The operator is logged in, but the policies of its user on the server do not allow {0}; let it manage OIDC providers, or use the admin's login in foulkon.auth."
    )]
    PermissionDenied(&'static str),
    /// Somebody gave the provider a place that is not the operator's.
    #[error(
        "Somebody moved the provider to the path `{}` on the server, which is not below foulkon.pathPrefix; it stays untouched. Move it back, or delete it there.",
        shown(.0)
    )]
    MovedAway(String),
    /// Somebody gave the provider a name by which others are found too.
    #[error(
        "Somebody renamed the provider to `{}` on the server, and an underscore stands for any character there; it stays untouched. Rename it, or delete it there.",
        shown(.0)
    )]
    Ambiguous(String),
    /// None of its clients is there.
    #[error(
        "None of the clients in allowedClients exists; name one that does. Until then the provider is not on the server, because one without clients would break every login with a token."
    )]
    NoClients,
    /// An id that the server does not take.
    #[error(
        "allowedClients: the id of OAuth2Client `{0}` has characters that this server does not take, or more than 127; create a client with another id."
    )]
    UnfitClientId(String),
}

impl FoulkonFault {
    /// How it is treated. What keeps every resource from the server is for the server's own pass to look at.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            FoulkonFault::Refused(_) => Treatment::of(Class::ServerRefused, Reason::ServerRefused).of_the_server(),
            FoulkonFault::MovedAway(_) | FoulkonFault::Ambiguous(_) => Treatment::of(Class::NotOwned, Reason::NotOwned),
            FoulkonFault::PermissionDenied(_) => Treatment::of(Class::ServerRefused, Reason::PermissionDenied),
            FoulkonFault::NoClients => Treatment::of(Class::Blocked, Reason::ReferenceNotFound),
            FoulkonFault::UnfitClientId(_) => Treatment::of(Class::Blocked, Reason::InvalidSpec),
        }
    }
}
