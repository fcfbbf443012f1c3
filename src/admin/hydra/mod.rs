//! Ory Hydra's admin API (v2): typed calls, wire types, and pure mappings from specs.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;

use super::http::{Failure, Http, Reply, Request};
use crate::secret::Secret;

pub mod client;
pub mod mapping;

pub use client::Client;

/// Clients on a page of a listing: the most that every version accepts.
pub const PAGE_SIZE: usize = 500;
/// Most pages of one listing: a server that never ends is not believed.
const MAX_PAGES: usize = 2_000;

/// The admin API of one Hydra server.
pub struct Hydra {
    http: Http,
}

/// A page of a listing of clients.
struct Page {
    /// The clients that could be read.
    clients: Vec<Client>,
    /// How many there were.
    size: usize,
    /// Token of the next page.
    next: Option<String>,
}

/// Where a listing stands.
#[derive(Default)]
pub struct Cursor {
    token: Option<String>,
    /// Tokens that were followed: a server that repeats one goes in circles.
    followed: HashSet<String>,
    ended: bool,
}

impl Hydra {
    /// Speaks to this endpoint.
    pub fn new(http: Http) -> Self {
        Hydra { http }
    }

    /// The endpoint.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// `get_version`: the version that the server reports. Also the probe of the circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn version(&self) -> Result<String, Failure> {
        let reply = self
            .http
            .send(Request {
                probe: true,
                ..Request::new("get_version", Method::GET, &["version"])
            })
            .await?;
        let version = reply
            .body
            .get("version")
            .and_then(Value::as_str)
            .filter(|v| !v.is_empty() && v.len() <= 64 && v.bytes().all(|b| b.is_ascii_graphic()));
        version.map(str::to_owned).ok_or(Failure::Reply("holds no version"))
    }

    /// `list_o_auth2_clients`: the next page of the clients with this owner.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_clients(&self, owner: &str, cursor: &mut Cursor) -> Result<Option<Vec<Client>>, Failure> {
        if cursor.ended {
            return Ok(None);
        }
        let size = PAGE_SIZE.to_string();
        let mut query = vec![("owner", owner), ("page_size", size.as_str())];
        let token = cursor.token.take();
        let repeated = token
            .as_ref()
            .is_some_and(|token| !cursor.followed.insert(token.clone()));
        if repeated || cursor.followed.len() == MAX_PAGES {
            return Err(Failure::Reply("does not come to an end"));
        }
        query.extend(token.as_deref().map(|token| ("page_token", token)));
        let request = Request {
            query: &query,
            ..Request::new("list_o_auth2_clients", Method::GET, &["admin", "clients"])
        };
        let page = page(self.http.send(request).await?)?;
        cursor.ended = page.next.is_none() || page.size < PAGE_SIZE;
        cursor.token = page.next;
        Ok(Some(page.clients))
    }

    /// `list_o_auth2_clients`, one client: whether the login is good. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn probe_clients(&self) -> Result<(), Failure> {
        let request = Request::new("list_o_auth2_clients", Method::GET, &["admin", "clients"]);
        self.http
            .send(Request {
                query: &[("page_size", "1")],
                probe: true,
                ..request
            })
            .await
            .map(|_| ())
    }

    /// `get_o_auth2_client`. None if there is none of that id.
    ///
    /// # Errors
    /// [`Failure`]; a 404 that is not Hydra's own is one.
    pub async fn get_client(&self, id: &str) -> Result<Option<Client>, Failure> {
        match self
            .http
            .send(Request::new(
                "get_o_auth2_client",
                Method::GET,
                &["admin", "clients", id],
            ))
            .await
        {
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
        let body = Some(client.body(secret));
        match self
            .http
            .send(Request {
                body,
                ..Request::new("create_o_auth2_client", Method::POST, &["admin", "clients"])
            })
            .await
        {
            Ok(reply) => one(reply, &client.client_id).map(Some),
            Err(Failure::Status {
                code: 409,
                error: Some(_),
                ..
            }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `update_o_auth2_client`: replaces everything but the secret, and that too if one is given. None if there is none of that id.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn update_client(&self, client: &Client, secret: Option<&Secret>) -> Result<Option<Client>, Failure> {
        let id = client.client_id.as_str();
        let body = Some(client.body(secret));
        match self
            .http
            .send(Request {
                body,
                ..Request::new("update_o_auth2_client", Method::PUT, &["admin", "clients", id])
            })
            .await
        {
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
        match self
            .http
            .send(Request::new(
                "delete_o_auth2_client",
                Method::DELETE,
                &["admin", "clients", id],
            ))
            .await
        {
            Ok(_) => Ok(()),
            Err(failure) if is_absent(&failure) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// Only Hydra's own 404 says that a client is absent; a 404 of a proxy or of a wrong path looks different, and creating clients for it would be wrong.
fn is_absent(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Status {
            code: 404,
            error: Some(_),
            ..
        }
    )
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

fn page(reply: Reply) -> Result<Page, Failure> {
    let next = reply.link.as_deref().and_then(next_token);
    let Value::Array(items) = reply.body else {
        return Err(Failure::Reply("is not a list"));
    };
    if !items.iter().all(Value::is_object) {
        return Err(Failure::Reply("is not a list of clients"));
    }
    let size = items.len();
    // One that cannot be read must not hide all others; whoever it belongs to will miss it and look.
    let clients = items.into_iter().filter_map(Client::parse).collect();
    Ok(Page { clients, size, next })
}

/// The `page_token` of the link with `rel="next"` (RFC 8288). Its host and path are the server's own idea of itself and are not used.
fn next_token(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let target = next.split_once('<')?.1.split_once('>')?.0;
    let query = target.split_once('?')?.1;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "page_token")
        .map(|(_, token)| token.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_the_link_header() {
        let link = r#"</admin/clients?page_size=500&page_token=first>; rel="first",</admin/clients?page_token=a%2Bb&page_size=500>; rel="next""#;
        assert_eq!(next_token(link).as_deref(), Some("a+b"));
        assert_eq!(next_token(r#"</admin/clients?page_token=x>; rel="first""#), None);
    }
}
