//! SHA-256 digests as text: of inputs, ledgers and keys.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// First 128 bits of the SHA-256 of a JSON value, in hexadecimal. Members of objects are sorted, so equal values have
/// equal digests.
pub(crate) fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string())[..16])
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
