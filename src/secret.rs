//! A secret value: no Debug, no Display, no Serialize, wiped when dropped.

use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Characters of a generated secret: 62^43 is just over 2^256, and all of them survive every encoding on the way (form, header, shell).
const GENERATED_LENGTH: usize = 43;

/// A client secret or another value that must not be seen.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new random secret of 256 bits.
    pub fn generate() -> Self {
        Secret::new(Alphanumeric.sample_string(&mut rand::rng(), GENERATED_LENGTH))
    }

    /// Takes a value into custody.
    pub fn new(value: String) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// The value. Only for the place that writes it where it belongs: a request body, a header, a Secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret::new(value)
    }
}

/// A new random revision: which secret a remote object was last given, without saying anything of it. 128 bits, hexadecimal.
pub fn new_revision() -> String {
    format!("{:032x}", rand::random::<u128>())
}
