//! Listings in pages, the same for everything that Hydra lists.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use reqwest::Method;
use serde_json::Value;

use super::{Dialect, Hydra};
use crate::admin::http::{Expects, Failure, Reply, Request, items};

/// Entries per page of a listing: the maximum that every version accepts.
pub const PAGE_SIZE: usize = 500;
/// Sizes in which to request parts of a page that is too large, down to one entry. Each size divides the one before,
/// since version 1 rounds an offset down to a multiple of the limit.
const SIZES: [usize; 6] = [PAGE_SIZE, 250, 125, 25, 5, 1];
/// Maximum number of entries of one listing, in case the server never ends it.
const MAX_ENTRIES: usize = 1_000_000;
/// Maximum number of requests of one listing, including those whose reply is too large.
const MAX_REQUESTS: usize = 4_000;
/// Maximum number of entries of one listing that are skipped because each alone is larger than a page may be.
const MAX_PASSED_OVER: usize = 64;
/// Maximum length of a page token in bytes.
const TOKEN_BYTES: usize = 4096;

/// Position in a listing.
#[derive(Default)]
pub struct Cursor {
    /// v2: the token of the next page.
    token: Option<String>,
    /// Tokens that were followed, or hashes of pages: a server that repeats one is in a loop.
    followed: HashSet<String>,
    /// Number of entries before this position.
    behind: usize,
    /// How often the size was reduced at this position.
    halved: usize,
    requests: usize,
    passed_over: usize,
    ended: bool,
}

impl Cursor {
    /// How many entries were skipped so far, since each alone was larger than a page may be.
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// Whether a token or a hash of a page is new.
    fn follows(&mut self, mark: &str) -> bool {
        self.followed.insert(mark.to_owned())
    }

    /// Number of entries to request: a full page, unless that was too large at this position.
    fn size(&self) -> usize {
        let mut sizes = SIZES.into_iter().filter(|size| self.behind.is_multiple_of(*size));
        sizes.nth(self.halved).unwrap_or(1)
    }

    /// Moves past these entries. The next request starts with the full size again.
    fn advance(&mut self, entries: usize, next: Option<String>) {
        self.behind += entries;
        self.halved = 0;
        self.token = next;
    }
}

const ENDLESS: Failure = Failure::Reply("does not end");

impl Hydra {
    /// The entries of the next page, or None after the last. Uses `limit` and `offset` on v1, `page_size` and
    /// `page_token` on v2. An entry that is nested too deeply is None. A page that is too large is requested in parts;
    /// an entry that alone is too large is skipped.
    pub(super) async fn next_page<T>(
        &self,
        operation: &'static str,
        path: &[&str],
        filter: &[(&str, &str)],
        cursor: &mut Cursor,
        decode: impl Fn(Value) -> T,
    ) -> Result<Option<Vec<Option<T>>>, Failure> {
        let is_v1 = self.version.dialect() == Dialect::V1;
        while !cursor.ended {
            let size = cursor.size();
            if cursor.behind >= MAX_ENTRIES || cursor.requests == MAX_REQUESTS {
                return Err(ENDLESS);
            }
            let is_first_try = cursor.halved == 0;
            if is_first_try && cursor.token.clone().is_some_and(|token| !cursor.follows(&token)) {
                return Err(ENDLESS);
            }
            cursor.requests += 1;
            let reply = match self.page(operation, path, filter, cursor, size).await {
                Err(Failure::TooLarge(_)) if size > 1 => {
                    cursor.halved += 1;
                    continue;
                }
                // A reply without links is not a page of a listing.
                Err(Failure::TooLarge(link)) => {
                    cursor.passed_over += 1;
                    let link = link.filter(|_| cursor.passed_over <= MAX_PASSED_OVER);
                    let next = next_token(Some(&link.ok_or(Failure::TooLarge(None))?))?;
                    cursor.ended = next.is_none() && !is_v1;
                    cursor.advance(1, next);
                    continue;
                }
                reply => reply?,
            };
            let next = next_token(reply.link.as_deref())?;
            let entries = items(&reply.text, size, &decode)?;
            // v1 has no tokens: a server, or a cache before it, that ignores the offset returns the first page again.
            if is_v1 && !cursor.follows(&print_of(&reply.text)) {
                return Err(ENDLESS);
            }
            // Up to 2.3 a short page may link to a next page that is empty; links of v1 cannot be followed.
            cursor.ended = next.is_none() && !is_v1 || entries.len() < size;
            cursor.advance(size, next);
            return Ok(Some(entries));
        }
        Ok(None)
    }

