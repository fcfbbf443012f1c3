//! Read → compare → write, decided: a pure function of what is wanted and what is there.

use super::hydra::client::{Client, Marker};

/// What is known of the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// `updated_at` of the reply to our own last write, if one came.
    pub updated_at: Option<&'a str>,
    /// Whether somebody may have written since: the sweep said so, or drift was looked for.
    pub must_read: bool,
    /// Whether what is somebody else's may become ours.
    pub may_take_over: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as it should be.
    Nothing,
    /// There is none.
    Create,
    /// It differs.
    Update {
        /// Names of the members that differ.
        fields: Vec<String>,
        /// Whether the secret goes along.
        with_secret: bool,
        /// Whether somebody else wrote after our last confirmed write.
        foreign: bool,
    },
    /// It is somebody else's.
    NotOwned,
}

/// Compares. `wanted` carries our marker with the ledger's revision.
pub fn decide(wanted: &Client, observed: Option<&Client>, known: Known<'_>) -> Step {
    let Some(observed) = observed else { return Step::Create };
    let (Some(ours), theirs) = (wanted.marker(), observed.marker()) else {
        return Step::NotOwned;
    };
    if !known.may_take_over && !owns(&ours, &wanted.client_id, observed, theirs.as_ref()) {
        return Step::NotOwned;
    }
    let fields = wanted.differences(observed);
    let moved = match (known.updated_at, observed.updated_at.as_deref()) {
        (Some(last), Some(now)) => !same_instant(last, now),
        // Without a confirmed write of ours, equal revisions say that our request arrived; a later look wants it confirmed.
        (None, _) => known.must_read,
        (Some(_), None) => false,
    };
    let foreign_revision = theirs.is_none_or(|marker| marker.revision != ours.revision);
    let becomes_confidential =
        observed.token_endpoint_auth_method == "none" && wanted.token_endpoint_auth_method != "none";
    let with_secret = foreign_revision || moved || becomes_confidential;
    if fields.is_empty() && !with_secret {
        return Step::Nothing;
    }
    Step::Update {
        fields,
        with_secret,
        foreign: moved && known.updated_at.is_some(),
    }
}

/// Ours is what carries our UID; also a client whose id *is* our UID, if it carries nobody else's mark: other tools drop members that they do not know.
pub fn owns(ours: &Marker, client_id: &str, observed: &Client, theirs: Option<&Marker>) -> bool {
    match theirs {
        Some(marker) => marker.uid == ours.uid,
        None => client_id == ours.uid && !observed.metadata.contains_key(crate::api::GROUP),
    }
}

/// Whether one time of the server is later than another; any is later than none.
pub fn is_later(one: Option<&str>, other: Option<&str>) -> bool {
    let instant = |time: Option<&str>| time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    instant(one) > instant(other)
}

/// Whether two times of the server are the same write. A database that keeps whole seconds rounds what its reply still had.
pub fn same_instant(ours: &str, listed: &str) -> bool {
    if ours == listed {
        return true;
    }
    let (Ok(a), Ok(b)) = (ours.parse::<jiff::Timestamp>(), listed.parse::<jiff::Timestamp>()) else {
        return false;
    };
    if listed.contains('.') {
        a == b
    } else {
        a.duration_since(b).abs() <= jiff::SignedDuration::from_secs(1)
    }
}
