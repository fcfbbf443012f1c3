//! What `kubectl oidc check` says.

use jiff::{SignedDuration, Timestamp};
use oidc_operator::plugin::finding::{Finding, Verdict, clock, crds, leader, rights, text, version};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn assert_said(found: &Finding, verdict: Verdict, part: &str) {
    assert_eq!(found.verdict, verdict, "{}", found.message);
    assert!(found.message.contains(part), "{} has no `{part}`", found.message);
}

#[test]
fn an_old_kubernetes_is_named() {
    for (git, verdict) in [
        ("v1.33.0", Verdict::Good),
        ("v1.34.1+k3s1", Verdict::Good),
        ("v1.33+", Verdict::Good),
        ("v2.0.0", Verdict::Good),
        ("v1.32.9-eks-1", Verdict::Bad),
        ("v1.9.0", Verdict::Bad),
        ("", Verdict::Good), // a gateway that tells none
    ] {
        assert_said(&version(git), verdict, git);
    }
    assert_said(
        &version("v1.32.9"),
        Verdict::Bad,
        "needs 1.33 or later. Upgrade the cluster.",
    );
}

#[test]
fn a_clock_that_differs_is_named() {
    // time of the reply; asked and answered
    for (there, asked, answered, verdict, part) in [
        (Some(100), 100, 101, Verdict::Good, ""),
        (Some(100), 110, 110, Verdict::Good, ""),
        (Some(100), 111, 112, Verdict::Bad, "11 s ahead of"),
        (Some(100), 60, 80, Verdict::Bad, "20 s behind"),
        (Some(100), 50, 200, Verdict::Good, ""), // a slow reply
        (None, 100, 101, Verdict::Unknown, "was not compared"),
    ] {
        assert_said(&clock(there.map(at), at(asked), at(answered)), verdict, part);
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_said(&rights("team", &[]), Verdict::Good, "namespace `team`");
    assert_said(
        &rights("team", &["watch", "patch"]),
        Verdict::Bad,
        "You may not watch, patch OAuth2Clients",
    );
    assert_said(&crds(&[], &[], "1.2.3"), Verdict::Good, "1.2.3");
    assert_said(&crds(&["scopes"], &[], "1.2.3"), Verdict::Bad, "does not serve scopes");
    let old = ["scopes.oidc-operator.dev".to_owned()];
    assert_said(
        &crds(&[], &old, "1.2.3"),
        Verdict::Bad,
        "of this program: scopes.oidc-operator.dev.",
    );
}

#[test]
fn an_operator_that_does_not_lead_is_missed() {
    let now = at(1_000);
    let ago = |seconds| now - SignedDuration::from_secs(seconds);
    assert_said(&leader(None, now), Verdict::Bad, "has ever led");
    assert_said(&leader(Some(("pod-1", ago(5))), now), Verdict::Good, "`pod-1` leads");
    assert_said(
        &leader(Some(("pod-1", ago(61))), now),
        Verdict::Bad,
        "since 1970-01-01T00:15:39Z",
    );
    assert_said(&leader(Some(("", ago(1))), now), Verdict::Bad, "kubectl get pods");
}

#[test]
fn findings_are_printed_one_a_line() {
    let findings = [
        Finding::good("All is well."),
        Finding::bad("It is\u{1b}[2J broken."),
        Finding::unknown("Hidden."),
    ];
    let plain = anstream::adapter::strip_str(&text(&findings)).to_string();
    assert_eq!(
        plain,
        "ok     All is well.\nwrong  It is\u{fffd}[2J broken.\n?      Hidden.\n"
    );
}