    async fn page(
        &self,
        operation: &'static str,
        path: &[&str],
        filter: &[(&str, &str)],
        cursor: &Cursor,
        size: usize,
    ) -> Result<Reply, Failure> {
        let (size, offset) = (size.to_string(), cursor.behind.to_string());
        let mut query = filter.to_vec();
        match self.version.dialect() {
            Dialect::V1 => query.extend([("limit", size.as_str()), ("offset", &offset)]),
            Dialect::V2 => {
                query.push(("page_size", &size));
                query.extend(cursor.token.as_deref().map(|token| ("page_token", token)));
            }
        }
        let path = self.path(path);
        let request = Request {
            query: &query,
            expects: Expects::Items,
            ..Request::new(operation, Method::GET, &path)
        };
        self.http.send(request).await
    }
}

/// A hash that distinguishes pages.
fn print_of(text: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// The `page_token` of the link with `rel="next"` (RFC 8288). Its host and path are not used: they are the server's own
/// view of its address.
fn next_token(link: Option<&str>) -> Result<Option<String>, Failure> {
    let token = link.and_then(|link| {
        let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
        let target = next.split_once('<')?.1.split_once('>')?.0;
        let query = target.split_once('?')?.1;
        let mut members = url::form_urlencoded::parse(query.as_bytes());
        members.find_map(|(key, token)| (key == "page_token").then(|| token.into_owned()))
    });
    match token {
        Some(token) if token.len() > TOKEN_BYTES => Err(Failure::Reply("has a page token that is too long")),
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_the_link_header() {
        let link = r#"</admin/clients?page_size=500&page_token=first>; rel="first",</admin/clients?page_token=a%2Bb&page_size=500>; rel="next""#;
        assert_eq!(next_token(Some(link)), Ok(Some("a+b".to_owned())));
        assert_eq!(
            next_token(Some(r#"</admin/clients?page_token=x>; rel="first""#)),
            Ok(None)
        );
        let long = format!("</admin/clients?page_token={}>; rel=\"next\"", "x".repeat(5000));
        assert!(next_token(Some(&long)).is_err());
    }

    /// Each part of a page is requested once, and the next page in full size again. On version 1 each offset is a
    /// multiple of its limit.
    #[test]
    fn a_page_is_asked_for_in_parts_that_the_server_can_count() {
        let too_large = [7, 312];
        let mut cursor = Cursor::default();
        let mut asked = Vec::new();
        while cursor.behind < 1000 {
            let size = cursor.size();
            assert_eq!(cursor.behind % size, 0);
            asked.push((cursor.behind, size));
            let fits = !too_large
                .iter()
                .any(|at| (cursor.behind..cursor.behind + size).contains(at));
            match (fits, size) {
                (true, _) | (false, 1) => cursor.advance(size, None),
                (false, _) => cursor.halved += 1,
            }
        }
        assert_eq!(cursor.behind, 1000);
        assert_eq!(asked.last(), Some(&(500, 500)));
        assert_eq!(asked.iter().filter(|(_, size)| *size == 1).count(), 10);
        assert!(asked.len() < 40, "{asked:?}");
        let places: HashSet<_> = asked.iter().collect();
        assert_eq!(places.len(), asked.len(), "requested twice: {asked:?}");
    }
}
