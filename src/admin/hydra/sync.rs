//! Read → compare → write, decided: a pure function of what is wanted and what is there.

use super::client::{Client, Marker};
use crate::api::GROUP;
use crate::origin::Origin;

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
    // The mark of a former cluster was rewritten before.
    if !known.may_take_over && ownership(&ours, &[], None, observed) != Ownership::Ours {
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

/// Whose a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The resource's.
    Ours,
    /// The resource's, marked by a former cluster: the mark is rewritten before anything else is done with it.
    Former(String),
    /// Another cluster's, of this id, whatever UID the mark has.
    OtherCluster(String),
    /// Another resource's, or nobody's.
    Others,
}

/// Ours is what carries our cluster and our UID; also a client whose id *is* our UID, if it carries nobody else's mark: other tools drop members that they do
/// not know. `former`: ids of clusters whose marks are taken over; `kept_by`: the cluster that the resource was last in step with the server from, which
/// answers for a client without any mark.
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
