//! Logins, consents and logouts of users, and the tokens that they yield.

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::clients::Cursor;
use oidc_operator::admin::hydra::request::{AcceptLogin, Reject};
use oidc_operator::admin::hydra::sessions::{Consents, GivenConsent};
use oidc_operator::secret::Secret;
use testbed::{HydraMajor, HydraOptions, wait};
use tokio::sync::Mutex;

use super::browser::{Browser, parameter};
use super::register;
use crate::bed::{Bed, LIMIT, admin_of, settled};
use crate::run::Side;

/// One user at a time: on SQLite, concurrent logins block each other until they time out.
static TURN: Mutex<()> = Mutex::const_new(());

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_login_and_a_consent_yield_tokens),
        side.shared(a_login_and_a_consent_can_be_denied),
        side.shared(a_logout_can_be_confirmed_or_denied),
        side.shared(consents_and_remembered_logins_can_be_revoked),
        side.shared(an_unknown_request_is_absent),
        side.shared(an_expired_request_is_reported_as_expired),
    ]
}

fn reject() -> Reject {
    Reject {
        error: "access_denied".to_owned(),
        error_description: "Not today.".to_owned(),
        status_code: 403,
        ..Reject::default()
    }
}

async fn a_login_and_a_consent_yield_tokens(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    let hydra = bed.admin().await?;
    let id = "operations-tokens";
    register(bed, id).await?;
    let mut browser = Browser::new(bed.public_url());

    let challenge = browser.log_in(id).await?;
    let login = settled("a GET", async || hydra.get_login_request(&challenge).await).await?;
    let login = login.context("no such login")?;
    ensure!(login.challenge == challenge, "another login");
    ensure!(
        login.requested_scope == ["openid", "offline"] && !login.skip,
        "{:?}",
        login.requested_scope
    );
    ensure!(
        login.client.is_some_and(|client| client.client_id == id),
        "another client"
    );

    let challenge = browser.consent(&hydra, id, "alice").await?;
    let consent = settled("a GET", async || hydra.get_consent_request(&challenge).await).await?;
    let consent = consent.context("no such consent")?;
    ensure!(
        consent.challenge == challenge && consent.subject == "alice",
        "{}",
        consent.subject
    );
    ensure!(
        consent.login_challenge.is_some() && !consent.login_session_id.is_empty(),
        "no login precedes the consent"
    );
    let tokens = browser.grant(&hydra, id, &challenge).await?;

    let kinds = [(&tokens.access, "access_token"), (&tokens.refresh, "refresh_token")];
    for (token, kind) in kinds {
        let found = settled("introspection", async || hydra.introspect_token(token, "").await).await?;
        let found = found.with_context(|| format!("no active {kind}"))?;
        ensure!(
            (&*found.sub, &*found.client_id, &*found.token_use) == ("alice", id, kind),
            "{found:?}"
        );
        ensure!(found.exp > found.iat && found.scope == "openid offline", "{found:?}");
    }
    let lacking = settled("introspection", async || {
        hydra.introspect_token(&tokens.access, "openid email").await
    });
    ensure!(
        lacking.await?.is_none(),
        "the token is active for a scope that was not granted"
    );
    let bogus = Secret::new("bogus".to_owned());
    ensure!(
        settled("introspection", async || hydra.introspect_token(&bogus, "").await)
            .await?
            .is_none(),
        "a bogus token is active"
    );
    settled("a DELETE", async || hydra.delete_tokens(id).await).await?;
    let deleted = settled("introspection", async || {
        hydra.introspect_token(&tokens.access, "").await
    })
    .await?;
    ensure!(deleted.is_none(), "still active: {deleted:?}");
    Ok(())
}

