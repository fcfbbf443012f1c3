//! The identity engine of HashiCorp Vault and OpenBao as an OpenID Connect provider (`identity/oidc`): typed calls,
//! wire types, pure mappings.
//!
//! Every object has a name and no version. A write is an upsert in which an omitted field keeps its value, so each
//! write carries every field. None of these objects has a place for a marker.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Map, Value};

use super::http::{Body, Expects, Failure, Http, Reply, Request};
use crate::error::Outage;
use path::{API, path_of};

pub mod health;
pub mod identity;
pub mod login;
pub mod object;
mod path;
pub mod release;
pub mod session;

pub use health::Health;
pub use login::{Jwt, Login};
pub use object::{Assignment, Client, Key, Object, Provider, Scope};
pub use release::{Help, Limit, Release};
pub use session::Session;

/// A namespace that cannot exist: the server reserves its name.
const NO_NAMESPACE: &str = "sys";

/// One Vault or OpenBao, within one of its namespaces.
#[derive(Clone)]
pub struct Vault {
    session: Arc<Session>,
    /// The namespace that the objects are in; empty: the root namespace.
    namespace: String,
}

/// A listing of the objects of one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Their names, each with its fields if the server lists them.
    pub objects: BTreeMap<String, Option<Map<String, Value>>>,
}

impl Vault {
    /// Client for one namespace of a server; the empty string is the root namespace.
    pub fn new(session: Arc<Session>, namespace: &str) -> Self {
        Vault {
            session,
            namespace: namespace.to_owned(),
        }
    }

    /// The endpoint.
    pub fn http(&self) -> &Http {
        self.session.http()
    }

    /// The login.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the login or the objects are in a namespace other than the root.
    pub fn uses_namespaces(&self) -> bool {
        !self.namespace.is_empty() || self.session.uses_namespaces()
    }

    /// Whether the server has namespaces, found out without a login: a server that has none ignores that a namespace is
    /// requested. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`]; another reply than that of a server with or without namespaces.
    pub async fn has_namespaces(&self) -> Result<bool, Failure> {
        let path = path_of(&[
            "identity",
            "oidc",
            "provider",
            object::DEFAULT,
            ".well-known",
            "openid-configuration",
        ]);
        let request = Request {
            probe: true,
            headers: vec![(session::NAMESPACE, NO_NAMESPACE)],
            ..Request::new("discovery", Method::GET, &path)
        };
        match self.http().send(request).await {
            Ok(_) => Ok(false),
            Err(Failure::Status {
                code: 404, description, ..
            }) if session::names_namespace(&description) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// The server's own help for clients. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn help(&self) -> Result<Help, Failure> {
        let path = path_of(&["identity", "oidc", Client::TYPE, "name"]);
        let request = || Request {
            query: &[("help", "1")],
            probe: true,
            ..Request::new("help", Method::GET, &path)
        };
        let reply = self.session.send(&self.namespace, request).await?;
        Ok(Help::parse(&reply.body))
    }

    /// Whether the objects are in a namespace other than the root.
    pub fn is_in_namespace(&self) -> bool {
        !self.namespace.is_empty()
    }

    /// Path of a provider's issuer. Its discovery document and keys are below it.
    pub fn provider_path(&self, name: &str) -> Vec<String> {
        let parents = self.namespace.split('/').filter(|segment| !segment.is_empty());
        let path = [API]
            .into_iter()
            .chain(parents)
            .chain(["identity", "oidc", "provider", name]);
        path.map(str::to_owned).collect()
    }

    /// Reads an object. None if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn read<O: Object>(&self, name: &str) -> Result<Option<O>, Failure> {
        let found = self.get(O::READ, &["identity", "oidc", O::TYPE, name]).await?;
        let Some(data) = found else { return Ok(None) };
        let object =
            serde_json::from_value(data).map_err(|_| Failure::Reply("lacks a field or has one of the wrong type"))?;
        Ok(Some(object))
    }

    /// Creates an object, or overwrites all its fields.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn write<O: Object>(&self, name: &str, object: &O) -> Result<(), Failure> {
        let body =
            serde_json::to_vec(object).map_err(|_| Failure::Reply("cannot be requested: a field cannot be sent"))?;
        self.post(O::WRITE, &["identity", "oidc", O::TYPE, name], body, false)
            .await
            .map(drop)
    }

    /// Deletes an object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`Failure`]; a status of 400 if another object refers to it.
    pub async fn delete<O: Object>(&self, name: &str) -> Result<(), Failure> {
        let path = path_of(&["identity", "oidc", O::TYPE, name]);
        let request = || Request::new(O::DELETE, Method::DELETE, &path);
        self.session.send(&self.namespace, request).await.map(drop)
    }

    /// Creates a new signing key. The previous key still verifies tokens for its verification TTL.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn rotate(&self, key: &str) -> Result<(), Failure> {
        let path = ["identity", "oidc", Key::TYPE, key, "rotate"];
        self.post("rotate_key", &path, b"{}".to_vec(), false).await.map(drop)
    }

    /// Lists all objects of a type in one reply: the server has no pages.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list<O: Object>(&self) -> Result<Listed, Failure> {
        let path = path_of(&["identity", "oidc", O::TYPE]);
        let request = || Request {
            query: &[("list", "true")],
            ..Request::new(O::LIST, Method::GET, &path)
        };
        let Some(data) = found(self.session.send(&self.namespace, request).await)? else {
            return Ok(Listed::default());
        };
        let names = data.get("keys").and_then(Value::as_array);
        let names = names.ok_or(Failure::Reply("is not a list"))?;
        let info = |name: &str| data.get("key_info")?.get(name)?.as_object().cloned();
        let objects = names.iter().filter_map(Value::as_str);
        Ok(Listed {
            objects: objects.map(|name| (name.to_owned(), info(name))).collect(),
        })
    }

    /// The data at a path. None if there is no object; a path that the server does not know is a failure.
    async fn get(&self, operation: &'static str, path: &[&str]) -> Result<Option<Value>, Failure> {
        let path = path_of(path);
        let request = || Request::new(operation, Method::GET, &path);
        found(self.session.send(&self.namespace, request).await)
    }

    async fn post(&self, operation: &'static str, path: &[&str], body: Vec<u8>, reads: bool) -> Result<Reply, Failure> {
        let path = path_of(path);
        let request = || Request {
            body: Some(Body::Json(body.clone())),
            expects: Expects::Json,
            reads,
            ..Request::new(operation, Method::POST, &path)
        };
        self.session.send(&self.namespace, request).await
    }
}

/// The data of a reply. The server's own 404 without errors means that the object does not exist; a 404 with errors
/// means that the path does not exist.
fn found(reply: Result<Reply, Failure>) -> Result<Option<Value>, Failure> {
    match reply {
        Err(Failure::Status {
            code: 404,
            error: Some(_),
            description,
        }) if description.is_empty() => Ok(None),
        Err(failure) => Err(settled(failure)),
        Ok(mut reply) => match reply.body.get_mut("data").map(Value::take) {
            Some(Value::Null) | None => Ok(None),
            Some(data) => Ok(Some(data)),
        },
    }
}

/// Vault Enterprise answers 412 while a replica lags behind what the caller has seen.
fn settled(failure: Failure) -> Failure {
    match failure {
        Failure::Status { code: 412, .. } => Failure::Outage(Outage::Busy),
        other => other,
    }
}
