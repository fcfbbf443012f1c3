//! One login for all requests: it is made when first needed, replaced when its token is dead, and closed for good.

use std::sync::Arc;
use std::time::Duration;

use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::vault::session::OTHER_CLUSTER;
use oidc_operator::admin::vault::{Scope, Session, Vault};
use oidc_operator::error::Outage;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::{Metrics, Snapshot};
use serde_json::json;
use wiremock::MockServer;

use super::fake::{Fake, Rules, asked, count};
use super::{GIVEN, app_role, errors_reply, given, vault};
use crate::json_reply;

const KNOWN: Failure = Failure::Outage(Outage::Known);
const HEALTH: &str = "GET sys/health";
const LOGIN: &str = "POST auth/approle/login";
const READ_1: &str = "GET identity/oidc/scope/s as geheim-1";
const READ_2: &str = "GET identity/oidc/scope/s as geheim-2";
const LOOK_UP_1: &str = "GET auth/token/lookup-self as geheim-1";

fn scope() -> Scope {
    Scope {
        description: String::new(),
        template: "{}".to_owned(),
    }
}

async fn read(vault: &Vault) -> Result<Option<Scope>, Failure> {
    vault.read("s").await
}

/// A server, and a session that has not logged in yet.
async fn fresh(rules: Rules) -> (MockServer, Fake, Vault) {
    let (server, fake) = Fake::start(rules).await;
    let vault = vault(&server, app_role());
    (server, fake, vault)
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_request_and_one_login_is_enough() {
    let (server, _fake, vault) = fresh(Rules::default()).await;
    assert_eq!(asked(&server).await, Vec::<String>::new());
    for _ in 0..3 {
        assert_eq!(read(&vault).await, Ok(Some(scope())));
    }
    assert_eq!(asked(&server).await, [LOGIN, READ_1, READ_1, READ_1]);
}

#[tokio::test]
async fn each_login_is_counted_with_its_result() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, fake) = Fake::start(Rules::default()).await;
    let metrics = Arc::new(Metrics::default());
    let settings = Settings {
        refuses_singly: true,
        ..Settings::default()
    };
    let http = Http::new("main", &server.uri(), &settings, Fence::open(), metrics.clone()).expect("an endpoint");
    let session = Session::new(Arc::new(http), app_role(), "");
    let vault = Vault::new(Arc::new(session), "");
    let logins = |result: &str| {
        let series = format!("oidc_operator_logins_total{{server=\"main\",result=\"{result}\"}} ");
        let text = metrics.render(Snapshot::default());
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&series))
            .map(str::to_owned);
        line.map_or(0, |count| count.parse::<u64>().expect("a count"))
    };
    assert_eq!((logins("success"), logins("failure")), (0, 0));
    for _ in 0..2 {
        assert_eq!(read(&vault).await, Ok(Some(scope())));
    }
    assert_eq!((logins("success"), logins("failure")), (1, 0));
    fake.kill();
    fake.rule(|rules| rules.login = Some(errors_reply(400, &["invalid role or secret ID"])));
    assert!(matches!(read(&vault).await, Err(Failure::NoLogin(_))));
    assert_eq!((logins("success"), logins("failure")), (1, 1));
}

#[tokio::test]
async fn fifty_requests_at_the_same_time_log_in_once() {
    let (server, _fake, vault) = fresh(Rules::default()).await;
    let results = futures::future::join_all((0..50).map(|_| read(&vault))).await;
    assert!(results.iter().all(|result| *result == Ok(Some(scope()))), "{results:?}");
    assert_eq!(count(&server, LOGIN).await, 1);
    assert_eq!(count(&server, READ_1).await, 50);
    assert_eq!(asked(&server).await.len(), 51);
}

#[tokio::test]
async fn a_dead_token_is_replaced_and_the_request_repeated() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    assert_eq!(asked(&server).await, [LOGIN, READ_1, READ_1, LOOK_UP_1, LOGIN, READ_2]);
    assert!(!vault.http().breaker().is_open(), "the server is healthy");
}

