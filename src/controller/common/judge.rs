//! Checks whether an issuer is as expected. Pure.

use crate::admin::discovery::{Discovery, Keys};
use crate::error::{Error, IssuerFault, Result};

/// The issuer that tokens must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// This issuer, character by character.
    Exactly(&'a str),
    /// The URL below which the discovery document is found (OpenID Connect Discovery 1.0, section 4.3). A trailing
    /// slash makes no difference, because Hydra 1.x adds one to every issuer.
    At(&'a str),
    /// Any issuer that ends with this path; scheme, host and port are those of the server.
    Below(&'a str),
}

impl Expected<'_> {
    fn is_met_by(self, issuer: &str) -> bool {
        match self {
            Expected::Exactly(expected) => expected == issuer,
            Expected::At(url) => url.trim_end_matches('/') == issuer.trim_end_matches('/'),
            Expected::Below(path) => issuer
                .strip_suffix(path)
                .is_some_and(|origin| origin.matches('/').count() == 2),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Expected::Exactly(expected) | Expected::At(expected) | Expected::Below(expected) => expected,
        }
    }
}

/// Checks the discovery document of `server`: the issuer, and the endpoints that every login needs. `field`: the field
/// of the AuthorizationServer that locates the document.
///
/// # Errors
/// [`IssuerFault::Mismatch`]; [`Error::NotRecognized`] names an endpoint that is missing.
pub fn document(server: &str, field: &'static str, expected: Expected<'_>, found: &Discovery) -> Result<()> {
    let endpoints = &found.endpoints;
    if !expected.is_met_by(&endpoints.issuer) {
        let mismatch = IssuerFault::Mismatch {
            server: server.to_owned(),
            expected: expected.as_str().to_owned(),
            found: endpoints.issuer.clone(),
        };
        return Err(mismatch.into());
    }
    let required = [
        (&endpoints.authorization_endpoint, "names no authorization_endpoint"),
        (&endpoints.token_endpoint, "names no token_endpoint"),
        (&endpoints.jwks_uri, "names no jwks_uri"),
    ];
    match required.into_iter().find(|(endpoint, _)| endpoint.is_none()) {
        None => Ok(()),
        Some((_, problem)) => Err(Error::NotRecognized {
            what: "The discovery document",
            problem,
            field,
        }),
    }
}

/// Checks the key set of `server`: it has a key to verify tokens with, and no private key.
///
/// # Errors
/// [`IssuerFault::PrivateKeysPublished`], [`IssuerFault::NoSigningKey`].
pub fn keys(server: &str, found: &Keys) -> Result<(), IssuerFault> {
    if found.shows_private {
        Err(IssuerFault::PrivateKeysPublished(server.to_owned()))
    } else if found.signing == 0 {
        Err(IssuerFault::NoSigningKey(server.to_owned()))
    } else {
        Ok(())
    }
}
