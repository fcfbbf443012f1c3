//! Whether a client on the server is the one of an earlier resource of the same name, and whether a resource takes it
//! over. Pure.
//!
//! A backup brings a resource and its Secrets back with new UIDs and without status and owners. What proves that a
//! client is the resource's own is its mark, which only the operator writes: a tenant can forge labels, annotations and
//! whole Secrets, but no mark, so nothing leads to the client of another namespace or name. The revision in the mark
//! proves that the Secrets are those of the client: nobody who never read its ledger or credentials Secret knows it. So
//! a namespace that was given to others does not give them the clients of those before.

use crate::access::KeptId;
use crate::admin::hydra::client::{Client, Marker};
use crate::error::{EarlierFault, Error};
use crate::origin::Origin;

/// How a client on the server is related to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kin {
    /// It does not exist.
    Gone,
    /// It has no mark.
    Unmarked,
    /// It has another mark.
    Other,
    /// It has the mark of this namespace and name in another cluster.
    OtherCluster(String),
    /// It has the mark of this resource.
    Ours,
    /// It has the mark of a resource with this namespace and name that does not exist any more.
    Earlier(Marker),
}

impl Kin {
    /// `ours`: the mark of the resource. `lives`: whether a resource has this UID.
    pub(crate) fn of(
        ours: &Marker,
        found: Option<&Client>,
        origin: impl Fn(&str) -> Origin,
        lives: impl Fn(&str) -> bool,
    ) -> Self {
        let Some(found) = found else { return Kin::Gone };
        let Some(mark) = found.marker() else {
            let is_free = found.is_unmarked() && found.owning_cluster().is_none();
            return if is_free { Kin::Unmarked } else { Kin::Other };
        };
        let is_namesakes = mark.namespace == ours.namespace && mark.name == ours.name;
        match origin(&mark.cluster) {
            Origin::Other if is_namesakes => Kin::OtherCluster(mark.cluster),
            Origin::Other => Kin::Other,
            Origin::Own | Origin::Former if mark.uid == ours.uid => Kin::Ours,
            Origin::Own | Origin::Former if is_namesakes && !lives(&mark.uid) => Kin::Earlier(mark),
            Origin::Own | Origin::Former => Kin::Other,
        }
    }
}

/// What a Secret says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// UID of the resource that the Secret belongs to, by its label.
    pub(crate) uid: String,
    /// Id of the client.
    pub(crate) client_id: String,
    /// Revision of the client's secret.
    pub(crate) revision: Option<String>,
}

/// What a resource asks for, and what the access rules say about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Consent {
    /// The rules on the id.
    pub(crate) rules: KeptId,
    /// Whether the spec requests the id.
    pub(crate) is_requested: bool,
    /// Whether the spec asks for the adoption of the client.
    pub(crate) adopts: bool,
}

/// What the cluster knows of the secret of a client that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The current secret, or the client has none.
    Current,
    /// Another secret, which replaces the one on the server.
    Older,
    /// None, so the client gets a new one.
    Lost,
}

/// What becomes of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has nothing to do with the resource.
    Pass,
    /// The resource keeps it.
    Keep(Known),
    /// Nothing is changed without consent.
    Refuse(Error),
}

/// Decides about the client of this id. `own`: the UID of the resource, whose own Secrets count as well: they were
/// written by an attempt that did not end.
pub(crate) fn judge(id: &str, kin: &Kin, ours: &Marker, evidence: &[Evidence], consent: Consent) -> Verdict {
    let named = evidence.iter().find(|evidence| evidence.client_id == id);
    match kin {
        Kin::Other => Verdict::Pass,
        Kin::Ours => Verdict::Keep(Known::Current),
        Kin::OtherCluster(cluster) => Verdict::Refuse(Error::OtherCluster {
            type_: "client",
            name: id.to_owned(),
            cluster: cluster.clone(),
        }),
        Kin::Earlier(mark) => of_earlier(id, mark, ours, evidence, consent),
        Kin::Unmarked if consent.is_requested => Verdict::Pass,
        Kin::Gone if consent.is_requested && consent.adopts => Verdict::Pass,
        Kin::Gone | Kin::Unmarked => match named {
            None => Verdict::Pass,
            Some(_) if *kin == Kin::Gone && (consent.is_requested || consent.rules.is_allowed) => {
                Verdict::Keep(Known::Current)
            }
            Some(named) => {
                let (id, namespace, uid) = (id.to_owned(), ours.namespace.clone(), named.uid.clone());
                Verdict::Refuse(match kin {
                    Kin::Gone => EarlierFault::Gone { id, namespace, uid }.into(),
                    _ => EarlierFault::Unmarked { id, namespace, uid }.into(),
                })
            }
        },
    }
}

