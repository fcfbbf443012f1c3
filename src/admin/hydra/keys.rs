//! JSON Web Keys that Hydra keeps in sets: generate, get, put, delete.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::Hydra;
use super::key::{JsonWebKey, JsonWebKeySet};
use super::wire::{self, is_absent, is_conflict};
use crate::admin::http::{Body, Failure, Request};

/// Which key Hydra is to generate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GenerateKey {
    /// Algorithm: `RS256`, `ES256`, `ES512` or `EdDSA` on every version; `HS256` and `HS512` on version 1 only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alg: String,
    /// Id; the server chooses one if it is empty. Version 1 puts `private:` and `public:` before it, and makes an entry of either.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kid: String,
    /// What it is for: `sig` or `enc`.
    #[serde(rename = "use", skip_serializing_if = "String::is_empty")]
    pub usage: String,
}

impl Hydra {
    /// `create_json_web_key_set`: generates a key and adds it to a set, which it creates if there is none. Returns the new entries only. None if the
    /// set has a key of that id.
    ///
    /// Not to be repeated blindly: with an id, a lost reply shows as a taken one; without, it leaves a key that nobody knows. An `RS256` key has 4096
    /// bits and may take the server longer than a request may last.
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

    /// `get_json_web_key_set`. None if there is none of that name; an empty set is none. Version 2 creates a set that it signs with.
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

    /// `get_json_web_key`. None if the set has none of that id.
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
                .ok_or(Failure::Reply("speaks of another key")),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `update_json_web_key_set`: replaces a set, or creates it. All keys count as new then, so the signer may change. Without keys it is deleted.
    ///
    /// # Errors
    /// [`Failure`]; 409 if two keys have one id.
    pub async fn update_key_set(&self, set: &str, keys: &JsonWebKeySet) -> Result<JsonWebKeySet, Failure> {
        let path = self.path(&["keys", set]);
        let request = Request {
            body: Some(Body::Json(keys.body())),
            ..Request::new("update_json_web_key_set", Method::PUT, &path)
        };
        key_set(self.http.send(request).await?.body)
    }

    /// `update_json_web_key`: replaces the key of that id, or adds it. It counts as new then, so the signer may change.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn update_key(&self, set: &str, key: &JsonWebKey) -> Result<JsonWebKey, Failure> {
        // The server goes by the id in the body, whatever the path says.
        let path = self.path(&["keys", set, &key.public.kid]);
        let request = Request {
            body: Some(Body::Json(key.body())),
            ..Request::new("update_json_web_key", Method::PUT, &path)
        };
        JsonWebKey::parse(self.http.send(request).await?.body).ok_or(Failure::Reply("is not a key"))
    }

    /// `delete_json_web_key`. Fine if the set has none of that id. A trusted issuer whose key it is goes with it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_key(&self, set: &str, kid: &str) -> Result<(), Failure> {
        let path = self.path(&["keys", set, kid]);
        self.deleted(Request::new("delete_json_web_key", Method::DELETE, &path))
            .await
    }

    /// `delete_json_web_key_set`. Fine if there is none of that name. Trusted issuers whose keys are in it go with it.
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
        false => Err(Failure::Reply("has a key that is larger than any real one")),
    }
}
