//! JSON Web Keys (RFC 7517) on the wire, and when two sets of them are equal.
//!
//! Every reply of Hydra contains the private members too, so the types for whole keys have no Debug and no Serialize.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wire;
use crate::admin::bounded::{ID, fits};
use crate::secret::Secret;

/// The public members of a key (RFC 7517, section 4; RFC 7518, sections 6.2.1 and 6.3.1; RFC 8037). Empty and absent
/// are equal.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct PublicKey {
    /// Id, unique within its set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kid: String,
    /// Type: `RSA`, `EC`, `OKP`, or `oct` for a symmetric one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kty: String,
    /// Intended use: `sig` or `enc`.
    #[serde(rename = "use", skip_serializing_if = "String::is_empty")]
    pub usage: String,
    /// Algorithm (RFC 7518, section 3.1).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alg: String,
    /// Curve of an `EC` or `OKP` key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub crv: String,
    /// Modulus of an `RSA` key, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub n: String,
    /// Exponent of an `RSA` key, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub e: String,
    /// First coordinate of an `EC` key, or the whole public part of an `OKP` key, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub x: String,
    /// Second coordinate of an `EC` key, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub y: String,
    /// Certificate chain, base64 of DER.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub x5c: Vec<String>,
    /// URL of the certificate chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub x5u: String,
    /// SHA-1 of the certificate, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub x5t: String,
    /// SHA-256 of the certificate, base64url.
    #[serde(rename = "x5t#S256", skip_serializing_if = "String::is_empty")]
    pub x5t_s256: String,
}

/// Names of the members of [`PublicKey`]. All others are hidden, since an unknown member may be private.
const PUBLIC: [&str; 13] = [
    "kid", "kty", "use", "alg", "crv", "n", "e", "x", "y", "x5c", "x5u", "x5t", "x5t#S256",
];
/// Private members from which all other private members follow (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1). Hydra 1
/// drops the rest.
const PRIVATE: [&str; 4] = ["d", "p", "q", "k"];

/// A key with all its members. No Debug and no Serialize: most are private.
#[derive(Clone, PartialEq)]
pub struct JsonWebKey {
    /// Public members.
    pub public: PublicKey,
    /// Private and unknown members, each as JSON. A PUT sends them back, since it would drop them otherwise.
    hidden: BTreeMap<String, Secret>,
}

/// A set of keys. The order matters only to a signer, which uses the newest.
#[derive(Clone, Default, PartialEq)]
pub struct JsonWebKeySet {
    /// The keys.
    pub keys: Vec<JsonWebKey>,
}

impl From<PublicKey> for JsonWebKey {
    fn from(public: PublicKey) -> Self {
        let hidden = BTreeMap::new();
        JsonWebKey { public, hidden }
    }
}

impl JsonWebKey {
    /// Reads a key. None if the value is not a key.
    pub fn parse(key: Value) -> Option<Self> {
        let Value::Object(members) = key else { return None };
        let (public, hidden): (Map<_, _>, Map<_, _>) = members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .partition(|(name, _)| PUBLIC.contains(&name.as_str()));
        let hide = |value: Value| Secret::new(value.to_string());
        Some(JsonWebKey {
            public: wire::parse(Value::Object(public))?,
            hidden: hidden.into_iter().map(|(name, value)| (name, hide(value))).collect(),
        })
    }

    /// Whether its public members are no longer than those of a real key with a certificate chain: they are copied into
    /// statuses and clients.
    pub fn is_bounded(&self) -> bool {
        const BYTES: usize = 16 << 10;
        let size = serde_json::to_vec(&self.public).map_or(0, |text| text.len());
        size <= BYTES && fits(&self.public.kid, ID)
    }

    /// Whether it holds private members, with which its holder can sign or decrypt.
    pub fn is_private(&self) -> bool {
        PRIVATE.iter().any(|name| self.hidden.contains_key(*name))
    }

    /// The body of a PUT.
    pub fn body(&self) -> Vec<u8> {
        self.to_json().to_string().into_bytes()
    }

    fn to_json(&self) -> Value {
        let mut members = match serde_json::to_value(&self.public) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(), // never: a struct is an object
        };
        let shown = |value: &Secret| serde_json::from_str(value.expose()).unwrap_or_default();
        members.extend(self.hidden.iter().map(|(name, value)| (name.clone(), shown(value))));
        Value::Object(members)
    }

    /// The key, normalized: keys that the server treats as equal become equal.
    fn normalized(&self) -> Self {
        let mut key = self.clone();
        let is_number = matches!(key.public.kty.as_str(), "RSA" | "EC");
        let public = &mut key.public;
        for number in [&mut public.n, &mut public.e, &mut public.x, &mut public.y] {
            *number = minimal(number, is_number);
        }
        for digest in [&mut public.x5t, &mut public.x5t_s256] {
            *digest = minimal(digest, false);
        }
        key.hidden.retain(|name, _| PRIVATE.contains(&name.as_str()));
        for value in key.hidden.values_mut() {
            if let Ok(text) = serde_json::from_str::<String>(value.expose()) {
                *value = Secret::new(minimal(&text, is_number));
            }
        }
        key
    }
}

impl JsonWebKeySet {
    /// Reads a set. None if the value is not a set, or an entry is not a key.
    pub fn parse(set: Value) -> Option<Self> {
        let Value::Object(mut members) = set else { return None };
        let keys = match members.remove("keys") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(keys)) => keys,
            Some(_) => return None,
        };
        let keys: Option<Vec<JsonWebKey>> = keys.into_iter().map(JsonWebKey::parse).collect();
        keys.map(|keys| JsonWebKeySet { keys })
    }

    /// The body of a PUT.
    pub fn body(&self) -> Vec<u8> {
        let keys: Vec<Value> = self.keys.iter().map(JsonWebKey::to_json).collect();
        serde_json::json!({ "keys": keys }).to_string().into_bytes()
    }

    /// The set, normalized so that sets that the server treats as equal become equal: sorted by id, numbers without
    /// leading zeros, encodings without padding, and only members that the server keeps and that no other member
    /// implies. It must not be sent.
    pub fn normalized(&self) -> Self {
        let mut keys: Vec<JsonWebKey> = self.keys.iter().map(JsonWebKey::normalized).collect();
        keys.sort_by(|one, other| one.public.kid.cmp(&other.public.kid));
        JsonWebKeySet { keys }
    }

    /// Whether the server treats both as equal.
    pub fn same_as(&self, other: &Self) -> bool {
        self.normalized() == other.normalized()
    }
}

/// Base64url as the server encodes it: no padding, no surplus bits, and a number without leading zeros. Other texts
/// stay unchanged.
fn minimal(text: &str, is_number: bool) -> String {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_encode_padding(false)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let Ok(bytes) = LENIENT.decode(text) else {
        return text.to_owned();
    };
    let zeros = bytes.iter().take_while(|byte| is_number && **byte == 0).count();
    LENIENT.encode(&bytes[zeros..])
}
