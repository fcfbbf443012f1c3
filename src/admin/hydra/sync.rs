//! Decides what to write: a pure function of the wanted and the observed client.

use super::client::{Client, Marker};
use crate::api::GROUP;
use crate::origin::Origin;

/// What is known of the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// `updated_at` of the reply to our own last write, if one came.
    pub updated_at: Option<&'a str>,
    /// Whether another writer may have written since: the sweep reported it, or the pass checks for drift.
    pub must_read: bool,
    /// Whether an object of another owner may be taken over.
    pub may_take_over: bool,
    /// Whether the wanted client is the one of the last success.
    pub is_settled: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is as wanted.
    Nothing,
    /// The client does not exist.
    Create,
    /// The client differs.
    Update {
        /// Names of the members that differ.
        fields: Vec<String>,
        /// Whether to send the secret as well.
        with_secret: bool,
        /// Whether another writer wrote after our last confirmed write.
        foreign: bool,
    },
    /// Nobody wrote since our last write, so the server stores other values than it was sent. Another write would not
    /// help.
    NotKept(Vec<String>),
    /// The client belongs to another owner.
    NotOwned,
}

/// Compares the wanted and the observed client. `wanted` carries our marker with the ledger's revision.
pub fn decide(wanted: &Client, observed: Option<&Client>, known: Known<'_>) -> Step {
    let Some(observed) = observed else { return Step::Create };
    let (Some(ours), theirs) = (wanted.marker(), observed.marker()) else {
        return Step::NotOwned;
    };
    // The marker of a former cluster has already been rewritten.
    if !known.may_take_over && ownership(&ours, &[], None, observed) != Ownership::Ours {
        return Step::NotOwned;
    }
    let fields = wanted.differences(observed);
    let moved = match (known.updated_at, observed.updated_at.as_deref()) {
        (Some(last), Some(now)) => !same_instant(last, now),
        // Without a confirmed write of ours, equal revisions show that our request arrived. A later check writes again
        // to get a confirmation.
        (None, _) => known.must_read,
        (Some(_), None) => false,
    };
    let foreign_revision = theirs.is_none_or(|marker| marker.revision != ours.revision);
    let becomes_confidential =
        observed.token_endpoint_auth_method == "none" && wanted.token_endpoint_auth_method != "none";
    let with_secret = foreign_revision || moved || becomes_confidential;
    let is_our_write = observed
        .updated_at
        .as_deref()
        .is_some_and(|now| now.contains('.') && known.updated_at.is_some_and(|last| same_instant(last, now)));
    if known.is_settled && is_our_write && !with_secret && !fields.is_empty() {
        return Step::NotKept(fields);
    }
    if fields.is_empty() && !with_secret {
        return Step::Nothing;
    }
    Step::Update {
        fields,
        with_secret,
        foreign: moved && known.updated_at.is_some(),
    }
}

/// The owner of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The resource.
    Ours,
    /// The resource, with the marker of this former cluster: the marker is rewritten before any other change.
    Former(String),
    /// Another cluster with this id, whatever UID the marker has.
    OtherCluster(String),
    /// Another resource, or none.
    Others,
}

/// A client is ours if its marker has our cluster and UID. It is also ours if its id *is* our UID and it has no other
/// marker: other tools drop unknown members. `former`: ids of clusters whose markers are taken over. `kept_by`: the
/// cluster in which the resource was last in sync with the server; a client without any marker belongs to it.
pub fn ownership(ours: &Marker, former: &[String], kept_by: Option<&str>, observed: &Client) -> Ownership {
    let of = |cluster: &str, is_this: bool| match Origin::of(cluster, &ours.cluster, former) {
        Origin::Other => Ownership::OtherCluster(cluster.to_owned()),
        Origin::Own if is_this => Ownership::Ours,
        Origin::Former if is_this => Ownership::Former(cluster.to_owned()),
        Origin::Own | Origin::Former => Ownership::Others,
    };
    if let Some(theirs) = observed.marker() {
        return of(&theirs.cluster, theirs.uid == ours.uid);
    }
    let is_this = observed.client_id == ours.uid && !observed.metadata.contains_key(GROUP);
    match observed.owning_cluster() {
        Some(cluster) => of(cluster, is_this),
        None if is_this => of(kept_by.unwrap_or(&ours.cluster), true),
        None => Ownership::Others,
    }
}

/// Whether one time of the server is later than another; any time is later than none.
pub fn is_later(one: Option<&str>, other: Option<&str>) -> bool {
    let instant = |time: Option<&str>| time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    instant(one) > instant(other)
}

/// Whether two times of the server are of the same write. A database that stores whole seconds rounds the time that the
/// reply had.
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
