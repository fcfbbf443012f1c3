//! Generates, reads and writes private keys. The operator never signs with them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};
use serde_json::{Map, Value, json};

use crate::admin::hydra::key::JsonWebKey;
use crate::api::json_web_key_set::KeyAlgorithm;
use crate::secret::Secret;

/// Size of generated RSA keys in bits: what NIST SP 800-57 requires until 2030, and what every verifier accepts.
const RSA_BITS: usize = 2048;
/// Maximum size of an imported RSA key in bits: larger keys are expensive for every verifier.
const RSA_MOST_BITS: usize = 8192;

/// Maximum length of a PEM text in bytes: without a limit, arithmetic with its numbers could take any time.
const PEM_LONGEST: usize = 8 * 1024;

/// Why a text is not a usable key, as the end of a sentence.
pub type Problem = &'static str;

/// A private key of a supported type.
enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Generates a key. RSA takes a moment: do not call it on a thread that others wait for.
///
/// # Errors
/// If the system provides no randomness.
pub fn generate(algorithm: KeyAlgorithm, kid: &str) -> Result<JsonWebKey, Problem> {
    let key = match algorithm {
        KeyAlgorithm::RS256 | KeyAlgorithm::PS256 => {
            let key = RsaPrivateKey::new(&mut OsRng, RSA_BITS).map_err(|_| "could not be generated")?;
            PrivateKey::Rsa(Box::new(key))
        }
        KeyAlgorithm::ES256 => PrivateKey::P256(p256::SecretKey::random(&mut OsRng)),
        KeyAlgorithm::ES384 => PrivateKey::P384(p384::SecretKey::random(&mut OsRng)),
        KeyAlgorithm::ES512 => PrivateKey::P521(p521::SecretKey::random(&mut OsRng)),
        KeyAlgorithm::EdDSA => PrivateKey::Ed25519(Box::new(ed25519_dalek::SigningKey::generate(&mut OsRng))),
    };
    key.to_jwk(kid, algorithm.as_str()).ok_or("could not be generated")
}

/// Reads a private key: a JWK, a JWKS with one private key, or PEM. Keeps `kid` and `alg` of the key. A missing `kid`
/// stays empty; a missing `alg` becomes the usual one of the key's type.
///
/// # Errors
/// Why the text is not a usable key.
pub fn import(text: &str) -> Result<JsonWebKey, Problem> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") {
        if text.len() > PEM_LONGEST {
            return Err("is longer than 8 KiB, which is too long for a key in PEM form");
        }
        let key = PrivateKey::from_pem(text)?;
        return key.to_jwk("", key.usual_algorithm()).ok_or("is not a key");
    }
    let found: Value = serde_json::from_str(text).map_err(|_| "is neither a JWK, nor a JWKS, nor a key in PEM form")?;
    let members = match found {
        Value::Object(mut members) => match members.remove("keys") {
            None => members,
            Some(Value::Array(keys)) => only_private(keys)?,
            Some(_) => return Err("is a JWKS whose `keys` is not a list"),
        },
        _ => return Err("is neither a JWK, nor a JWKS, nor a key in PEM form"),
    };
    let own = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let key = PrivateKey::from_jwk(&members)?;
    let algorithm = own("alg").unwrap_or(key.usual_algorithm());
    if !key.suits(algorithm) {
        return Err("has an `alg` that does not match its key type");
    }
    if !own("kid").is_none_or(is_addressable) {
        return Err(
            "has a `kid` that is longer than 128 characters, or has characters other than letters, digits and `.`, `_`, `~`, `:`, `-`",
        );
    }
    if own("use").is_some_and(|usage| usage != "sig") {
        return Err("is not for signatures: its `use` is not `sig`");
    }
    key.to_jwk(own("kid").unwrap_or_default(), algorithm)
        .ok_or("is not a key")
}

/// Whether an id can be part of the path of a request, on every version of the server.
fn is_addressable(kid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:-".contains(&byte);
    kid.len() <= 128 && kid.bytes().all(plain) && !kid.contains("..") && kid != "."
}

/// Restores all members of a private key: Hydra 1 drops some that follow from others.
///
/// # Errors
/// Why it is not a usable key.
pub fn complete(key: &JsonWebKey) -> Result<JsonWebKey, Problem> {
    import(&String::from_utf8(key.body()).map_err(|_| "is not text")?)
}

