//! Ownership of an object by the claim in a status, and the cause of a difference from its spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use oidc_operator::api::{AuthorizationServer, Scope};
use oidc_operator::controller::common::claim::{Claim, asked_first};
use oidc_operator::controller::common::drift::Cause;
use oidc_operator::controller::engine::context::Settings;
use oidc_operator::proxies::Proxies;
use oidc_operator::reach::Reach;
use serde_json::json;

fn settings() -> Settings {
    Settings {
        namespace: "oidc-operator".to_owned(),
        cluster: "this".to_owned(),
        former_clusters: vec!["former".to_owned()],
        reach: Reach::default(),
        proxies: Proxies::default(),
        output_labels: Default::default(),
        manual: Default::default(),
    }
}

fn server(uid: &str) -> AuthorizationServer {
    let server = json!({ "metadata": { "name": "main", "uid": uid }, "spec": {} });
    serde_json::from_value(server).expect("a server")
}

#[test]
fn a_claim_is_valid_for_its_name_server_and_cluster() {
    // Name, server UID and cluster in the status; whether it is for `orders`, whether it is on the server, another
    // cluster.
    let table = [
        ((Some("orders"), Some("uid-1"), Some("this")), (true, true, None)),
        ((Some("orders"), Some("uid-1"), Some("former")), (true, true, None)),
        ((Some("orders"), Some("uid-1"), None), (true, true, None)),
        ((Some("others"), Some("uid-1"), Some("this")), (false, true, None)),
        ((Some("orders"), Some("uid-2"), Some("this")), (false, false, None)),
        ((Some("orders"), None, Some("this")), (false, false, None)),
        (
            (Some("orders"), Some("uid-1"), Some("else")),
            (false, false, Some("else")),
        ),
        (
            (Some("orders"), Some("uid-2"), Some("else")),
            (false, false, Some("else")),
        ),
        ((None, Some("uid-1"), Some("else")), (false, false, None)),
        ((None, Some("uid-1"), Some("this")), (false, false, None)),
        ((None, None, None), (false, false, None)),
    ];
    for (claimed, expected) in table {
        let [mut name, mut server_uid, mut cluster_id] =
            [claimed.0, claimed.1, claimed.2].map(|value| value.map(str::to_owned));
        let claim = Claim {
            name: &mut name,
            server_uid: &mut server_uid,
            cluster_id: &mut cluster_id,
            inputs: &mut None,
            adopted: &mut None,
            kept: None,
            accepted: None,
        };
        let (server, settings) = (server("uid-1"), settings());
        let found = (
            claim.is_for("orders", &server, &settings),
            claim.is_on(&server, &settings),
            claim.other_cluster(&settings),
        );
        let expected = (expected.0, expected.1, expected.2.map(str::to_owned));
        assert_eq!(found, expected, "{claimed:?}");
    }
}

#[test]
fn a_claim_is_on_no_server_without_a_uid() {
    let (mut name, mut none) = (Some("orders".to_owned()), None);
    let claim = Claim {
        name: &mut name,
        server_uid: &mut None,
        cluster_id: &mut none,
        inputs: &mut None,
        adopted: &mut None,
        kept: None,
        accepted: None,
    };
    let mut server = server("uid-1");
    server.metadata.uid = None;
    assert!(!claim.is_on(&server, &settings()));
}

#[test]
fn the_older_resource_wins_and_the_smaller_uid_within_one_second() {
    let scope = |second: i64, uid: &str| {
        let mut scope: Scope = serde_json::from_value(json!({ "metadata": {}, "spec": {} })).expect("a scope");
        scope.metadata = ObjectMeta {
            creation_timestamp: Timestamp::from_second(second).ok().map(Time),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        };
        scope
    };
    let table = [
        (scope(1, "b"), scope(2, "a"), true),
        (scope(2, "a"), scope(1, "b"), false),
        (scope(1, "a"), scope(1, "b"), true),
        (scope(1, "b"), scope(1, "a"), false),
        (scope(1, "a"), scope(1, "a"), false),
    ];
    for (one, other, expected) in table {
        assert_eq!(
            asked_first(&one, &other),
            expected,
            "{:?} {:?}",
            one.metadata,
            other.metadata
        );
    }
}

#[test]
fn only_another_writer_causes_drift_which_is_corrected_three_times_an_hour() {
    // In sync with an unchanged spec; the result of our own write is unknown; corrections within the last hour.
    let table = [
        (false, false, 0, Cause::Spec),
        (false, true, 9, Cause::Spec),
        (true, true, 0, Cause::OwnWrite),
        (true, true, 9, Cause::OwnWrite),
        (true, false, 0, Cause::OtherWriter),
        (true, false, 2, Cause::OtherWriter),
        (true, false, 3, Cause::Contest),
        (true, false, 9, Cause::Contest),
    ];
    for (settled, unconfirmed, corrections, expected) in table {
        let cause = Cause::of(settled, unconfirmed, corrections);
        assert_eq!(cause, expected, "{settled} {unconfirmed} {corrections}");
    }
}
