//! A secret value: no Debug, no Display, no Serialize, wiped when dropped.

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
