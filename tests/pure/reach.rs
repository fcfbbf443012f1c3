//! Which resources an operator works on.

use std::collections::BTreeSet;

use clap::Parser;
use oidc_operator::api::AuthorizationServer;
use oidc_operator::api::authorization_server::AuthorizationServerSpec;
use oidc_operator::cli::{Cli, Command, Run};
use oidc_operator::reach::{PodAccess, Reach, SecretAccess};

/// The settings that these flags give.
pub fn run(flags: &[&str]) -> Run {
    match Cli::parse_from(["oidc-operator", "run"].iter().chain(flags)).command {
        Command::Run(run) => *run,
        other => unreachable!("{other:?}"),
    }
}

fn server(class: Option<&str>) -> AuthorizationServer {
    let spec = AuthorizationServerSpec {
        server_class: class.map(str::to_owned),
        ..AuthorizationServerSpec::default()
    };
    AuthorizationServer::new("server", spec)
}

#[test]
fn flags_decide_the_reach() {
    assert_eq!(run(&[]).reach(), Reach::default());
    assert_eq!(
        run(&["--watch-namespaces=", "--server-class="]).reach(),
        Reach::default()
    );
    let flags = [
        "--watch-namespaces=b,a",
        "--watch-namespaces=a",
        "--watch-secrets=false",
        "--server-class=edge",
        "--list-pods=true",
    ];
    let expected = Reach {
        namespaces: Some(BTreeSet::from(["a".to_owned(), "b".to_owned()])),
        class: Some("edge".to_owned()),
        secrets: SecretAccess::Read,
        pods: PodAccess::Listed,
    };
    assert_eq!(run(&flags).reach(), expected);
}

#[test]
fn the_class_decides_the_name_of_the_lease() {
    for (flags, expected) in [
        (&[][..], "oidc-operator"),
        (&["--server-class=edge"], "oidc-operator-edge"),
        (&["--lease-name=mine", "--server-class=edge"], "mine"),
        (&["--lease-name=", "--server-class="], "oidc-operator"),
    ] {
        assert_eq!(run(flags).lease(), expected, "{flags:?}");
    }
    assert_eq!(run(&[]).lease_namespace, "kube-system");
}

#[test]
fn a_server_has_one_operator() {
    let edge = run(&["--server-class=edge"]).reach();
    let other = run(&["--server-class=other"]).reach();
    let without = run(&[]).reach();
    for class in [None, Some("edge"), Some("other")] {
        let server = server(class);
        let workers = [&edge, &other, &without].map(|reach| reach.has_server(&server));
        assert_eq!(workers.iter().filter(|works| **works).count(), 1, "{class:?}");
        for reach in [&edge, &other, &without] {
            let on = |is_deleting| reach.has_resource_on(Some(&server), is_deleting);
            assert_eq!(
                (on(false), on(true)),
                (reach.has_server(&server), reach.has_server(&server))
            );
        }
    }
    // A server that does not exist: one operator reports it, each may release the resource.
    assert_eq!(
        [&edge, &other, &without].map(|reach| reach.has_resource_on(None, false)),
        [false, false, true]
    );
    assert_eq!(
        [&edge, &other, &without].map(|reach| reach.has_resource_on(None, true)),
        [true, true, true]
    );
}

#[test]
fn secrets_are_watched_where_the_operator_works() {
    let of = |flags: &[&str]| run(flags).reach().watched_secrets("home");
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(of(&[]), [None]);
    assert_eq!(of(&["--watch-namespaces=b,a"]), [some("a"), some("b"), some("home")]);
    assert_eq!(of(&["--watch-namespaces=home"]), [some("home")]);
    assert_eq!(of(&["--watch-secrets=false"]), []);
    assert_eq!(of(&["--watch-secrets=false", "--watch-namespaces=a"]), []);
}
