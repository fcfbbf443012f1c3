//! A secret value: no Debug, no Display, no Serialize, wiped when dropped.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Length of a generated secret in characters: 62^43 is just over 2^256. The characters survive every encoding on the
/// way (form, header, shell).
const GENERATED_LENGTH: usize = 43;

/// A client secret or another value that must stay secret.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new random secret of 256 bits.
    pub fn generate() -> Self {
        Secret::new(Alphanumeric.sample_string(&mut rand::rng(), GENERATED_LENGTH))
    }

    /// A new random key of 256 bits in URL-safe Base64: the form that applications expect of a key.
    pub fn generate_key() -> Self {
        Secret::new(URL_SAFE.encode(Zeroizing::new(rand::random::<[u8; 32]>())))
    }

    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// The value. Use it only to write the value to its destination: a request body, a header, a Secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret::new(value)
    }
}

/// A new random revision. It identifies the secret that a remote object was last given and reveals nothing about it.
/// 128 bits, hexadecimal.
pub fn new_revision() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The credentials of HTTP Basic authentication (RFC 7617) for a client: id and secret are form-encoded before they are
/// joined (RFC 6749, section 2.3.1).
pub fn basic_credentials(client_id: &str, secret: &Secret) -> Secret {
    let joined = format!("{}:{}", form_encoded(client_id), form_encoded(secret.expose()));
    Secret::new(STANDARD.encode(Zeroizing::new(joined).as_bytes()))
}

/// Whether a value stays as it is when it is form-encoded.
pub fn is_form_safe(value: &str) -> bool {
    form_encoded(value) == value
}

/// Whether a value is a key of 128, 192 or 256 bits: as it stands, or in URL-safe Base64.
pub fn is_key(value: &[u8]) -> bool {
    let is_right = |bytes: usize| matches!(bytes, 16 | 24 | 32);
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let decoded = URL_SAFE_NO_PAD.decode(&value[..value.len() - padding]);
    is_right(value.len()) || decoded.is_ok_and(|decoded| is_right(Zeroizing::new(decoded).len()))
}

/// A value for `application/x-www-form-urlencoded`. It may be a secret.
pub fn form_encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
