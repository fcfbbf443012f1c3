//! Paths of the API.

/// The path of everything.
pub(super) const API: &str = "v1";

pub(super) fn path_of<'a>(below: &[&'a str]) -> Vec<&'a str> {
    [&[API], below].concat()
}