/// A refused write had no effect, so it may be sent again unchanged.
#[tokio::test]
async fn a_write_with_a_dead_token_is_repeated_with_the_same_body() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    assert_eq!(vault.write("s", &scope()).await, Ok(()));
    let requests = server.received_requests().await.unwrap_or_default();
    let bodies = requests
        .iter()
        .filter(|request| request.url.path() == "/v1/identity/oidc/scope/s" && request.method == "POST");
    let bodies: Vec<_> = bodies.map(|request| request.body.clone()).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert!(!bodies[0].is_empty());
}

#[tokio::test]
async fn fifty_requests_with_a_dead_token_log_in_again_once() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    let results = futures::future::join_all((0..50).map(|_| read(&vault))).await;
    assert!(results.iter().all(|result| *result == Ok(Some(scope()))), "{results:?}");
    assert_eq!(count(&server, LOGIN).await, 2);
    assert_eq!(count(&server, READ_2).await, 50);
}

#[tokio::test]
async fn a_valid_token_without_permission_is_denied_and_kept() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    fake.rule(|rules| rules.other = errors_reply(403, &["permission denied"]));
    assert_eq!(read(&vault).await, Err(Failure::Denied));
    assert_eq!(vault.write("s", &scope()).await, Err(Failure::Denied));
    assert_eq!(vault.delete::<Scope>("s").await, Err(Failure::Denied));
    assert_eq!(vault.list::<Scope>().await, Err(Failure::Denied));
    assert_eq!(vault.rotate("k").await, Err(Failure::Denied));
    assert_eq!(
        asked(&server).await,
        [
            LOGIN,
            READ_1,
            LOOK_UP_1,
            "POST identity/oidc/scope/s as geheim-1",
            LOOK_UP_1,
            "DELETE identity/oidc/scope/s as geheim-1",
            LOOK_UP_1,
            "GET identity/oidc/scope as geheim-1",
            LOOK_UP_1,
            "POST identity/oidc/key/k/rotate as geheim-1",
            LOOK_UP_1,
        ]
    );
    assert!(!vault.http().breaker().is_open(), "other requests may be allowed");
    fake.rule(|rules| rules.other = Rules::default().other);
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    assert_eq!(count(&server, LOGIN).await, 1);
}

#[tokio::test]
async fn a_second_refusal_after_a_new_login_is_final() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    fake.rule(|rules| rules.other = errors_reply(403, &["permission denied"]));
    assert_eq!(read(&vault).await, Err(Failure::Denied));
    assert_eq!(asked(&server).await, [LOGIN, READ_1, READ_1, LOOK_UP_1, LOGIN, READ_2]);
    assert!(!vault.http().breaker().is_open());
}

/// It is unknown whether the token is dead, so it is kept, and the failed lookup is reported.
#[tokio::test]
async fn a_token_that_cannot_be_looked_up_is_kept() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    fake.rule(|rules| {
        rules.other = errors_reply(403, &["permission denied"]);
        rules.look_up = errors_reply(500, &["internal error"]);
    });
    assert_eq!(read(&vault).await, Err(Failure::Outage(Outage::Status(500, None))));
    fake.rule(|rules| *rules = Rules::default());
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    assert_eq!(asked(&server).await, [LOGIN, READ_1, LOOK_UP_1, READ_1]);
}

#[tokio::test]
async fn a_given_token_is_looked_up_once_and_used() {
    let (server, _fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, given());
    assert_eq!(vault.session().keep().await, Ok(None), "it never expires");
    for _ in 0..2 {
        assert_eq!(read(&vault).await, Ok(Some(scope())));
    }
    let read = format!("GET identity/oidc/scope/s as {GIVEN}");
    let look_up = format!("GET auth/token/lookup-self as {GIVEN}");
    assert_eq!(asked(&server).await, [look_up, read.clone(), read]);
}

