//! Clients: list, create, get, update, delete, and the patch that nothing calls.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::wire::{self, is_absent, is_conflict};
use super::{Client, Dialect, Hydra};
use crate::admin::http::{Body, Failure, Reply, Request};
use crate::secret::Secret;

pub use super::listing::{Cursor, PAGE_SIZE};

/// One change of a document (RFC 6902, section 4). The paths are JSON Pointers (RFC 6901) to members of a client, such as `/scope`. Hydra 2 takes
/// `add`, `remove` and `replace` alone. No Debug: a value may be a secret.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum JsonPatchOperation {
    /// Puts a member there, or an element into a list.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes away what is there. Up to 2.3 it clears nothing.
    Remove {
        /// What.
        path: String,
    },
    /// Puts another value there.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value from one place to another.
    Move {
        /// From where.
        from: String,
        /// To where.
        path: String,
    },
    /// Puts a value to another place too.
    Copy {
        /// From where.
        from: String,
        /// To where.
        path: String,
    },
    /// Fails the patch if something else is there.
    Test {
        /// Where.
        path: String,
        /// What must be there.
        value: Value,
    },
}

impl Hydra {
    /// `list_o_auth2_clients`: the next page of the clients with this owner.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_clients(&self, owner: &str, cursor: &mut Cursor) -> Result<Option<Vec<Client>>, Failure> {
        let filter = [("owner", owner)];
        let decode = |entry: Value| entry.is_object().then(|| Client::parse(entry));
        let page = self.next_page("list_o_auth2_clients", &["clients"], &filter, cursor, decode);
        let Some(entries) = page.await? else { return Ok(None) };
        if entries.contains(&Some(None)) {
            return Err(Failure::Reply("is not a list of clients"));
        }
        // One that cannot be read must not hide all others; whoever it belongs to will miss it and look.
        Ok(Some(entries.into_iter().flatten().flatten().flatten().collect()))
    }

    /// `list_o_auth2_clients`, one client: whether the login is good. Passes an open circuit breaker.
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

    /// `get_o_auth2_client`. None if there is none of that id.
    ///
    /// # Errors
    /// [`Failure`]; a 404 that is not Hydra's own is one.
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

    /// `update_o_auth2_client`: replaces everything but the secret, and that too if one is given. None if there is none of that id.
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

    /// `patch_o_auth2_client`: a JSON Patch. None if there is none of that id.
    ///
    /// Nothing in the operator calls it, and nothing should: up to 1.10.7 Hydra hashes the secret anew on each patch, so that the client is locked
    /// out; up to 2.3 no member can be cleared by it, and a client with a `jwks_uri` cannot be patched at all; a patch of `/client_id` overwrites
    /// the client of that id. [`Hydra::update_client`] does what it should do. It is here so that the API is whole.
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

    /// `delete_o_auth2_client`. Fine if there is none of that id.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_client(&self, id: &str) -> Result<(), Failure> {
        let path = self.path(&["clients", id]);
        self.deleted(Request::new("delete_o_auth2_client", Method::DELETE, &path))
            .await
    }
}

fn one(reply: Reply, id: &str) -> Result<Client, Failure> {
    let client = Client::parse(reply.body).ok_or(Failure::Reply("is not a client"))?;
    // Some databases compare ids without regard to case.
    if client.client_id == id {
        Ok(client)
    } else {
        Err(Failure::Reply("speaks of another client"))
    }
}
