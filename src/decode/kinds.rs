//! Maximum size of each kind's spec: more than its server accepts, and small enough that many specs need little memory.

use super::{Decode, Parts};
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};

impl Decode for AuthorizationServer {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(usize::MAX);
        AuthorizationServer { metadata, spec, status }
    }
}

impl Decode for OAuth2Client {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(128 << 10);
        OAuth2Client { metadata, spec, status }
    }
}

impl Decode for JsonWebKeySet {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(128 << 10);
        JsonWebKeySet { metadata, spec, status }
    }
}

impl Decode for OidcProvider {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(512 << 10);
        OidcProvider { metadata, spec, status }
    }
}

impl Decode for Scope {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(128 << 10);
        Scope { metadata, spec, status }
    }
}

impl Decode for Assignment {
    fn decode(parts: &Parts<'_>) -> Self {
        let (metadata, spec, status) = parts.of_custom(512 << 10);
        Assignment { metadata, spec, status }
    }
}