#[tokio::test]
async fn a_dead_given_token_fails_the_login_until_it_is_valid_again() {
    let (server, fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, given());
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    let failed = read(&vault).await;
    assert!(matches!(failed, Err(Failure::NoLogin(_))), "{failed:?}");
    assert!(vault.http().breaker().is_open());
    let before = asked(&server).await.len();
    assert_eq!(read(&vault).await, Err(KNOWN));
    assert_eq!(asked(&server).await.len(), before, "no other request is sent");
    fake.revive(GIVEN);
    assert_eq!(vault.session().keep().await, Ok(None), "the prober passes");
    vault.http().breaker().close();
    assert_eq!(read(&vault).await, Ok(Some(scope())));
}

#[tokio::test]
async fn closing_revokes_the_token_and_nothing_is_sent_afterwards() {
    let (server, _fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    vault.session().close().await;
    vault.session().close().await;
    assert_eq!(read(&vault).await, Err(KNOWN));
    assert_eq!(vault.write("s", &scope()).await, Err(KNOWN));
    assert_eq!(vault.session().keep().await, Err(KNOWN));
    assert_eq!(
        asked(&server).await,
        [LOGIN, READ_1, "POST auth/token/revoke-self as geheim-1"]
    );
}

#[tokio::test]
async fn a_given_token_is_never_revoked() {
    let (server, _fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, given());
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    vault.session().close().await;
    assert_eq!(read(&vault).await, Err(KNOWN));
    let all = asked(&server).await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(!all.iter().any(|asked| asked.contains("revoke")), "{all:?}");
}

#[tokio::test]
async fn closing_an_unused_session_sends_nothing() {
    let (server, _fake, vault) = fresh(Rules::default()).await;
    vault.session().close().await;
    assert_eq!(read(&vault).await, Err(KNOWN));
    assert_eq!(asked(&server).await, Vec::<String>::new());
}

/// The server may fail when the operator stops: the token is revoked if possible, and the session ends either way.
#[tokio::test]
async fn neither_an_open_breaker_nor_a_failure_prevents_closing() {
    let (server, fake, vault) = fresh(Rules::default()).await;
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    vault.http().breaker().open(None);
    fake.kill(); // revoke-self is answered with 403
    vault.session().close().await;
    assert_eq!(count(&server, "POST auth/token/revoke-self as geheim-1").await, 1);
    vault.http().breaker().close();
    assert_eq!(read(&vault).await, Err(KNOWN));
    assert_eq!(asked(&server).await.len(), 3);
}

/// A request that is under way when the session ends does not log in again.
#[tokio::test]
async fn a_closed_session_does_not_log_in_again() {
    let refused = errors_reply(403, &["permission denied"]);
    let (server, fake, vault) = fresh(Rules {
        other: refused.clone().set_delay(Duration::from_millis(300)),
        look_up: refused,
        ..Rules::default()
    })
    .await;
    let end = async {
        fake.arrival().await;
        vault.session().close().await;
    };
    let (failed, ()) = futures::join!(read(&vault), end);
    assert_eq!(failed, Err(KNOWN));
    assert_eq!(
        asked(&server).await,
        [LOGIN, READ_1, "POST auth/token/revoke-self as geheim-1", LOOK_UP_1]
    );
}

/// If the address leads to another cluster, the token is unknown there. Then no login and no other request follows.
#[tokio::test]
async fn no_login_is_sent_to_another_cluster() {
    let health = |id: &str| json_reply(200, &json!({ "initialized": true, "sealed": false, "cluster_id": id }));
    let (server, fake, vault) = fresh(Rules::default()).await;
    vault.session().is_for_cluster("here");
    vault.session().is_for_cluster("elsewhere"); // too late
    fake.rule(|rules| rules.health = health("here"));
    assert_eq!(read(&vault).await, Ok(Some(scope())));
    fake.kill();
    fake.rule(|rules| rules.health = health("elsewhere"));
    assert_eq!(read(&vault).await, Err(Failure::NoLogin(OTHER_CLUSTER)));
    assert_eq!(asked(&server).await, [HEALTH, LOGIN, READ_1, READ_1, LOOK_UP_1, HEALTH]);
    assert!(vault.http().breaker().is_open(), "no other request is sent");
}
