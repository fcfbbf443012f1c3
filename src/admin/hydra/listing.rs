//! Listings, page after page, the same for everything that Hydra lists.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;

use super::{Dialect, Hydra};
use crate::admin::http::{Failure, Request};

/// Entries of a page of a listing: the most that every version accepts.
pub const PAGE_SIZE: usize = 500;
/// Most pages of one listing: a server that never ends is not believed.
const MAX_PAGES: usize = 2_000;

/// Where a listing stands.
#[derive(Default)]
pub struct Cursor {
    /// v2: the token of the next page.
    token: Option<String>,
    /// Tokens that were followed, or how pages began: a server that repeats one goes in circles.
    followed: HashSet<String>,
    /// Pages that were read.
    pages: usize,
    ended: bool,
}

impl Cursor {
    /// Whether a mark of a page is new.
    fn follows(&mut self, mark: &str) -> bool {
        self.followed.insert(mark.to_owned())
    }
}

const ENDLESS: Failure = Failure::Reply("does not come to an end");

impl Hydra {
    /// The entries of the next page, or None after the last. `limit` and `offset` on v1, `page_size` and `page_token` on v2.
    pub(super) async fn next_page(
        &self,
        operation: &'static str,
        path: &[&str],
        filter: &[(&str, &str)],
        cursor: &mut Cursor,
    ) -> Result<Option<Vec<Value>>, Failure> {
        if cursor.ended {
            return Ok(None);
        }
        let token = cursor.token.take();
        if cursor.pages == MAX_PAGES || token.as_ref().is_some_and(|token| !cursor.follows(token)) {
            return Err(ENDLESS);
        }
        let (size, offset) = (PAGE_SIZE.to_string(), (cursor.pages * PAGE_SIZE).to_string());
        let mut query = filter.to_vec();
        match self.version.dialect() {
            Dialect::V1 => query.extend([("limit", size.as_str()), ("offset", &offset)]),
            Dialect::V2 => {
                query.push(("page_size", &size));
                query.extend(token.as_deref().map(|token| ("page_token", token)));
            }
        }
        let path = self.path(path);
        let request = Request {
            query: &query,
            ..Request::new(operation, Method::GET, &path)
        };
        let reply = self.http.send(request).await?;
        let next = reply.link.as_deref().and_then(next_token);
        let Value::Array(entries) = reply.body else {
            return Err(Failure::Reply("is not a list"));
        };
        // v1 has no tokens: a server, or a cache before it, that does not heed the offset shows the first page again.
        let first = entries.first().map(Value::to_string).unwrap_or_default();
        if self.version.dialect() == Dialect::V1 && !cursor.follows(&first) {
            return Err(ENDLESS);
        }
        cursor.pages += 1;
        // Up to 2.3 a short page may name a next one that is empty; v1 names none that could be followed.
        let last = next.is_none() && self.version.dialect() == Dialect::V2;
        cursor.ended = last || entries.len() < PAGE_SIZE;
        cursor.token = next;
        Ok(Some(entries))
    }
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
