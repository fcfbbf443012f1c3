//! Paths of the API.

/// First segment of every path.
pub(super) const API: &str = "v1";

pub(super) fn path_of<'a>(below: &[&'a str]) -> Vec<&'a str> {
    [&[API], below].concat()
}
