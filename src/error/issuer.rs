//! Why an issuer must not be trusted.

use super::treatment::{Class, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// Why a pass failed. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerFault {
    /// The server has another issuer than before.
    #[error(
        "The server's issuer is now `{}` instead of `{}`, so the operator writes nothing. If this is intended, set hydra.issuer to the new issuer.",
        shown(.found),
        shown(.known)
    )]
    Changed {
        /// Issuer in status or spec.
        known: String,
        /// Issuer in the discovery document.
        found: String,
    },
    /// The issuer is not the one that the provider's tokens must have.
    #[error(
        "The discovery document of AuthorizationServer `{server}` names the issuer `{}` instead of `{}`; the published values stay. If the document is right, set issuer to its value, otherwise correct the server.",
        shown(.found),
        shown(.expected)
    )]
    Mismatch {
        /// Name of the AuthorizationServer.
        server: String,
        /// The issuer that the spec asks for, or the public URL.
        expected: String,
        /// Issuer in the discovery document.
        found: String,
    },
    /// The AuthorizationServer does not set the URL of its public API.
    #[error(
        "AuthorizationServer `{0}` has no hydra.publicUrl, so the operator cannot read the discovery document. Set hydra.publicUrl there."
    )]
    PublicUrlMissing(String),
    /// The key set has no key to verify tokens with.
    #[error(
        "AuthorizationServer `{0}` publishes no public key to verify tokens with. Check its key set /.well-known/jwks.json."
    )]
    NoSigningKey(String),
    /// The published key set contains private keys.
    #[error(
        "AuthorizationServer `{0}` publishes a private key in /.well-known/jwks.json, so anyone can forge tokens. Replace its keys and publish only public keys."
    )]
    PrivateKeysPublished(String),
}

impl IssuerFault {
    /// How a pass treats it.
    pub(super) fn treatment(&self) -> Treatment {
        let reason = match self {
            IssuerFault::Changed { .. } => Reason::IssuerChanged,
            IssuerFault::Mismatch { .. } => Reason::IssuerMismatch,
            IssuerFault::PublicUrlMissing(_) => Reason::ServerNotReady,
            IssuerFault::NoSigningKey(_) | IssuerFault::PrivateKeysPublished(_) => Reason::InvalidKeys,
        };
        Treatment::of(Class::Blocked, reason)
    }
}
