//! Ownership of clients on a server: a restored copy of a cluster has the UIDs of the original, so a marker is compared
//! with its cluster.

use clap::Parser;
use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::client::{Catalogue, Marker, old_mark};
use oidc_operator::admin::hydra::sync::{Known, Ownership, Step, decide, ownership};
use oidc_operator::api::GROUP;
use oidc_operator::cli::{Cli, Command};
use oidc_operator::origin::Origin;
use serde_json::json;

use crate::marker;

const UID: &str = "uid-1";

fn made_by(cluster: &str, uid: &str) -> Marker {
    Marker {
        cluster: cluster.to_owned(),
        ..marker(uid, "r-1")
    }
}

fn client(id: &str, change: impl FnOnce(&mut Client)) -> Client {
    let mut client = Client {
        client_id: id.to_owned(),
        ..Client::default()
    };
    change(&mut client);
    client
}

#[test]
fn an_origin_is_this_cluster_a_former_one_or_another() {
    let former = ["old".to_owned(), "older".to_owned()];
    for (cluster, former, expected) in [
        ("new", former.as_slice(), Origin::Own),
        ("old", &former, Origin::Former),
        ("older", &former, Origin::Former),
        ("oldest", &former, Origin::Other),
        ("old", &[], Origin::Other),
        ("new", &["new".to_owned()], Origin::Own), // a list that names this cluster itself
        ("", &former, Origin::Other),
    ] {
        assert_eq!(Origin::of(cluster, "new", former), expected, "{cluster}");
    }
}

#[test]
fn ownership_depends_on_the_uid_and_the_cluster_of_a_marker() {
    let ours = made_by("new", UID);
    let former = ["old".to_owned()];
    let other = |cluster: &str| Ownership::OtherCluster(cluster.to_owned());
    let cases = [
        ("made here", made_by("new", UID), Ownership::Ours),
        (
            "made here for another resource",
            made_by("new", "uid-2"),
            Ownership::Others,
        ),
        (
            "made by a former cluster",
            made_by("old", UID),
            Ownership::Former("old".to_owned()),
        ),
        (
            "made by a former cluster for another resource",
            made_by("old", "uid-2"),
            Ownership::Others,
        ),
        (
            "made by the original that this cluster is a copy of",
            made_by("original", UID),
            other("original"),
        ),
        (
            "made by another cluster for its own resource",
            made_by("original", "uid-2"),
            other("original"),
        ),
        ("a marker without a cluster", made_by("", UID), other("")),
    ];
    for id in ["shop", UID] {
        for (what, mark, expected) in &cases {
            let found = client(id, |client| client.mark(mark));
            for kept_by in [None, Some("new"), Some("original")] {
                assert_eq!(
                    ownership(&ours, &former, kept_by, &found),
                    *expected,
                    "{what} {id} {kept_by:?}"
                );
            }
        }
    }
}

#[test]
fn a_client_under_our_uid_is_ours_unless_another_cluster_keeps_it() {
    let ours = made_by("new", UID);
    let former = ["old".to_owned()];
    let bare = |owner: String| client(UID, |client| client.owner = Some(owner));
    let original = || Ownership::OtherCluster("original".to_owned());
    for (what, found, kept_by, expected) in [
        ("no marker", bare(String::new()), None, Ownership::Ours),
        (
            "another tool's owner",
            bare("billing".to_owned()),
            None,
            Ownership::Ours,
        ),
        ("our owner", bare(old_mark("new")), None, Ownership::Ours),
        (
            "the owner of the original",
            bare(old_mark("original")),
            None,
            original(),
        ),
        (
            "the owner of the original, and a status of this cluster",
            bare(old_mark("original")),
            Some("new"),
            original(),
        ),
        (
            "the owner of a former cluster",
            bare(old_mark("old")),
            None,
            Ownership::Former("old".to_owned()),
        ),
        (
            "no marker, in sync here",
            bare(String::new()),
            Some("new"),
            Ownership::Ours,
        ),
        (
            "no marker, in sync from the original",
            bare(String::new()),
            Some("original"),
            original(),
        ),
        (
            "no marker, in sync from a former cluster",
            bare(String::new()),
            Some("old"),
            Ownership::Former("old".to_owned()),
        ),
    ] {
        assert_eq!(ownership(&ours, &former, kept_by, &found), expected, "{what}");
        // A chosen id does not prove ownership; an owner does.
        let chosen = Client {
            client_id: "shop".to_owned(),
            ..found
        };
        let expected = match ownership(&ours, &former, None, &chosen) {
            other @ Ownership::OtherCluster(_) if chosen.owner == Some(old_mark("original")) => other,
            _ => Ownership::Others,
        };
        assert_eq!(
            ownership(&ours, &former, kept_by, &chosen),
            expected,
            "{what}, with a chosen id"
        );
    }
    for (what, value) in [
        ("metadata that an orphan keeps", json!({ "scopes": {} })),
        ("text", json!("text")),
    ] {
        let found = client(UID, |client| drop(client.metadata.insert(GROUP.to_owned(), value)));
        assert_eq!(ownership(&ours, &former, None, &found), Ownership::Others, "{what}");
    }
}

#[test]
fn a_restored_copy_of_a_cluster_writes_nothing_to_the_originals_clients() {
    let wanted = client(UID, |client| client.mark(&made_by("copy", UID)));
    let known = Known {
        updated_at: Some("2026-01-01T00:00:00.5Z"),
        must_read: true,
        may_take_over: false,
        is_settled: false,
    };
    let originals = [
        client(UID, |client| client.mark(&made_by("original", UID))),
        client(UID, |client| client.owner = Some(old_mark("original"))),
        client(UID, |client| {
            client.owner = Some(old_mark("original"));
            client.catalogue(&Catalogue::default());
        }),
    ];
    for original in originals {
        assert_eq!(decide(&wanted, Some(&original), known), Step::NotOwned, "{original:?}");
    }
}

#[test]
fn a_rewritten_marker_changes_only_the_cluster() {
    let mut found = client(UID, |client| {
        client.catalogue(&Catalogue::default());
        client.mark(&Marker {
            adopted: true,
            ..made_by("old", UID)
        });
        client.owner = Some("user-42".to_owned());
    });
    let before = found.clone();
    let theirs = found.marker().expect("a mark");
    found.mark(&Marker {
        cluster: "new".to_owned(),
        ..theirs
    });
    assert_eq!(found.differences(&before), ["metadata"]);
    let expected = Marker {
        adopted: true,
        ..made_by("new", UID)
    };
    assert_eq!(
        (found.marker(), found.owner.as_deref()),
        (Some(expected), Some("user-42"))
    );
}

#[test]
fn former_clusters_can_be_given_one_by_one_or_as_a_list() {
    for (arguments, expected) in [
        (vec![], vec![]),
        (vec!["--former-cluster-ids="], vec![]), // a template renders this for an empty list
        (
            vec!["--former-cluster-ids=a,b", "--former-cluster-ids", "c"],
            vec!["a", "b", "c"],
        ),
        (vec!["--former-cluster-ids= a, ,b,"], vec!["a", "b"]),
    ] {
        let arguments = ["oidc-operator", "run"].into_iter().chain(arguments);
        let cli = Cli::try_parse_from(arguments).expect("these can be given");
        let Command::Run(run) = cli.command else {
            panic!("another command");
        };
        assert_eq!(run.former_clusters(), expected);
    }
}
