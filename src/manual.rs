//! The published documentation, to which messages refer. Pure.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use url::Url;

use crate::api::condition::{Reason, Wanted};

/// Where the documentation is published, if messages refer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manual {
    /// URL without a slash at the end.
    base: Option<String>,
}

/// Reads the URL of the published documentation. An empty text, as an empty value of the chart leaves, means none.
///
/// # Errors
/// Why messages cannot refer to the URL.
pub fn parse(text: &str) -> Result<Manual, &'static str> {
    const LONGEST: usize = 200;
    if text.is_empty() {
        return Ok(Manual::default());
    }
    let url = Url::parse(text).map_err(|_| "not a URL such as https://docs.example.com/oidc-operator")?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("the URL must begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must have no user, query or fragment, because everybody who reads a message sees it");
    }
    let base = url.as_str().trim_end_matches('/').to_owned();
    if base.len() > LONGEST {
        return Err("the URL is longer than 200 bytes");
    }
    Ok(Manual { base: Some(base) })
}

impl Manual {
    /// Appends a link to the page of its reason to the message of each condition that calls for action.
    pub fn refer(&self, mut conditions: Vec<Wanted>) -> Vec<Wanted> {
        for condition in &mut conditions {
            if let Some(link) = self.link(condition.reason) {
                condition.message += &link;
            }
        }
        conditions
    }

    /// Returns stored conditions without the links, as they were compared and made.
    pub fn plain<'a>(&self, conditions: &'a [Condition]) -> Cow<'a, [Condition]> {
        if self.base.is_none() {
            return Cow::Borrowed(conditions);
        }
        let mut plain = conditions.to_vec();
        for condition in &mut plain {
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == condition.reason);
            let link = reason.and_then(|reason| self.link(*reason));
            if let Some(message) = link.and_then(|link| condition.message.strip_suffix(&link).map(str::to_owned)) {
                condition.message = message;
            }
        }
        Cow::Owned(plain)
    }

    /// The sentence that refers to the page of a reason. None if there is nothing to do.
    fn link(&self, reason: Reason) -> Option<String> {
        let base = self.base.as_deref()?;
        match reason {
            Reason::Available | Reason::Suspended => None,
            _ => Some(format!(" See {base}/reasons/{}.html.", reason.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{READY, merge};
    use k8s_openapi::jiff::Timestamp;

    const URL: &str = "https://docs.example.com/oidc-operator";

    fn wanted(reason: Reason, message: &str) -> Wanted {
        Wanted {
            type_: READY,
            status: "False",
            reason,
            message: message.to_owned(),
        }
    }

    #[test]
    fn only_urls_that_anybody_may_see_are_accepted() {
        let table = [
            ("", true),
            (URL, true),
            ("http://docs.internal/", true),
            ("docs.example.com", false),
            ("ftp://docs.example.com", false),
            ("https://me:secret@docs.example.com", false),
            ("https://docs.example.com/?token=1", false),
            ("https://docs.example.com/#top", false),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).is_ok(), expected, "{text}");
        }
        assert!(parse(&format!("{URL}/{}", "a".repeat(200))).is_err());
        assert_eq!(parse(&format!("{URL}/")), parse(URL));
    }

    #[test]
    fn a_message_that_calls_for_action_ends_with_a_link() {
        let manual = parse(URL).expect("a URL");
        let none = Manual::default();
        let table = [
            (
                Reason::NotAllowed,
                "Ask the admin. See https://docs.example.com/oidc-operator/reasons/NotAllowed.html.",
            ),
            (Reason::Available, "Ask the admin."),
            (Reason::Suspended, "Ask the admin."),
        ];
        for (reason, expected) in table {
            let plain = vec![wanted(reason, "Ask the admin.")];
            assert_eq!(none.refer(plain.clone()), plain);
            let linked = manual.refer(plain.clone());
            assert_eq!(linked, [wanted(reason, expected)]);
            let stored = merge(&[], linked, 1, Timestamp::UNIX_EPOCH);
            assert_eq!(none.plain(&stored), stored);
            assert_eq!(manual.plain(&stored), merge(&[], plain, 1, Timestamp::UNIX_EPOCH));
        }
    }
}
