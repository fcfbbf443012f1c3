//! 429 of a Vault: a rate limit quota, or a node that is behind. The health of a standby is not asked for as 429.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::{Scope, Session, Vault};
use oidc_operator::error::Outage;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::fake::{Fake, Rules, asked};
use super::{app_role, endpoint, errors_reply, given, vault};

fn quota() -> ResponseTemplate {
    errors_reply(
        429,
        &["request path \"identity/oidc/scope/s\": rate limit quota exceeded"],
    )
}

/// The reply of an OpenBao node that is behind the one that was written to.
fn behind() -> ResponseTemplate {
    errors_reply(429, &[]).insert_header("Retry-After", "1")
}

async fn read(vault: &Vault) -> Result<Option<Scope>, Failure> {
    vault.read::<Scope>("s").await
}

#[tokio::test]
async fn a_refused_request_is_sent_again_and_the_login_stays() {
    for refusal in [quota(), behind()] {
        let (server, fake) = Fake::start(Rules::default()).await;
        let vault = vault(&server, given());
        vault.session().keep().await.expect("a login");
        let healthy = Rules::default().other;
        fake.rule(|rules| rules.other = refusal.clone());
        let recovers = async {
            fake.arrival().await;
            fake.rule(|rules| rules.other = healthy);
        };
        let (found, ()) = tokio::join!(read(&vault), recovers);
        assert!(found.is_ok(), "{found:?}");
        assert!(!vault.http().breaker().is_open());
        let about = asked(&server).await;
        let logins = about.iter().filter(|asked| asked.contains("lookup-self")).count();
        assert_eq!(logins, 1, "{about:?}");
    }
}

/// A quota may also concern the login itself.
#[tokio::test]
async fn a_refused_login_is_sent_again_and_does_not_count_as_refused() {
    let (server, fake) = Fake::start(Rules::default()).await;
    fake.rule(|rules| rules.login = Some(quota()));
    let vault = vault(&server, app_role());
    let recovers = async {
        while asked(&server).await.is_empty() {
            tokio::task::yield_now().await;
        }
        fake.rule(|rules| rules.login = None);
    };
    let (found, ()) = tokio::join!(read(&vault), recovers);
    assert!(found.is_ok(), "{found:?}");
    assert!(!vault.http().breaker().is_open());
}

#[tokio::test]
async fn a_long_pause_holds_for_every_login_at_the_server() {
    let (server, fake) = Fake::start(Rules::default()).await;
    fake.rule(|rules| rules.login = Some(quota().insert_header("Retry-After", "60")));
    let vault = vault(&server, app_role());
    let limited = Err(Failure::Outage(Outage::Limited(Duration::from_secs(60))));
    assert_eq!(read(&vault).await, limited);
    assert_eq!(read(&vault).await, limited);
    assert_eq!(asked(&server).await.len(), 1);
}

/// Many requests may wait for a login, so it waits for none of them.
#[tokio::test]
async fn a_login_does_not_wait_for_those_that_are_slowed_down() {
    let (server, fake) = Fake::start(Rules::default()).await;
    let http = endpoint(&server);
    let first = Vault::new(Arc::new(Session::new(http.clone(), given(), "")), "");
    first.session().keep().await.expect("a login");
    let healthy = Rules::default().other;
    fake.rule(|rules| rules.other = quota());
    let recovers = async {
        fake.arrival().await;
        fake.rule(|rules| rules.other = healthy);
    };
    let (found, ()) = tokio::join!(read(&first), recovers);
    assert!(found.is_ok());

    let second = Vault::new(Arc::new(Session::new(http, app_role(), "")), "");
    let begun = Instant::now();
    let slowed = futures::future::join_all((0..20).map(|_| read(&first)));
    let (all, found) = tokio::join!(slowed, read(&second));
    assert!(all.iter().all(Result::is_ok) && found.is_ok());
    assert!(
        begun.elapsed() > Duration::from_millis(500),
        "they were not slowed down"
    );
    let all = asked(&server).await;
    let login = all.iter().position(|asked| asked.contains("login")).expect("a login");
    assert!(login < all.len() / 2, "{all:#?}");
}

/// Without the query, a standby would answer 429.
#[tokio::test]
async fn a_standby_is_healthy() {
    let (server, fake) = Fake::start(Rules::default()).await;
    let standby = json!({ "initialized": true, "sealed": false, "standby": true });
    fake.rule(|rules| rules.health = crate::json_reply(200, &standby));
    let http = endpoint(&server);
    let found = oidc_operator::admin::vault::health::health(&http).await;
    assert_eq!(found.map(|health| health.standby), Ok(true));
    let requests = server.received_requests().await.unwrap_or_default();
    let query = requests[0].url.query().unwrap_or_default();
    assert!(
        query.contains("standbyok=true") && query.contains("perfstandbyok=true"),
        "{query}"
    );
}