/// A private key as PKCS #8 in PEM form (RFC 5958, RFC 7468). None if the key is public.
pub fn pem(key: &Map<String, Value>) -> Option<Secret> {
    let pem = match PrivateKey::from_jwk(key).ok()? {
        PrivateKey::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF).ok()?,
        PrivateKey::P256(key) => key.to_pkcs8_pem(LineEnding::LF).ok()?,
        PrivateKey::P384(key) => key.to_pkcs8_pem(LineEnding::LF).ok()?,
        PrivateKey::P521(key) => key.to_pkcs8_pem(LineEnding::LF).ok()?,
        PrivateKey::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF).ok()?,
    };
    Some(Secret::new(pem.to_string()))
}

/// The only private key of a set: a signer could not tell two apart.
fn only_private(keys: Vec<Value>) -> Result<Map<String, Value>, Problem> {
    let mut private = keys.into_iter().filter_map(|key| match key {
        Value::Object(members) if members.contains_key("d") => Some(members),
        _ => None,
    });
    match (private.next(), private.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err("holds no private key"),
        (Some(_), Some(_)) => Err("holds more than one private key"),
    }
}

impl PrivateKey {
    fn from_pem(text: &str) -> Result<Self, Problem> {
        if text.contains("ENCRYPTED") {
            return Err("is encrypted; decrypt it first");
        }
        if text.starts_with("-----BEGIN PUBLIC KEY") || text.starts_with("-----BEGIN CERTIFICATE") {
            return Err("holds no private key");
        }
        let rsa =
            || RsaPrivateKey::from_pkcs8_pem(text).or_else(|_| RsaPrivateKey::from_pkcs1_pem(text).map_err(|_| ()));
        if let Ok(key) = rsa() {
            return checked(key);
        }
        let p256 = || {
            p256::SecretKey::from_pkcs8_pem(text)
                .ok()
                .or_else(|| p256::SecretKey::from_sec1_pem(text).ok())
        };
        let p384 = || {
            p384::SecretKey::from_pkcs8_pem(text)
                .ok()
                .or_else(|| p384::SecretKey::from_sec1_pem(text).ok())
        };
        let p521 = || {
            p521::SecretKey::from_pkcs8_pem(text)
                .ok()
                .or_else(|| p521::SecretKey::from_sec1_pem(text).ok())
        };
        let ed25519 = || ed25519_dalek::SigningKey::from_pkcs8_pem(text).ok().map(Box::new);
        p256()
            .map(PrivateKey::P256)
            .or_else(|| p384().map(PrivateKey::P384))
            .or_else(|| p521().map(PrivateKey::P521))
            .or_else(|| ed25519().map(PrivateKey::Ed25519))
            .ok_or("is not an RSA, P-256, P-384, P-521 or Ed25519 key in PEM form")
    }

    fn from_jwk(members: &Map<String, Value>) -> Result<Self, Problem> {
        let bytes = |name: &str| {
            let text = members.get(name)?.as_str()?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
        let private = bytes("d").ok_or("holds no private key")?;
        let curve = match (text("kty"), text("crv")) {
            ("RSA", _) => {
                let too_long = |name: &&str| bytes(name).is_some_and(|bytes| bytes.len() * 8 > RSA_MOST_BITS);
                if ["n", "e", "d", "p", "q"].iter().any(too_long) {
                    return Err("is an RSA key of more than 8192 bits");
                }
                let is_zero = |name: &&str| bytes(name).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
                if ["n", "e", "d", "p", "q"].iter().any(is_zero) {
                    return Err("has parts that do not belong together");
                }
                let number = |name: &str| bytes(name).map(|bytes| BigUint::from_bytes_be(&bytes));
                let (Some(n), Some(e)) = (number("n"), number("e")) else {
                    return Err("has no modulus or no exponent");
                };
                let primes = [number("p"), number("q")].into_iter().flatten().collect();
                let d = BigUint::from_bytes_be(&private);
                let key = RsaPrivateKey::from_components(n, e, d, primes)
                    .map_err(|_| "has parts that do not belong together")?;
                return checked(key);
            }
            ("EC", "P-256") => p256::SecretKey::from_slice(&private).ok().map(PrivateKey::P256),
            ("EC", "P-384") => p384::SecretKey::from_slice(&private).ok().map(PrivateKey::P384),
            ("EC", "P-521") => p521::SecretKey::from_slice(&private).ok().map(PrivateKey::P521),
            ("OKP", "Ed25519") => {
                let seed: Option<[u8; 32]> = private.try_into().ok();
                seed.map(|seed| PrivateKey::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
            }
            _ => return Err("is of an unsupported type; use RSA, P-256, P-384, P-521 or Ed25519"),
        };
        let key = curve.ok_or("has a private part that is not valid for its curve")?;
        let public = key.public();
        let same = |name: &str| {
            let given = members
                .get(name)
                .and_then(Value::as_str)
                .map(|text| text.trim_end_matches('='));
            given.is_none() || given == public.get(name).and_then(Value::as_str)
        };
        match same("x") && same("y") {
            true => Ok(key),
            false => Err("has parts that do not belong together"),
        }
    }

    /// Algorithm of a key without `alg`.
    fn usual_algorithm(&self) -> &'static str {
        match self {
            PrivateKey::Rsa(_) => "RS256",
            PrivateKey::P256(_) => "ES256",
            PrivateKey::P384(_) => "ES384",
            PrivateKey::P521(_) => "ES512",
            PrivateKey::Ed25519(_) => "EdDSA",
        }
    }

    fn suits(&self, algorithm: &str) -> bool {
        match self {
            PrivateKey::Rsa(_) => ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].contains(&algorithm),
            other => other.usual_algorithm() == algorithm,
        }
    }

