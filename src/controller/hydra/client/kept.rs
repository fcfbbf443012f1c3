//! Whether a resource takes over a client that an earlier resource of its name registered. Pure.
//!
//! A backup brings a resource and its Secrets back with new UIDs and without status and owners. What proves that a
//! client is the resource's own is its mark, which only the operator writes: a tenant can forge labels, annotations and
//! whole Secrets, but no mark, so nothing leads to the client of another namespace or name. The revision in the mark
//! proves that the Secrets are those of the client: nobody who never read its ledger or credentials Secret knows it. So
//! a namespace that was given to others does not give them the clients of those before. Only a public client has
//! nothing but the label of its Secret, and nothing to steal either.

use super::id::is_uuid;
use super::kin::Kin;
use crate::access::KeptId;
use crate::admin::hydra::client::Marker;
use crate::error::{EarlierFault, Error};

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
    /// Whether the id is that of another resource.
    pub(crate) is_taken: bool,
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

/// Decides about the client of this id.
pub(crate) fn judge(id: &str, kin: &Kin, ours: &Marker, evidence: &[Evidence], consent: Consent) -> Verdict {
    let named = || evidence.iter().filter(|evidence| evidence.client_id == id);
    match kin {
        Kin::Other => Verdict::Pass,
        Kin::Ours => Verdict::Keep(Known::Current),
        Kin::OtherCluster(cluster) => Verdict::Refuse(Error::OtherCluster {
            type_: "client",
            name: id.to_owned(),
            cluster: cluster.clone(),
        }),
        Kin::Earlier { mark, is_public } => {
            let is_proven = named().any(|found| proves(found, mark, *is_public));
            let has_older = named().any(|found| found.uid != ours.uid && found.revision.is_some());
            match is_proven {
                true if may_have(id, mark, consent) => Verdict::Keep(Known::Current),
                true => Verdict::Refuse(EarlierFault::Denied(id.to_owned()).into()),
                false => unproven(id, mark, *is_public, has_older, consent),
            }
        }
        // The rules on a requested id have been checked as those of any new client.
        Kin::Gone if consent.is_taken && !consent.is_requested => Verdict::Pass,
        Kin::Unmarked if consent.is_requested => Verdict::Pass,
        Kin::Gone if consent.is_requested && consent.adopts => Verdict::Pass,
        Kin::Gone | Kin::Unmarked => match named().next() {
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

/// Whether a Secret that names a client belongs to it: it knows the revision of the client's secret, whatever its label
/// says, which may be older or younger than the mark.
fn proves(found: &Evidence, mark: &Marker, is_public: bool) -> bool {
    match mark.revision.as_str() {
        "" => is_public && found.uid == mark.uid,
        revision => found.revision.as_deref() == Some(revision),
    }
}

/// Whether the rules let a resource have this id. Those on an id that the spec does not request are checked only here.
fn may_have(id: &str, mark: &Marker, consent: Consent) -> bool {
    match mark.adopted {
        _ if consent.is_requested => true,
        true => consent.rules.is_listed,
        false => consent.rules.is_allowed || is_uuid(id), // a generated one
    }
}

fn unproven(id: &str, mark: &Marker, is_public: bool, has_older: bool, consent: Consent) -> Verdict {
    let has_revision = !mark.revision.is_empty();
    if consent.adopts {
        return Verdict::Pass; // an adoption has its own rules, and leaves the secret to its owners
    }
    match consent.rules.is_listed {
        true if !has_revision => Verdict::Keep(Known::Current), // the operator never gave it a secret
        true if has_older => Verdict::Keep(Known::Older),
        true => Verdict::Keep(Known::Lost),
        false if has_revision || is_public => Verdict::Refuse(EarlierFault::Unproven(id.to_owned()).into()),
        false => Verdict::Refuse(EarlierFault::Unprovable(id.to_owned()).into()),
    }
}

/// How well a Secret knows the secret of a client that is kept; the least number is the best. None: it names another
/// client. `own`: the UID of the resource.
pub(crate) fn rank(found: &Evidence, id: &str, kin: &Kin, own: &str) -> Option<u8> {
    let is_own = found.uid == own;
    match kin {
        _ if found.client_id != id => None,
        Kin::Ours => Some(u8::from(!is_own)),
        Kin::Earlier { mark, .. } if found.revision.as_deref() == Some(&mark.revision) => Some(0),
        // An attempt before the Secrets came back made a secret that nobody uses.
        _ => Some(1 + u8::from(is_own)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generated id.
    const ID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    fn ours() -> Marker {
        Marker {
            cluster: "here".to_owned(),
            namespace: "team".to_owned(),
            name: "shop".to_owned(),
            uid: "new".to_owned(),
            ..Marker::default()
        }
    }

    fn earlier(revision: &str, adopted: bool, is_public: bool) -> Kin {
        let (revision, uid) = (revision.to_owned(), "old".to_owned());
        let mark = Marker {
            uid,
            revision,
            adopted,
            ..ours()
        };
        Kin::Earlier { mark, is_public }
    }

    fn marked() -> Kin {
        earlier("r", false, false)
    }

    fn evidence(uid: &str, revision: Option<&str>) -> Evidence {
        Evidence {
            uid: uid.to_owned(),
            client_id: ID.to_owned(),
            revision: revision.map(str::to_owned),
        }
    }

    fn consent(is_listed: bool, is_allowed: bool) -> Consent {
        Consent {
            rules: KeptId { is_listed, is_allowed },
            ..Consent::default()
        }
    }

    /// A row: kin, evidence, consent, verdict.
    type Row = (Kin, Vec<Evidence>, Consent, Verdict);

    fn check(table: Vec<Row>) {
        check_of(ID, table);
    }

    fn check_of(id: &str, table: Vec<Row>) {
        for (number, (kin, mut evidence, consent, expected)) in table.into_iter().enumerate() {
            for found in evidence.iter_mut().filter(|found| found.client_id == ID) {
                found.client_id = id.to_owned();
            }
            let verdict = judge(id, &kin, &ours(), &evidence, consent);
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
        is_taken: false,
    };

    #[test]
    fn a_client_is_kept_with_proof_or_consent_only() {
        use Known::{Current, Lost, Older};
        let (none, allowed, listed) = (consent(false, false), consent(false, true), consent(true, true));
        let adopts = Consent { adopts: true, ..listed };
        let unproven = || Verdict::Refuse(EarlierFault::Unproven(ID.to_owned()).into());
        let unprovable = || Verdict::Refuse(EarlierFault::Unprovable(ID.to_owned()).into());
        let keep = Verdict::Keep;
        let public = || earlier("", false, true);
        let keyed = || earlier("", false, false);
        let adopted = || earlier("", true, false);
        let of_others = |uid: &str, revision| {
            let client_id = "another".to_owned();
            let found = evidence(uid, revision);
            vec![Evidence { client_id, ..found }]
        };
        let one = |uid: &str, revision| vec![evidence(uid, revision)];
        let own = vec![evidence("new", Some("q")), evidence("new", Some("r"))];
        check(vec![
            (marked(), one("old", Some("r")), none, keep(Current)),
            (marked(), own, none, keep(Current)),
            (marked(), one("old", Some("q")), none, unproven()),
            (marked(), one("old", None), none, unproven()),
            (marked(), one("third", Some("r")), none, keep(Current)),
            (marked(), one("third", Some("")), none, unproven()),
            (marked(), of_others("old", Some("r")), none, unproven()),
            (marked(), one("new", Some("q")), listed, keep(Lost)),
            (marked(), one("third", Some("q")), listed, keep(Older)),
            (marked(), vec![], none, unproven()),
            (marked(), vec![], allowed, unproven()),
            (marked(), vec![], REQUESTED, unproven()),
            (marked(), one("old", Some("q")), listed, keep(Older)),
            (marked(), vec![], listed, keep(Lost)),
            (marked(), one("old", Some("r")), adopts, keep(Current)),
            (marked(), vec![], adopts, Verdict::Pass),
            (public(), one("old", None), none, keep(Current)),
            (public(), one("new", None), none, unproven()),
            (public(), one("third", Some("")), none, unproven()),
            (public(), of_others("old", None), none, unproven()),
            (keyed(), one("old", None), none, unprovable()),
            (keyed(), one("old", Some("")), allowed, unprovable()),
            (keyed(), vec![], listed, keep(Current)),
            (adopted(), one("old", None), none, unprovable()),
            (adopted(), one("old", None), allowed, unprovable()),
            (adopted(), one("old", None), REQUESTED, unprovable()),
            (adopted(), one("old", None), listed, keep(Current)),
            (public(), vec![], none, unproven()),
            (public(), vec![], listed, keep(Current)),
        ]);
    }

    #[test]
    fn an_id_that_the_spec_does_not_request_must_be_allowed_or_generated() {
        let (none, allowed, listed) = (consent(false, false), consent(false, true), consent(true, true));
        let kept = || Verdict::Keep(Known::Current);
        let denied = |id: &str| Verdict::Refuse(EarlierFault::Denied(id.to_owned()).into());
        let adopted = || earlier("r", true, false);
        let right = || vec![evidence("old", Some("r"))];
        check_of(
            "portal",
            vec![
                (marked(), right(), none, denied("portal")),
                (marked(), right(), allowed, kept()),
                (marked(), right(), listed, kept()),
                (marked(), right(), REQUESTED, kept()),
                (adopted(), right(), allowed, denied("portal")),
                (adopted(), right(), listed, kept()),
            ],
        );
        check(vec![
            (marked(), right(), none, kept()),
            (adopted(), right(), none, denied(ID)),
            (adopted(), right(), allowed, denied(ID)),
            (adopted(), right(), listed, kept()),
            (adopted(), right(), REQUESTED, kept()),
        ]);
    }

    #[test]
    fn the_secret_that_the_server_has_is_better_than_one_of_an_attempt() {
        let kin = marked();
        let table = [
            (&kin, "old", "r", Some(0)),
            (&kin, "third", "r", Some(0)),
            (&kin, "new", "r", Some(0)),
            (&kin, "old", "q", Some(1)),
            (&kin, "new", "q", Some(2)),
            (&Kin::Gone, "old", "q", Some(1)),
            (&Kin::Gone, "new", "q", Some(2)),
            (&Kin::Ours, "new", "q", Some(0)),
            (&Kin::Ours, "old", "q", Some(1)),
        ];
        for (kin, uid, revision, expected) in table {
            let found = evidence(uid, Some(revision));
            assert_eq!(rank(&found, ID, kin, "new"), expected, "{kin:?} {uid} {revision}");
            assert_eq!(rank(&found, "another", kin, "new"), None);
        }
    }

    #[test]
    fn a_client_without_a_mark_is_kept_with_consent_only() {
        let (none, allowed, listed) = (consent(false, false), consent(false, true), consent(true, true));
        let taken = Consent {
            is_taken: true,
            ..allowed
        };
        let unmarked = || Kin::Unmarked;
        let others = || Kin::Other;
        let right = || vec![evidence("old", Some("r"))];
        let named = || (ID.to_owned(), "team".to_owned(), "old".to_owned());
        let (id, namespace, uid) = named();
        let gone = Verdict::Refuse(EarlierFault::Gone { id, namespace, uid }.into());
        let (id, namespace, uid) = named();
        let released = Verdict::Refuse(EarlierFault::Unmarked { id, namespace, uid }.into());
        check(vec![
            (Kin::Gone, right(), none, gone),
            (Kin::Gone, right(), allowed, Verdict::Keep(Known::Current)),
            (Kin::Gone, right(), REQUESTED, Verdict::Keep(Known::Current)),
            (Kin::Gone, vec![], listed, Verdict::Pass),
            (Kin::Gone, right(), taken, Verdict::Pass),
            (unmarked(), right(), none, released.clone()),
            (unmarked(), right(), allowed, released),
            (unmarked(), right(), REQUESTED, Verdict::Pass),
            (unmarked(), vec![], none, Verdict::Pass),
            (others(), right(), listed, Verdict::Pass),
        ]);
    }
}