async fn a_login_and_a_consent_can_be_denied(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    let hydra = bed.admin().await?;
    let id = "operations-denied";
    register(bed, id).await?;
    let mut browser = Browser::new(bed.public_url());
    let challenge = browser.log_in(id).await?;
    let next = settled("a denial", async || {
        hydra.reject_login_request(&challenge, &reject()).await
    })
    .await?;
    let back = browser.visit(next.context("no such login")?.expose()).await?;
    ensure!(parameter(&back, "error")? == "access_denied", "{back}");

    let challenge = browser.consent(&hydra, id, "bob").await?;
    let next = settled("a denial", async || {
        hydra.reject_consent_request(&challenge, &reject()).await
    })
    .await?;
    let back = browser.visit(next.context("no such consent")?.expose()).await?;
    ensure!(parameter(&back, "error")? == "access_denied", "{back}");
    ensure!(
        parameter(&back, "error_description")?.starts_with("Not today."),
        "{back}"
    );
    let (looked_up, again) = (
        hydra.get_consent_request(&challenge).await.map(|found| found.is_some()),
        hydra.reject_consent_request(&challenge, &reject()).await,
    );
    match bed.major() {
        // A request can be answered only once.
        HydraMajor::V1 => {
            ensure!(matches!(looked_up, Err(Failure::Handled(Some(_)))), "{looked_up:?}");
            ensure!(again == Err(Failure::Handled(None)), "{again:?}");
        }
        // The challenge itself encodes the request, so an answer does not change it.
        HydraMajor::V2 => {
            ensure!(looked_up == Ok(true), "{looked_up:?}");
            ensure!(matches!(again, Ok(Some(_))), "{again:?}");
        }
    }
    Ok(())
}

async fn a_logout_can_be_confirmed_or_denied(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    let hydra = bed.admin().await?;
    let id = "operations-logout";
    register(bed, id).await?;
    let mut browser = Browser::new(bed.public_url());
    let tokens = browser.tokens(&hydra, id, "carol").await?;

    let challenge = browser.log_out(&tokens.id).await?;
    let logout = settled("a GET", async || hydra.get_logout_request(&challenge).await).await?;
    let logout = logout.context("no such logout")?;
    ensure!(
        logout.subject == "carol" && logout.rp_initiated && !logout.sid.is_empty(),
        "another logout"
    );
    ensure!(
        logout.client.is_some_and(|client| client.client_id == id),
        "another client"
    );
    settled("a denial", async || hydra.reject_logout_request(&challenge).await).await?;

    let challenge = browser.log_out(&tokens.id).await?;
    let next = settled("the logout", async || hydra.accept_logout_request(&challenge).await).await?;
    browser.visit(next.context("no such logout")?.expose()).await?;
    let answered = hydra.get_logout_request(&challenge).await.err();
    ensure!(matches!(answered, Some(Failure::Handled(Some(_)))), "{answered:?}");
    Ok(())
}

async fn consents(hydra: &Hydra, subject: &str) -> Result<Vec<GivenConsent>> {
    let page = settled("a page", async || {
        hydra.list_consent_sessions(subject, &mut Cursor::default()).await
    });
    page.await?.context("no first page")
}