    /// Type and public members.
    fn public(&self) -> Map<String, Value> {
        let point = |curve: &str, x: Option<&[u8]>, y: Option<&[u8]>| json!({ "kty": "EC", "crv": curve, "x": encoded(x.unwrap_or_default()), "y": encoded(y.unwrap_or_default()) });
        let value = match self {
            PrivateKey::Rsa(key) => {
                json!({ "kty": "RSA", "n": encoded(&key.n().to_bytes_be()), "e": encoded(&key.e().to_bytes_be()) })
            }
            PrivateKey::P256(key) => {
                use p256::elliptic_curve::sec1::ToEncodedPoint;
                let public = key.public_key().to_encoded_point(false);
                point("P-256", public.x().map(|x| &x[..]), public.y().map(|y| &y[..]))
            }
            PrivateKey::P384(key) => {
                use p384::elliptic_curve::sec1::ToEncodedPoint;
                let public = key.public_key().to_encoded_point(false);
                point("P-384", public.x().map(|x| &x[..]), public.y().map(|y| &y[..]))
            }
            PrivateKey::P521(key) => {
                use p521::elliptic_curve::sec1::ToEncodedPoint;
                let public = key.public_key().to_encoded_point(false);
                point("P-521", public.x().map(|x| &x[..]), public.y().map(|y| &y[..]))
            }
            PrivateKey::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(key.verifying_key().as_bytes()) })
            }
        };
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    fn to_jwk(&self, kid: &str, algorithm: &str) -> Option<JsonWebKey> {
        let mut members = self.public();
        let mut hide = |name: &str, bytes: &[u8]| members.insert(name.to_owned(), encoded(bytes).into());
        match self {
            PrivateKey::Rsa(key) => {
                let [p, q, ..] = key.primes() else { return None };
                hide("d", &key.d().to_bytes_be());
                hide("p", &p.to_bytes_be());
                hide("q", &q.to_bytes_be());
                hide("dp", &key.dp()?.to_bytes_be());
                hide("dq", &key.dq()?.to_bytes_be());
                hide("qi", &key.qinv()?.to_biguint()?.to_bytes_be());
            }
            PrivateKey::P256(key) => drop(hide("d", &key.to_bytes())),
            PrivateKey::P384(key) => drop(hide("d", &key.to_bytes())),
            PrivateKey::P521(key) => drop(hide("d", &key.to_bytes())),
            PrivateKey::Ed25519(key) => drop(hide("d", &key.to_bytes())),
        }
        members.insert("kid".to_owned(), kid.into());
        members.insert("use".to_owned(), "sig".into());
        members.insert("alg".to_owned(), algorithm.into());
        JsonWebKey::parse(Value::Object(members))
    }
}

fn checked(mut key: RsaPrivateKey) -> Result<PrivateKey, Problem> {
    let bits = key.n().bits();
    if bits < RSA_BITS {
        return Err("is an RSA key of fewer than 2048 bits");
    }
    if bits > RSA_MOST_BITS {
        return Err("is an RSA key of more than 8192 bits");
    }
    key.validate().map_err(|_| "has parts that do not belong together")?;
    key.precompute().map_err(|_| "has parts that do not belong together")?;
    Ok(PrivateKey::Rsa(Box::new(key)))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
