//! Clients: list, create, get, update, delete, and patch, which the operator never calls.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::client::is_marked;
use super::wire::{self, is_absent, is_conflict};
use super::{Client, Dialect, Hydra};
use crate::admin::http::{Body, Failure, Reply, Request};
use crate::secret::Secret;

pub use super::listing::{Cursor, PAGE_SIZE};

/// One change of a document (RFC 6902, section 4). The paths are JSON Pointers (RFC 6901) to members of a client, such
/// as `/scope`. Hydra 2 accepts `add`, `remove` and `replace` only. No Debug: a value may be a secret.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum JsonPatchOperation {
    /// Adds a member, or an element to a list.
    Add {
        /// Target.
        path: String,
        /// New value.
        value: Value,
    },
    /// Removes a value. Up to 2.3 it clears nothing.
    Remove {
        /// Target.
        path: String,
    },
    /// Replaces a value.
    Replace {
        /// Target.
        path: String,
        /// New value.
        value: Value,
    },
    /// Moves a value.
    Move {
        /// Source.
        from: String,
        /// Target.
        path: String,
    },
    /// Copies a value.
    Copy {
        /// Source.
        from: String,
        /// Target.
        path: String,
    },
    /// Fails the patch if the value is different.
    Test {
        /// Target.
        path: String,
        /// Expected value.
        value: Value,
    },
}

impl Hydra {
    /// `list_o_auth2_clients`: from the next page, the clients with a marker of any cluster or with an id that
    /// `is_known`. The others, of which there may be many, are not parsed.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_clients(
        &self,
        is_known: impl Fn(&str) -> bool,
        cursor: &mut Cursor,
    ) -> Result<Option<Vec<Client>>, Failure> {
        let decode = |entry: Value| {
            let id = entry.as_object()?.get("client_id").and_then(Value::as_str);
            let is_wanted = is_marked(&entry) || id.is_some_and(&is_known);
            Some(is_wanted.then(|| Client::parse(entry)).flatten())
        };
        let page = self.next_page("list_o_auth2_clients", &["clients"], &[], cursor, decode);
        let Some(entries) = page.await? else { return Ok(None) };
        if entries.contains(&Some(None)) {
            return Err(Failure::Reply("is not a list of clients"));
        }
        // A client that cannot be read must not hide all others. Its resource misses it and reads it.
        Ok(Some(entries.into_iter().flatten().flatten().flatten().collect()))
    }

    /// `list_o_auth2_clients`, one client: whether the login is valid. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn probe_clients(&self) -> Result<(), Failure> {
        let path = self.path(&["clients"]);
        let query = match self.version.dialect() {
            Dialect::V1 => [("limit", "1")],
            Dialect::V2 => [("page_size", "1")],
        };
        self.http
            .send(Request {
                query: &query,
                probe: true,
                ..Request::new("list_o_auth2_clients", Method::GET, &path)
            })
            .await
            .map(|_| ())
    }

    /// `get_o_auth2_client`. None if it does not exist.
    ///
    /// # Errors
    /// [`Failure`]; also a 404 that is not Hydra's own.
    pub async fn get_client(&self, id: &str) -> Result<Option<Client>, Failure> {
        let path = self.path(&["clients", id]);
        let request = Request::new("get_o_auth2_client", Method::GET, &path);
        match self.http.send(request).await {
            Ok(reply) => one(reply, id).map(Some),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `create_o_auth2_client`. None if the id is taken.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn create_client(&self, client: &Client, secret: Option<&Secret>) -> Result<Option<Client>, Failure> {
        let path = self.path(&["clients"]);
        let request = Request {
            body: Some(Body::Json(client.body(secret))),
            ..Request::new("create_o_auth2_client", Method::POST, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => one(reply, &client.client_id).map(Some),
            Err(failure) if is_conflict(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `update_o_auth2_client`: replaces everything but the secret, and the secret too if one is given. None if it does
    /// not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn update_client(&self, client: &Client, secret: Option<&Secret>) -> Result<Option<Client>, Failure> {
        let id = client.client_id.as_str();
        let path = self.path(&["clients", id]);
        let request = Request {
            body: Some(Body::Json(client.body(secret))),
            ..Request::new("update_o_auth2_client", Method::PUT, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => one(reply, id).map(Some),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `patch_o_auth2_client`: a JSON Patch. None if it does not exist.
    ///
    /// The operator does not call it and should not. Up to 1.10.7 Hydra hashes the secret again on each patch, so that
    /// the client is locked out. Up to 2.3 a patch cannot clear a member, and a client with a `jwks_uri` cannot be
    /// patched at all. A patch of `/client_id` overwrites the client of that id. Use [`Hydra::update_client`] instead;
    /// the patch exists so that the API is complete.
    ///
    /// # Errors
    /// [`Failure`]; a patch that cannot be applied is a 500.
    pub async fn patch_client(&self, id: &str, patch: &[JsonPatchOperation]) -> Result<Option<Client>, Failure> {
        let path = self.path(&["clients", id]);
        let request = Request {
            body: Some(wire::json(&patch)),
            ..Request::new("patch_o_auth2_client", Method::PATCH, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => one(reply, id).map(Some),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `delete_o_auth2_client`. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_client(&self, id: &str) -> Result<(), Failure> {
        let path = self.path(&["clients", id]);
        self.deleted(Request::new("delete_o_auth2_client", Method::DELETE, &path))
            .await
    }
}

/// The client in a reply about one.
pub(super) fn one(reply: Reply, id: &str) -> Result<Client, Failure> {
    let client = Client::parse(reply.body).ok_or(Failure::Reply("is not a client"))?;
    // Some databases compare ids without regard to case.
    if client.client_id == id {
        Ok(client)
    } else {
        Err(Failure::Reply("describes another client"))
    }
}