async fn consents_and_remembered_logins_can_be_revoked(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    let hydra = bed.admin().await?;
    let (one, other) = ("operations-given-1", "operations-given-2");
    let mut browser = Browser::new(bed.public_url());
    for id in [one, other] {
        register(bed, id).await?;
        if id == one {
            browser.tokens(&hydra, id, "dave").await?;
        }
    }
    // The login is remembered, so the same browser need not log in again.
    let challenge = browser.log_in(other).await?;
    let login = settled("a GET", async || hydra.get_login_request(&challenge).await).await?;
    ensure!(
        login.is_some_and(|login| login.skip && login.subject == "dave"),
        "the login is not remembered"
    );
    let challenge = browser.consent(&hydra, other, "dave").await?;
    browser.grant(&hydra, other, &challenge).await?;

    let given = consents(&hydra, "dave").await?;
    let clients = given
        .iter()
        .filter_map(|consent| consent.consent_request.as_ref()?.client.as_ref());
    let mut clients: Vec<&str> = clients.map(|client| client.client_id.as_str()).collect();
    clients.sort_unstable();
    ensure!(clients == [one, other], "{clients:?}");
    ensure!(
        given
            .iter()
            .all(|consent| consent.remember && consent.grant_scope == ["openid", "offline"]),
        "the consents differ"
    );
    let revoke = async |which: Consents<'_>| {
        settled("a DELETE", async || hydra.revoke_consent_sessions("dave", which).await).await
    };
    revoke(Consents::Client(one)).await?;
    ensure!(
        consents(&hydra, "dave").await?.len() == 1,
        "not exactly one consent is left"
    );
    revoke(Consents::All).await?;
    revoke(Consents::All).await?;
    ensure!(consents(&hydra, "dave").await?.is_empty(), "some consents are left");

    for _ in 0..2 {
        settled("a DELETE", async || hydra.revoke_authentication_session("dave").await).await?;
    }
    let challenge = browser.log_in(one).await?;
    let login = settled("a GET", async || hydra.get_login_request(&challenge).await).await?;
    ensure!(login.is_some_and(|login| !login.skip), "the login is still remembered");
    Ok(())
}

async fn an_unknown_request_is_absent(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    let hydra = bed.admin().await?;
    let nobody = Secret::new("nobodys-challenge".to_owned());
    let login = AcceptLogin {
        subject: "alice".to_owned(),
        ..AcceptLogin::default()
    };
    let absent = [
        settled("a GET", async || hydra.get_login_request(&nobody).await)
            .await?
            .is_none(),
        settled("a GET", async || hydra.get_consent_request(&nobody).await)
            .await?
            .is_none(),
        settled("a GET", async || hydra.get_logout_request(&nobody).await)
            .await?
            .is_none(),
        settled("a PUT", async || hydra.accept_login_request(&nobody, &login).await)
            .await?
            .is_none(),
        settled("a PUT", async || {
            hydra.accept_consent_request(&nobody, &Default::default()).await
        })
        .await?
        .is_none(),
        settled("a PUT", async || hydra.accept_logout_request(&nobody).await)
            .await?
            .is_none(),
        settled("a PUT", async || hydra.reject_login_request(&nobody, &reject()).await)
            .await?
            .is_none(),
        settled("a PUT", async || hydra.reject_consent_request(&nobody, &reject()).await)
            .await?
            .is_none(),
    ];
    ensure!(absent == [true; 8], "{absent:?}");
    settled("a PUT", async || hydra.reject_logout_request(&nobody).await).await
}

async fn an_expired_request_is_reported_as_expired(bed: &Bed) -> Result<()> {
    let _turn = TURN.lock().await;
    if bed.major() == HydraMajor::V1 {
        return Ok(()); // it reports the expiry only to the browser
    }
    let options = HydraOptions {
        env: vec![("TTL_LOGIN_CONSENT_REQUEST".to_owned(), "1s".to_owned())],
        ..HydraOptions::of(bed.major())
    };
    let server = testbed::Hydra::start(options).await?;
    let hydra = admin_of(&server.admin_url()).await?;
    let secret = Secret::new(super::CLIENT_SECRET.to_owned());
    let client = super::application("late");
    settled("a client", async || hydra.create_client(&client, Some(&secret)).await).await?;
    let challenge = Browser::new(&server.public_url()).log_in("late").await?;
    wait::until("the login request to expire", LIMIT, async || {
        match hydra.get_login_request(&challenge).await {
            Err(Failure::Expired) => Ok(Some(())),
            Ok(Some(_)) => Ok(None),
            Ok(None) => bail!("no such login"),
            Err(failure) => bail!("{failure:?}"),
        }
    })
    .await?;
    ensure!(!hydra.http().breaker().is_open(), "the breaker is open");
    Ok(())
}
