//! JSON Web Keys that Hydra keeps in sets: generate, get, put, delete.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::Hydra;
use super::key::{JsonWebKey, JsonWebKeySet};
use super::wire::{self, is_absent, is_conflict};
use crate::admin::http::{Body, Failure, Request};

/// The key that Hydra is to generate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GenerateKey {
    /// Algorithm: `RS256`, `ES256`, `ES512` or `EdDSA` on every version; `HS256` and `HS512` on version 1 only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alg: String,
    /// Id; the server chooses one if it is empty. Version 1 creates two entries, with the prefixes `private:` and
    /// `public:`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kid: String,
    /// Intended use: `sig` or `enc`.
    #[serde(rename = "use", skip_serializing_if = "String::is_empty")]
    pub usage: String,
}

impl Hydra {
    /// `create_json_web_key_set`: generates a key and adds it to a set, which it creates if necessary. Returns the new
    /// entries only. None if the set has a key of that id.
    ///
    /// Do not retry blindly. If the reply is lost, a retry with an id finds the id taken; without an id, an unknown key
    /// stays behind. An `RS256` key has 4096 bits, and generating it may take the server longer than the deadline of a
    /// request.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn create_key_set(&self, set: &str, key: &GenerateKey) -> Result<Option<JsonWebKeySet>, Failure> {
        let path = self.path(&["keys", set]);
        let request = Request {
            body: Some(wire::json(key)),
            ..Request::new("create_json_web_key_set", Method::POST, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => key_set(reply.body).map(Some),
            Err(failure) if is_conflict(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `get_json_web_key_set`. None if it does not exist; an empty set counts as missing. Version 2 creates a set that
    /// it signs with.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get_key_set(&self, set: &str) -> Result<Option<JsonWebKeySet>, Failure> {
        let path = self.path(&["keys", set]);
        let request = Request::new("get_json_web_key_set", Method::GET, &path);
        match self.http.send(request).await {
            Ok(reply) => key_set(reply.body).map(Some),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `get_json_web_key`. None if the set has no key of that id.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get_key(&self, set: &str, kid: &str) -> Result<Option<JsonWebKey>, Failure> {
        let path = self.path(&["keys", set, kid]);
        let request = Request::new("get_json_web_key", Method::GET, &path);
        match self.http.send(request).await {
            // Some databases compare ids without regard to case.
            Ok(reply) => key_set(reply.body)?
                .keys
                .into_iter()
                .find(|key| key.public.kid == kid)
                .map(Some)
                .ok_or(Failure::Reply("describes another key")),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `update_json_web_key_set`: replaces or creates a set. All keys then count as new, so the signer may use another
    /// key. Without keys the set is deleted.
    ///
    /// # Errors
    /// [`Failure`]; 409 if two keys have the same id.
    pub async fn update_key_set(&self, set: &str, keys: &JsonWebKeySet) -> Result<JsonWebKeySet, Failure> {
        let path = self.path(&["keys", set]);
        let request = Request {
            body: Some(Body::Json(keys.body())),
            ..Request::new("update_json_web_key_set", Method::PUT, &path)
        };
        key_set(self.http.send(request).await?.body)
    }

    /// `update_json_web_key`: replaces or adds the key of that id. It then counts as new, so the signer may use another
    /// key.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn update_key(&self, set: &str, key: &JsonWebKey) -> Result<JsonWebKey, Failure> {
        // The server uses the id in the body, whatever the path says.
        let path = self.path(&["keys", set, &key.public.kid]);
        let request = Request {
            body: Some(Body::Json(key.body())),
            ..Request::new("update_json_web_key", Method::PUT, &path)
        };
        JsonWebKey::parse(self.http.send(request).await?.body).ok_or(Failure::Reply("is not a key"))
    }

    /// `delete_json_web_key`. Succeeds if the set has no key of that id. Also deletes a trusted issuer with this key.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_key(&self, set: &str, kid: &str) -> Result<(), Failure> {
        let path = self.path(&["keys", set, kid]);
        self.deleted(Request::new("delete_json_web_key", Method::DELETE, &path))
            .await
    }

    /// `delete_json_web_key_set`. Succeeds if it does not exist. Also deletes trusted issuers with keys in it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_key_set(&self, set: &str) -> Result<(), Failure> {
        let path = self.path(&["keys", set]);
        self.deleted(Request::new("delete_json_web_key_set", Method::DELETE, &path))
            .await
    }
}

fn key_set(reply: Value) -> Result<JsonWebKeySet, Failure> {
    let set = JsonWebKeySet::parse(reply).ok_or(Failure::Reply("is not a set of keys"))?;
    match set.keys.iter().all(JsonWebKey::is_bounded) {
        true => Ok(set),
        false => Err(Failure::Reply("has a key that is too large")),
    }
}
