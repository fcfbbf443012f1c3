//! Public keys of a client, written into the manifest (RFC 7517).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A JSON Web Key Set of public keys.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
pub struct JsonWebKeys {
    /// The keys.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kid".into()]))]
    pub keys: Vec<JsonWebKey>,
}

/// A public key. Private members are not part of the schema.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct JsonWebKey {
    /// Key type: RSA, EC or OKP.
    pub kty: KeyType,
    /// Key ID, unique within the set.
    #[schemars(length(min = 1, max = 256))]
    pub kid: String,
    /// Intended use of the key: sig or enc.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyUse")]
    pub use_: Option<KeyUse>,
    /// Algorithm, for example RS256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 32))]
    pub alg: Option<String>,
    /// RSA modulus, base64url, without leading zero bytes (RFC 7518, section 6.3.1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 2048),
        regex(pattern = r"^([B-Za-z0-9_-]|A[Q-Za-z0-9_-])[A-Za-z0-9_-]*$")
    )]
    pub n: Option<String>,
    /// RSA exponent, base64url, without leading zero bytes: usually AQAB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 16),
        regex(pattern = r"^([B-Za-z0-9_-]|A[Q-Za-z0-9_-])[A-Za-z0-9_-]*$")
    )]
    pub e: Option<String>,
    /// Curve, for example P-256 or Ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 32))]
    pub crv: Option<String>,
    /// X coordinate, base64url, in the full length of the curve (RFC 7518, section 6.2.1.2), or the public key of an
    /// Edwards curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 88),
        regex(pattern = r"^([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{64}|[A-Za-z0-9_-]{88})$")
    )]
    pub x: Option<String>,
    /// Y coordinate, base64url, in the full length of the curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 88),
        regex(pattern = r"^([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{64}|[A-Za-z0-9_-]{88})$")
    )]
    pub y: Option<String>,
    /// Certificate chain: each certificate as DER in base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 8192)))]
    pub x5c: Vec<String>,
}

/// Key types of public keys (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum KeyType {
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
    /// Elliptic curve.
    #[serde(rename = "EC")]
    Ec,
    /// Octet key pair: Edwards curves.
    #[serde(rename = "OKP")]
    Okp,
}

/// Use of a key.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// Signatures.
    Sig,
    /// Encryption.
    Enc,
}