fn of_earlier(id: &str, mark: &Marker, ours: &Marker, evidence: &[Evidence], consent: Consent) -> Verdict {
    let mut of_it = evidence
        .iter()
        .filter(|found| found.uid == mark.uid || found.uid == ours.uid);
    let is_current = |found: &Evidence| match mark.revision.as_str() {
        "" => true, // the operator never gave it a secret
        revision => found.revision.as_deref() == Some(revision),
    };
    let is_known = of_it.clone().any(is_current);
    let has_older = of_it.any(|found| found.revision.is_some());
    match is_known {
        true => Verdict::Keep(Known::Current),
        false if consent.adopts => Verdict::Pass, // an adoption has its own rules, and leaves the secret to its owners
        false if !consent.rules.is_listed => Verdict::Refuse(EarlierFault::Unproven(id.to_owned()).into()),
        false if mark.revision.is_empty() => Verdict::Keep(Known::Current),
        false if has_older => Verdict::Keep(Known::Older),
        false => Verdict::Keep(Known::Lost),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::GROUP;

    fn ours() -> Marker {
        Marker {
            cluster: "here".to_owned(),
            namespace: "team".to_owned(),
            name: "shop".to_owned(),
            uid: "new".to_owned(),
            ..Marker::default()
        }
    }

    fn client(change: Value) -> Client {
        let mut mark = json!({ "cluster": "here", "namespace": "team", "name": "shop", "uid": "old", "revision": "r" });
        for (name, value) in change.as_object().into_iter().flatten() {
            mark[name] = value.clone();
        }
        let parsed = Client::parse(json!({ "client_id": "old", "metadata": { GROUP: mark } }));
        parsed.expect("a client")
    }

    fn kin(found: Option<&Client>) -> Kin {
        let origin = |cluster: &str| Origin::of(cluster, "here", &["before".to_owned()]);
        Kin::of(&ours(), found, origin, |uid| uid == "alive")
    }

    #[test]
    fn only_the_mark_of_this_name_in_this_cluster_makes_a_client_that_of_an_earlier_resource() {
        let earlier = |change: Value| Kin::Earlier(client(change).marker().expect("a mark"));
        let table = [
            (json!({}), earlier(json!({}))),
            (json!({ "cluster": "before" }), earlier(json!({ "cluster": "before" }))),
            (json!({ "uid": "new" }), Kin::Ours),
            (json!({ "uid": "new", "cluster": "before" }), Kin::Ours),
            (json!({ "uid": "alive" }), Kin::Other),
            (json!({ "name": "other" }), Kin::Other),
            (json!({ "namespace": "others" }), Kin::Other),
            (
                json!({ "namespace": "others", "uid": "new", "cluster": "there" }),
                Kin::Other,
            ),
            (json!({ "cluster": "there" }), Kin::OtherCluster("there".to_owned())),
            (json!({ "cluster": "there", "name": "other" }), Kin::Other),
            (json!({ "name": null }), Kin::Other),
        ];
        for (change, expected) in table {
            assert_eq!(kin(Some(&client(change.clone()))), expected, "{change}");
        }
        let bare = |members: Value| Client::parse(members).expect("a client");
        assert_eq!(kin(None), Kin::Gone);
        assert_eq!(kin(Some(&bare(json!({ "client_id": "old" })))), Kin::Unmarked);
        let owned = bare(json!({ "client_id": "old", "owner": format!("{GROUP}/here") }));
        assert_eq!(kin(Some(&owned)), Kin::Other);
    }

    fn evidence(uid: &str, revision: Option<&str>) -> Evidence {
        Evidence {
            uid: uid.to_owned(),
            client_id: "old".to_owned(),
            revision: revision.map(str::to_owned),
        }
    }

    fn consent(is_listed: bool, is_allowed: bool) -> Consent {
        Consent {
            rules: KeptId { is_listed, is_allowed },
            ..Consent::default()
        }
    }

    /// A row: client, evidence, consent, verdict.
    type Row = (Option<Client>, Vec<Evidence>, Consent, Verdict);

    fn check(table: Vec<Row>) {
        for (number, (found, evidence, consent, expected)) in table.into_iter().enumerate() {
            let kin = kin(found.as_ref());
            let verdict = judge("old", &kin, &ours(), &evidence, consent);
            assert_eq!(verdict, expected, "row {number}: {kin:?} {evidence:?} {consent:?}");
        }
    }

    const REQUESTED: Consent = Consent {
        rules: KeptId {
            is_listed: false,
            is_allowed: false,
        },
        is_requested: true,
        adopts: false,
    };

    #[test]
    fn a_client_is_kept_with_proof_or_consent_only() {
        use Known::{Current, Lost, Older};
        let (none, allowed, listed) = (consent(false, false), consent(false, true), consent(true, true));
        let adopts = Consent { adopts: true, ..listed };
        let unproven = || Verdict::Refuse(EarlierFault::Unproven("old".to_owned()).into());
        let keep = Verdict::Keep;
        let marked = || Some(client(json!({})));
        let public = || Some(client(json!({ "revision": "" })));
        let one = |uid: &str, revision| vec![evidence(uid, revision)];
        let own = vec![evidence("new", Some("q")), evidence("new", Some("r"))];
        check(vec![
            (marked(), one("old", Some("r")), none, keep(Current)),
            (marked(), own, none, keep(Current)),
            (marked(), one("old", Some("q")), none, unproven()),
            (marked(), one("old", None), none, unproven()),
            (marked(), one("third", Some("r")), none, unproven()),
            (marked(), vec![], none, unproven()),
            (marked(), vec![], allowed, unproven()),
            (marked(), vec![], REQUESTED, unproven()),
            (marked(), one("old", Some("q")), listed, keep(Older)),
            (marked(), vec![], listed, keep(Lost)),
            (marked(), one("old", Some("r")), adopts, keep(Current)),
            (marked(), vec![], adopts, Verdict::Pass),
            (public(), one("old", None), none, keep(Current)),
            (public(), vec![], none, unproven()),
            (public(), vec![], listed, keep(Current)),
        ]);
    }

    #[test]
    fn a_client_without_a_mark_is_kept_with_consent_only() {
        let (none, allowed, listed) = (consent(false, false), consent(false, true), consent(true, true));
        let unmarked = || Client::parse(json!({ "client_id": "old" }));
        let others = || Some(client(json!({ "namespace": "others" })));
        let right = || vec![evidence("old", Some("r"))];
        let named = || ("old".to_owned(), "team".to_owned(), "old".to_owned());
        let (id, namespace, uid) = named();
        let gone = Verdict::Refuse(EarlierFault::Gone { id, namespace, uid }.into());
        let (id, namespace, uid) = named();
        let released = Verdict::Refuse(EarlierFault::Unmarked { id, namespace, uid }.into());
        check(vec![
            (None, right(), none, gone),
            (None, right(), allowed, Verdict::Keep(Known::Current)),
            (None, right(), REQUESTED, Verdict::Keep(Known::Current)),
            (None, vec![], listed, Verdict::Pass),
            (unmarked(), right(), none, released.clone()),
            (unmarked(), right(), allowed, released),
            (unmarked(), right(), REQUESTED, Verdict::Pass),
            (unmarked(), vec![], none, Verdict::Pass),
            (others(), right(), listed, Verdict::Pass),
        ]);
    }
}
