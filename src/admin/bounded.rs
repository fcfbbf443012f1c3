//! Texts of servers that the operator keeps: in a status, an event, a log, or for a comparison. Each is short and on
//! one line, whatever the server sends.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Maximum length of an id or a name in bytes: no server has longer ones.
pub const ID: usize = 256;
/// Maximum length of a time or a version in bytes.
pub const WORD: usize = 64;

/// A text of at most `N` bytes without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bounded<const N: usize>(String);

/// A text is too long or has control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too long, or with control characters")]
pub struct Unbounded;

/// Whether a text has at most `bytes` bytes, no control characters, and no characters that change the writing
/// direction or start a new line.
pub fn fits(text: &str, bytes: usize) -> bool {
    text.len() <= bytes && !text.contains(is_odd)
}

/// A text for a terminal, on one line: what would control the terminal or change the writing direction is replaced.
pub fn printable(text: &str) -> String {
    text.replace(is_odd, "\u{fffd}")
}

fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl<const N: usize> TryFrom<String> for Bounded<N> {
    type Error = Unbounded;

    fn try_from(text: String) -> Result<Self, Unbounded> {
        match fits(&text, N) {
            true => Ok(Bounded(text)),
            false => Err(Unbounded),
        }
    }
}

impl<const N: usize> FromStr for Bounded<N> {
    type Err = Unbounded;

    fn from_str(text: &str) -> Result<Self, Unbounded> {
        match fits(text, N) {
            true => Ok(Bounded(text.to_owned())),
            false => Err(Unbounded),
        }
    }
}

impl<const N: usize> From<Bounded<N>> for String {
    fn from(text: Bounded<N>) -> String {
        text.0
    }
}

impl<const N: usize> Deref for Bounded<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> PartialEq<str> for Bounded<N> {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
}

impl<const N: usize> fmt::Display for Bounded<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_texts_on_one_line_pass() {
        let cases = [
            ("", true),
            ("2026-01-01T00:00:00Z", true),
            ("grün", true),
            ("0123456789012345678901234", true),
            ("01234567890123456789012345", false),
            ("a\nb", false),
            ("a\0", false),
            ("a\u{1b}[31m", false),
            ("a\u{202e}b", false),
            ("a\u{2028}b", false),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Bounded<25>>().is_ok(), expected, "{text:?}");
            let json = serde_json::Value::from(text);
            assert_eq!(
                serde_json::from_value::<Bounded<25>>(json).is_ok(),
                expected,
                "{text:?}"
            );
        }
    }
}
