//! A login is renewed before it expires, replaced if it cannot be renewed, and never requested without need.

use std::time::Duration;

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::{Login, Scope, Vault};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::fake::{Rules, asked, lease};
use super::{app_role, errors_reply, fake::Fake, given, vault};
use crate::json_reply;

const LOGIN: &str = "POST auth/approle/login";
const RENEW: &str = "POST auth/token/renew-self as geheim-1";
const READ_1: &str = "GET identity/oidc/scope/s as geheim-1";
const READ_2: &str = "GET identity/oidc/scope/s as geheim-2";
const READ: &str = "GET identity/oidc/scope/s as geheim-given";
const LOOK_UP: &str = "GET auth/token/lookup-self as geheim-given";

fn renewal(auth: Value) -> ResponseTemplate {
    json_reply(200, &json!({ "auth": auth }))
}

/// Rules under which a given token has three seconds left.
fn borrowed(renewable: bool) -> Rules {
    Rules {
        look_up: json_reply(200, &json!({ "data": { "ttl": 3, "renewable": renewable } })),
        ..Rules::default()
    }
}

fn short(seconds: u64, renewal: ResponseTemplate) -> Rules {
    Rules {
        lease: lease(seconds, true),
        renewal,
        ..Rules::default()
    }
}

async fn read(vault: &Vault) -> Result<(), Failure> {
    vault.read::<Scope>("s").await.map(drop)
}

/// Keeps the login, as the operator does regularly. Returns the wait until the next time.
async fn keep(vault: &Vault) -> Duration {
    let wait = vault.session().keep().await.expect("a login");
    wait.expect("a login that expires")
}

/// A server, and a session that has logged in and waited until its renewal is due.
async fn due(rules: Rules, login: Login) -> (MockServer, Fake, Vault) {
    let (server, fake) = Fake::start(rules).await;
    let vault = vault(&server, login);
    tokio::time::sleep(keep(&vault).await).await;
    (server, fake, vault)
}

#[tokio::test]
async fn a_login_is_renewed_at_two_thirds_of_its_time_and_not_before() {
    let (server, _fake) = Fake::start(short(3, renewal(lease(3, true)))).await;
    let vault = vault(&server, app_role());
    let wait = keep(&vault).await;
    assert!(
        wait <= Duration::from_secs(2) && wait > Duration::from_secs(1),
        "{wait:?}"
    );
    assert!(keep(&vault).await <= wait);
    assert_eq!(asked(&server).await, [LOGIN]);
    tokio::time::sleep(wait).await;
    let again = keep(&vault).await;
    assert!(
        again <= Duration::from_secs(2) && again > Duration::from_secs(1),
        "{again:?}"
    );
    assert_eq!(read(&vault).await, Ok(()));
    assert_eq!(asked(&server).await, [LOGIN, RENEW, READ_1]);
}

/// The token stays valid while it is renewed, so no request has to wait.
#[tokio::test]
async fn a_request_does_not_renew_the_login_itself() {
    let (server, _fake, vault) = due(short(3, renewal(lease(3600, true))), app_role()).await;
    assert_eq!(read(&vault).await, Ok(()));
    assert_eq!(asked(&server).await, [LOGIN, READ_1]);
    let waits = futures::future::join_all((0..50).map(|_| keep(&vault))).await;
    assert!(waits.iter().all(|wait| *wait > Duration::from_secs(2000)), "{waits:?}");
    assert_eq!(read(&vault).await, Ok(()));
    assert_eq!(asked(&server).await, [LOGIN, READ_1, RENEW, READ_1]);
}

/// A token near its maximum lifetime gets shorter and shorter renewals. A login that cannot be renewed is replaced in
/// time. A given token, which cannot be replaced, is looked up again.
#[tokio::test]
async fn the_result_of_a_renewal_decides_whether_there_is_a_new_login() {
    let anew = [LOGIN, RENEW, LOGIN, READ_2];
    let renewed = [LOGIN, RENEW, READ_1];
    let fixed = Rules {
        lease: lease(3, false),
        ..Rules::default()
    };
    let cases: [(_, _, _, &[&str]); 13] = [
        ("as much", app_role(), short(3, renewal(lease(3, true))), &renewed),
        ("a third", app_role(), short(3, renewal(lease(1, true))), &renewed),
        ("a quarter", app_role(), short(4, renewal(lease(1, true))), &anew),
        ("nothing", app_role(), short(3, renewal(lease(0, true))), &anew),
        ("no lease", app_role(), short(3, renewal(json!({}))), &anew),
        ("no auth", app_role(), short(3, json_reply(200, &json!({}))), &anew),
        ("no body", app_role(), short(3, ResponseTemplate::new(204)), &anew),
        (
            "a batch token",
            app_role(),
            short(3, errors_reply(400, &["batch tokens cannot be renewed"])),
            &anew,
        ),
        (
            "a refusal",
            app_role(),
            short(3, errors_reply(403, &["permission denied"])),
            &anew,
        ),
        (
            "a server in trouble",
            app_role(),
            short(3, errors_reply(500, &["internal error"])),
            &renewed,
        ),
        ("not renewable", app_role(), fixed, &[LOGIN, LOGIN, READ_2]),
        (
            "a given token",
            given(),
            borrowed(true),
            &[LOOK_UP, "POST auth/token/renew-self as geheim-given", READ],
        ),
        (
            "a given token that is not renewable",
            given(),
            borrowed(false),
            &[LOOK_UP, LOOK_UP, READ],
        ),
    ];
    let checks = cases.map(|(what, login, rules, expected)| async move {
        let (server, _fake, vault) = due(rules, login).await;
        let again = keep(&vault).await;
        assert_eq!(read(&vault).await, Ok(()), "{what}");
        assert_eq!(asked(&server).await, expected, "{what}");
        assert!(!vault.http().breaker().is_open(), "{what}");
        if what == "a server in trouble" {
            assert!(
                again <= Duration::from_secs(5) && again > Duration::from_secs(3),
                "{again:?}"
            );
        }
    });
    futures::future::join_all(checks).await;
}

/// A renewal is compared with the lifetime from the login, not with that from the last renewal.
#[tokio::test]
async fn shrinking_renewals_lead_to_a_new_login() {
    let (server, fake, vault) = due(short(4, renewal(lease(2, true))), app_role()).await;
    let wait = keep(&vault).await;
    assert_eq!(asked(&server).await, [LOGIN, RENEW]);
    fake.rule(|rules| rules.renewal = renewal(lease(1, true)));
    tokio::time::sleep(wait).await;
    keep(&vault).await;
    assert_eq!(asked(&server).await, [LOGIN, RENEW, RENEW, LOGIN]);
}

#[tokio::test]
async fn an_expired_login_is_replaced_and_not_renewed() {
    let (server, _fake) = Fake::start(short(1, renewal(lease(1, true)))).await;
    let vault = vault(&server, app_role());
    assert_eq!(read(&vault).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(1)).await; // its whole lifetime
    assert_eq!(read(&vault).await, Ok(()));
    assert_eq!(asked(&server).await, [LOGIN, READ_1, LOGIN, READ_2]);
}

#[tokio::test]
async fn a_login_that_never_expires_is_never_renewed() {
    for auth in [lease(0, false), json!({})] {
        let (server, _fake) = Fake::start(Rules {
            lease: auth,
            ..Rules::default()
        })
        .await;
        let vault = vault(&server, app_role());
        assert_eq!(vault.session().keep().await, Ok(None));
        assert_eq!(read(&vault).await, Ok(()));
        assert_eq!(asked(&server).await, [LOGIN, READ_1]);
    }
}
