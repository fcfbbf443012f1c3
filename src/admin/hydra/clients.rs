//! Clients: list, create, get, update, delete.
//!
//! PATCH is left out on purpose: Hydra 1.10 hashes the secret anew on each, no version up to 2.3 can clear a member by it, and its body can name another
//! client's id.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;

use super::{Client, Dialect, Hydra, is_absent};
use crate::admin::http::{Failure, Reply, Request};
use crate::secret::Secret;

/// Clients on a page of a listing: the most that every version accepts.
pub const PAGE_SIZE: usize = 500;
/// Most pages of one listing: a server that never ends is not believed.
const MAX_PAGES: usize = 2_000;

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
    /// v2: the token of the next page.
    token: Option<String>,
    /// Tokens that were followed: a server that repeats one goes in circles.
    followed: HashSet<String>,
    /// Pages that were read.
    pages: usize,
    ended: bool,
}

impl Hydra {
    /// `list_o_auth2_clients`: the next page of the clients with this owner.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_clients(&self, owner: &str, cursor: &mut Cursor) -> Result<Option<Vec<Client>>, Failure> {
        if cursor.ended {
            return Ok(None);
        }
        let token = cursor.token.take();
        let repeated = token
            .as_ref()
            .is_some_and(|token| !cursor.followed.insert(token.clone()));
        if repeated || cursor.pages == MAX_PAGES {
            return Err(Failure::Reply("does not come to an end"));
        }
        let (size, offset) = (PAGE_SIZE.to_string(), (cursor.pages * PAGE_SIZE).to_string());
        let mut query = vec![("owner", owner)];
        match self.version.dialect() {
            Dialect::V1 => query.extend([("limit", size.as_str()), ("offset", &offset)]),
            Dialect::V2 => {
                query.push(("page_size", &size));
                query.extend(token.as_deref().map(|token| ("page_token", token)));
            }
        }
        let path = self.path(&["clients"]);
        let request = Request {
            query: &query,
            ..Request::new("list_o_auth2_clients", Method::GET, &path)
        };
        let page = page(self.http.send(request).await?)?;
        cursor.pages += 1;
        // Up to 2.3 a short page may name a next one that is empty; v1 names none that could be followed.
        let last = page.next.is_none() && self.version.dialect() == Dialect::V2;
        cursor.ended = last || page.size < PAGE_SIZE;
        cursor.token = page.next;
        Ok(Some(page.clients))
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
            body: Some(client.body(secret)),
            ..Request::new("create_o_auth2_client", Method::POST, &path)
        };
        match self.http.send(request).await {
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
        let path = self.path(&["clients", id]);
        let request = Request {
            body: Some(client.body(secret)),
            ..Request::new("update_o_auth2_client", Method::PUT, &path)
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
        let request = Request::new("delete_o_auth2_client", Method::DELETE, &path);
        match self.http.send(request).await {
            Ok(_) => Ok(()),
            Err(failure) if is_absent(&failure) => Ok(()),
            Err(failure) => Err(failure),
        }
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
