//! A tenant that makes the operator wait does not delay other tenants.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;
use oidc_operator::clock::DEADLINE;
use serde_json::json;
use testbed::process::Signal;
use testbed::proxy::{Action, Fault};
use testbed::{tarpit, wait};

use super::victim::Victim;
use crate::bed::{Bed, LIMIT, Options, ServerOptions, Space, everything, is_create};
use crate::conditions::Tone;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.alone(
            Options::default(),
            a_uri_that_never_answers_delays_only_clients_that_name_it,
        ),
        side.alone(Options::default(), a_slow_server_delays_only_its_own_clients),
        side.alone(Options::default(), many_new_clients_delay_no_other_namespace),
    ]
}

/// Far less than a request may take, and far more than a client without delay needs.
const SOON: Duration = Duration::from_secs(4);

/// Creates, changes and deletes several clients of the victim; none may wait for the attacker's requests.
async fn is_served_soon(victim: &Victim<'_>) -> Result<()> {
    for number in 0..5 {
        let name = format!("app-{number}");
        let served = tokio::time::timeout(SOON, victim.is_served(&name)).await;
        served.with_context(|| format!("{name} had to wait"))??;
    }
    Ok(())
}

async fn a_uri_that_never_answers_delays_only_clients_that_name_it(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let (port, tarpit) = tarpit::start().await?;
    let rules = everything(&[&format!("127.0.0.1:{port}")]);
    bed.change_server("default", json!({ "access": rules })).await?;
    let evil = bed.space().await?;
    let spec = format!(
        "{{ redirectUris: [https://a.example.com/cb], subjectType: pairwise, sectorIdentifierUri: 'https://127.0.0.1:{port}/x' }}"
    );
    let server = &bed.servers()[0];
    let mark = server.admin.journal().mark();
    for number in 0..20 {
        evil.apply_client(&format!("tar-{number}"), &spec).await?;
    }
    wait::until("the first request to wait", LIMIT, async || {
        let under_way = server.admin.journal().since(mark);
        Ok(under_way.iter().any(|exchange| is_create(&exchange.head)).then_some(()))
    })
    .await?;
    is_served_soon(&victim).await?;
    let message = "The server did not finish the request in time; it fetches sectorIdentifierUri before it answers, so make sure that it gets a reply from there. The operator tries again at increasing intervals.";
    evil.says::<OAuth2Client>("tar-0", Tone::Reconciling, "Timeout", message)
        .await?;
    // The slow clients are slow again, and are not retried sooner because others succeed.
    is_served_soon(&victim).await?;
    let unavailable = bed
        .operator()
        .metric(
            "oidc_operator_reconciles_total",
            "kind=\"OAuth2Client\",result=\"ServerUnavailable\"",
        )
        .await?;
    ensure!(
        unavailable == 0.0,
        "the breaker opened, and {unavailable} passes failed"
    );
    // A deletion does not wait behind the others either.
    let found = evil.remove::<OAuth2Client>("tar-0").await?;
    evil.until_gone(&found).await?;
    tarpit.abort();
    victim.is_untouched().await
}

async fn make_many(space: &Space<'_>, server: &str, count: usize) -> Result<()> {
    let spec = format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}");
    for number in 0..count {
        space.apply_client(&format!("many-{number}"), &spec).await?;
    }
    Ok(())
}

async fn a_slow_server_delays_only_its_own_clients(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let slow = bed.own_server(ServerOptions::default()).await?;
    let evil = bed.space().await?;
    let delay = Action::Delay(DEADLINE - Duration::from_secs(1));
    let fault = slow.admin.inject(Fault::new(is_create, delay));
    make_many(&evil, &slow.name, 150).await?;
    wait::until("a request to the slow server", LIMIT, async || {
        Ok((fault.struck() > 0).then_some(()))
    })
    .await?;
    is_served_soon(&victim).await?;
    drop(fault);
    for number in 0..150 {
        evil.wait_ready(&format!("many-{number}")).await?;
    }
    victim.is_untouched().await
}

async fn many_new_clients_delay_no_other_namespace(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let evil = bed.space().await?;
    let server = &bed.servers()[0].name;
    bed.operator().signal(Signal::STOP)?;
    make_many(&evil, server, 200).await?;
    bed.operator().signal(Signal::CONT)?;
    is_served_soon(&victim).await?;
    for number in 0..200 {
        evil.wait_ready(&format!("many-{number}")).await?;
    }
    victim.is_untouched().await
}
