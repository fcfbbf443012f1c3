//! What the worker accepts as valid.

use super::reply::Failure;
use super::table::{Column, Order, Selection};

/// Longest name of a provider or client, in bytes.
const NAME_LONGEST: usize = 127;
/// Longest path, in bytes.
const PATH_LONGEST: usize = 511;
/// Entries of a page if no limit, or 0, is requested.
const LIMIT_DEFAULT: usize = 20;
/// Maximum entries of a page.
const LIMIT_MOST: usize = 1000;

/// `\w` of Go's regular expressions, which knows ASCII only.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a text has at least one byte, at most as many as a name may have, and only word or `allowed` bytes.
fn consists_of(text: &str, allowed: &[u8]) -> bool {
    let fits = (1..=NAME_LONGEST).contains(&text.len());
    fits && text.bytes().all(|byte| is_word(byte) || allowed.contains(&byte))
}

/// Whether a text can be the name of a provider.
pub(super) fn is_name(text: &str) -> bool {
    consists_of(text, b"-")
}

/// Whether a text can be the name of a client.
pub(super) fn is_client(text: &str) -> bool {
    text.is_empty() || consists_of(text, b"+.@=-")
}

/// Whether a text can be a path. It must end with a word byte and a slash, with at least one byte between the first
/// slash and these: `/a/` is not a path.
pub(super) fn is_path(text: &str) -> bool {
    if text == "/" {
        return true;
    }
    let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    inner.is_some_and(|inner| {
        let inner = inner.as_bytes();
        let allowed = |byte: &u8| is_word(*byte) || b"+/-".contains(byte);
        text.len() <= PATH_LONGEST
            && !text.contains("//")
            && inner.len() >= 2
            && inner.iter().all(allowed)
            && inner.last().is_some_and(|last| is_word(*last))
    })
}

/// The parameters in the query of a request. Names are case-sensitive, and of two with the same name, the first counts.
pub(super) struct Filter {
    offset: usize,
    limit: usize,
    org: String,
    path_prefix: String,
    order_by: String,
}

impl Filter {
    /// Reads a query. The worker does this for every call, even for calls that do not need it.
    ///
    /// # Errors
    /// When a number is invalid.
    pub(super) fn read(query: &str) -> Result<Self, Failure> {
        let get = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            value.unwrap_or_default()
        };
        let number = |name: &str| {
            let text = get(name);
            match text.as_str() {
                "" => Ok(0),
                text => text
                    .parse::<i64>()
                    .ok()
                    .and_then(|number| usize::try_from(number).ok())
                    .ok_or_else(|| Failure::invalid(format!("Invalid parameter: {name} {text}"))),
            }
        };
        Ok(Self {
            offset: number("Offset")?,
            limit: number("Limit")?,
            org: get("Org"),
            path_prefix: get("PathPrefix"),
            order_by: get("OrderBy"),
        })
    }

    /// The selection for a list.
    ///
    /// # Errors
    /// When something is not valid.
    pub(super) fn selection(self) -> Result<Selection, Failure> {
        let invalid = |what: &str, value: &str| Err(Failure::invalid(format!("Invalid parameter: {what} {value}")));
        if !self.org.is_empty() && !is_name(&self.org) {
            return invalid("org", &self.org);
        }
        if !self.path_prefix.is_empty() && !is_path(&self.path_prefix) {
            return invalid("pathPrefix", &self.path_prefix);
        }
        if self.limit > LIMIT_MOST {
            let Self { limit, .. } = self;
            let message = format!("Invalid parameter: limit {limit}, max limit allowed: {LIMIT_MOST}");
            return Err(Failure::invalid(message));
        }
        let order = match self.order_by.as_str() {
            "" => None,
            text => Some(order(text)?),
        };
        let path_prefix = match self.path_prefix.as_str() {
            "" => "/".to_owned(),
            _ => self.path_prefix,
        };
        let limit = match self.limit {
            0 => LIMIT_DEFAULT,
            limit => limit,
        };
        Ok(Selection {
            path_prefix,
            offset: self.offset,
            limit,
            order,
        })
    }
}

fn order(text: &str) -> Result<Order, Failure> {
    let directed = text.rsplit_once('-').filter(|(column, direction)| {
        text.len() <= NAME_LONGEST
            && !column.is_empty()
            && column.bytes().all(is_word)
            && ["asc", "desc"].contains(direction)
    });
    let Some((column, direction)) = directed else {
        return Err(Failure::invalid(format!("Invalid parameter: OrderBy {text}")));
    };
    let column = match column {
        "name" => Column::Name,
        "path" => Column::Path,
        "create_at" => Column::CreateAt,
        "update_at" => Column::UpdateAt,
        "urn" => Column::Urn,
        other => return Err(Failure::invalid(format!("Invalid parameter: OrderBy column {other}"))),
    };
    Ok(Order {
        column,
        descending: direction == "desc",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_client_ids_are_checked_as_by_the_worker() {
        let long = "a".repeat(NAME_LONGEST + 1);
        let table = [
            ("a", true, true),
            ("A_9-", true, true),
            ("a.b", false, true),
            ("a=b+c@d", false, true),
            ("", false, true),
            ("a b", false, false),
            ("a%", false, false),
            ("ä", false, false),
            (&long, false, false),
            (&long[1..], true, true),
        ];
        for (text, name, client) in table {
            assert_eq!((is_name(text), is_client(text)), (name, client), "{text}");
        }
    }

    #[test]
    fn paths_are_checked_as_by_the_worker() {
        let long = format!("/{}/", "a".repeat(PATH_LONGEST - 2));
        for path in ["/", "/ab/", "/a/b/", "/-a/", "/a+_/", "/a-b/c/", &long] {
            assert!(is_path(path), "{path}");
        }
        let too_long = format!("/a{}", &long[1..]);
        for path in [
            "", "//", "/a/", "/a-/", "/ab", "ab/", "/a//b/", "///ab/", "/a b/", "/a.b/", "*", &too_long,
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
