//! Several operators at once: with leader election only one writes, whatever happens to it; without, nothing breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;
use serde_json::json;
use testbed::process::Signal;
use testbed::proxy::{Action, Exchange, Fault, RequestHead};
use testbed::wait;

use crate::bed::{
    Bed, LIMIT, Operator, OperatorOptions, Options, Server, ServerOptions, Space, is_create, is_list, ledger_of, uid_of,
};
use crate::closing::rbac::KubeRequest;
use crate::run::Side;

/// Namespace and name of the Lease.
const ELECTION: &str = "kube-system";
const LEASE: &str = "oidc-operator";
/// Longest time from the end of a leader that could not release its Lease to the work of the next.
const TAKEOVER: Duration = Duration::from_secs(20);
/// The same for a leader that released its Lease.
const HANDOVER: Duration = Duration::from_secs(5);
/// Duration of a Lease.
const LEASE_TIME: Duration = Duration::from_secs(15);
/// Longer than any request is held back; the test releases each.
const HELD: Duration = Duration::from_secs(60);
/// Number of clients that two operators share.
const MANY: usize = 20;
/// A client whose credentials can be tried.
const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read] }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let elected = options(true);
    vec![
        side.alone(
            options(false),
            two_operators_without_election_make_no_duplicates_and_do_not_fight,
        ),
        side.alone(elected.clone(), a_killed_leader_is_replaced),
        side.alone(elected.clone(), a_terminated_leader_hands_over),
        side.alone(elected.clone(), a_frozen_leader_writes_nothing_when_it_resumes),
        side.alone(elected, a_leader_without_kubernetes_stops_writing_and_exits),
    ]
}

fn options(leader_election: bool) -> Options {
    Options {
        operator: Some(operator(leader_election)),
        server: Some(ServerOptions {
            resync_interval: "2s".to_owned(),
            ..ServerOptions::default()
        }),
        ..Options::default()
    }
}

fn operator(leader_election: bool) -> OperatorOptions {
    OperatorOptions {
        leader_election,
        ..OperatorOptions::default()
    }
}

async fn two_operators_without_election_make_no_duplicates_and_do_not_fight(bed: &Bed) -> Result<()> {
    let operators = [bed.operator(), bed.start_operator(operator(false)).await?];
    let server = Arc::clone(&bed.servers()[0]);
    let space = bed.space().await?;
    let names: Vec<String> = (0..MANY).map(|number| format!("app-{number}")).collect();

    try_join_all(names.iter().map(|name| space.apply_client(name, MACHINE))).await?;
    settled(bed, &operators, &server, &space, &names).await?;
    for operator in &operators {
        let worked = !operator.writes_in(space.name()).is_empty();
        ensure!(worked, "{} had nothing to do: no race was tested", operator.name());
    }
    let before = try_join_all(names.iter().map(|name| space.credentials(name))).await?;

    let change = json!({ "spec": { "scopes": ["read", "write"] } });
    try_join_all(names.iter().map(|name| space.change(name, change.clone()))).await?;
    settled(bed, &operators, &server, &space, &names).await?;
    let after = try_join_all(names.iter().map(|name| space.credentials(name))).await?;
    ensure!(before == after, "an update has changed credentials");
    for (id, secret) in &after {
        bed.token(id, secret, "read write").await?;
    }

    let (going, staying) = names.split_at(MANY / 2);
    let gone = try_join_all(going.iter().map(|name| space.delete_and_wait(name))).await?;
    settled(bed, &operators, &server, &space, staying).await?;
    for client in gone {
        let id = uid_of(&client);
        ensure!(bed.hydra_client(&id).await?.is_none(), "client {id} is left");
        ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "its ledger is left");
        ensure!(space.secret(&client.name_any()).await?.is_none(), "its Secret is left");
    }
    Ok(())
}

/// Waits until no operator writes any more. Then checks that they write nothing in three more sweeps of both, and that
/// all clients work and have no duplicates.
async fn settled(
    bed: &Bed,
    operators: &[Arc<Operator>],
    server: &Server,
    space: &Space<'_>,
    names: &[String],
) -> Result<()> {
    for name in names {
        space.wait_ready(name).await?;
    }
    wait::until("two sweeps without a write: they fight", LIMIT, async || {
        Ok(writes_in_sweeps(operators, server, space, 2)
            .await?
            .is_empty()
            .then_some(()))
    })
    .await?;
    let writes = writes_in_sweeps(operators, server, space, 3).await?;
    ensure!(writes.is_empty(), "written in three sweeps: {writes:#?}");

    let mut ids = Vec::new();
    for name in names {
        let client = space.wait_ready(name).await?;
        let (id, secret) = space.credentials(name).await?;
        let ledger = space.secret_data(&ledger_of(&client)).await?;
        ensure!(ledger["client_secret"] == secret, "{name}: ledger and Secret differ");
        let token = bed.token(&id, &secret, "read").await;
        token.with_context(|| format!("the credentials of {name}"))?;
        ids.push(id);
    }
    let clients = bed.hydra_clients().await?;
    let mut found: Vec<_> = clients
        .iter()
        .filter_map(|client| client["client_id"].as_str())
        .collect();
    ids.sort();
    found.sort_unstable();
    ensure!(found == ids, "Hydra has {found:?} instead of {ids:?}");
    Ok(())
}

/// The writes while each of two operators sweeps this many times.
async fn writes_in_sweeps(
    operators: &[Arc<Operator>],
    server: &Server,
    space: &Space<'_>,
    sweeps: usize,
) -> Result<Vec<String>> {
    let marks: Vec<u64> = operators.iter().map(|operator| operator.requests().mark()).collect();
    let admin = server.admin.journal().mark();
    // Both sweep equally often; when the next sweeps have begun, the earlier ones have ended.
    let lists = operators.len() * (sweeps + 1);
    let what = format!("{lists} sweeps");
    wait::until(&what, LIMIT, async || {
        let since = server.admin.journal().since(admin);
        let found = since.iter().filter(|exchange| is_list(&exchange.head));
        Ok((found.count() > lists).then_some(()))
    })
    .await?;
    let mut writes: Vec<String> = hydra_writes(server, admin)
        .iter()
        .map(|write| format!("{:?}", write.head))
        .collect();
    for (operator, mark) in operators.iter().zip(marks) {
        let requests = operator.kube_requests(mark).into_iter();
        let requests = requests.filter(|request| {
            request.namespace.as_deref() == Some(space.name()) && request.is_write() && request.resource != "events"
        });
        writes.extend(requests.map(|request| format!("{}: {request:?}", operator.name())));
    }
    Ok(writes)
}

async fn a_killed_leader_is_replaced(bed: &Bed) -> Result<()> {
    let (first, second) = pair(bed).await?;
    let space = bed.space().await?;
    space.ready_client("before", MACHINE).await?;
    first.kill();
    let killed = Instant::now();
    space.ready_client("after", MACHINE).await?;
    let took = killed.elapsed();
    eprintln!(
        "election: from SIGKILL of the leader to the next Ready: {:.1} s",
        took.as_secs_f64()
    );
    ensure!(took <= TAKEOVER, "{took:?}");
    ensure!(holder(bed).await?.as_deref() == Some(second.name()));
    works(bed, &space, "before").await?;
    works(bed, &space, "after").await?;
    // After its restart it waits as the standby.
    first.start_again().await?;
    space.ready_client("later", MACHINE).await?;
    ensure!(holder(bed).await?.as_deref() == Some(second.name()));
    Ok(())
}

async fn a_terminated_leader_hands_over(bed: &Bed) -> Result<()> {
    let (first, second) = pair(bed).await?;
    let server = Arc::clone(&bed.servers()[0]);
    let space = bed.space().await?;
    let is_post = |head: &RequestHead| is_create(head);
    let held = server.admin.inject(Fault::new(is_post, Action::Delay(HELD)));
    let client = space.apply_client("app", MACHINE).await?;
    let post = server
        .admin
        .journal()
        .wait_for(|exchange| is_post(&exchange.head), LIMIT)
        .await?;

    let log = first.log().len();
    first.signal(Signal::TERM)?;
    wait::until("the leader to log that it stops", LIMIT, async || {
        Ok(first.log()[log..].contains("stopping").then_some(()))
    })
    .await?;
    let leader = holder(bed).await?;
    ensure!(
        leader.as_deref() == Some(first.name()),
        "the Lease was released during a write: {leader:?}"
    );
    ensure!(first.is_alive(), "it has exited during a write");
    drop(held);
    let status = first.ended(LIMIT).await?;
    let ended = Instant::now();
    ensure!(status.success(), "{status}");

    // The leader has finished its write: nothing is left to the next leader.
    let finished = space.client("app").await?;
    let confirmed = finished.status.as_ref().and_then(|status| status.updated_at.clone());
    ensure!(
        confirmed.is_some(),
        "the create is not confirmed: {:?}",
        finished.status
    );
    wait::until("the other operator to lead", LIMIT, async || {
        Ok((holder(bed).await?.as_deref() == Some(second.name())).then_some(()))
    })
    .await?;
    let took = ended.elapsed();
    eprintln!(
        "election: from the end of the leader to the next one: {:.1} s",
        took.as_secs_f64()
    );
    ensure!(took <= HANDOVER, "{took:?}");
    space.ready_client("later", MACHINE).await?;
    swept(&server, 2).await?;
    space.wait_ready("app").await?;
    works(bed, &space, "app").await?;
    let id = uid_of(&client);
    let about = |exchange: &Exchange| exchange.head.path() == bed.client_path(&id);
    let more = server.admin.journal().since(post.seq);
    ensure!(!more.iter().any(about), "the client was requested again: {more:#?}");
    let posts = server.admin.journal().count(|exchange| is_post(&exchange.head));
    ensure!(posts == 2, "{posts} POSTs for two clients");
    Ok(())
}

async fn a_frozen_leader_writes_nothing_when_it_resumes(bed: &Bed) -> Result<()> {
    let (first, second) = pair(bed).await?;
    let server = Arc::clone(&bed.servers()[0]);
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let path = bed.client_path(&uid_of(&client));

    // There is something to write, but the next leader cannot write it, since it cannot read the ledger.
    first.signal(Signal::STOP)?;
    let ledger = ledger_of(&client);
    let of_ledger = move |head: &RequestHead| {
        KubeRequest::of(head).is_some_and(|request| request.verb == "get" && request.name.as_deref() == Some(&*ledger))
    };
    let blind = second.kube().inject(Fault::new(of_ledger, Action::Refuse));
    space
        .change("app", json!({ "spec": { "scopes": ["read", "write"] } }))
        .await?;
    wait::until("the other operator to lead and to try", LIMIT, async || {
        let leads = holder(bed).await?.as_deref() == Some(second.name());
        Ok((leads && blind.struck() > 0).then_some(()))
    })
    .await?;

    // The frozen leader resumes. It tries to write before it learns that it no longer leads.
    let unaware = first.kube().inject(Fault::new(is_lease, Action::Delay(HELD)));
    let mark = server.admin.journal().mark();
    first.signal(Signal::CONT)?;
    let look = |exchange: &Exchange| exchange.seq > mark && exchange.head.is("GET", &path);
    server
        .admin
        .journal()
        .wait_for(look, LIMIT)
        .await
        .context("it did not even try")?;
    drop(unaware);
    let status = first.ended(LIMIT).await?;
    let writes = hydra_writes(&server, mark);
    ensure!(writes.is_empty(), "written by a former leader: {writes:#?}");
    ensure!(!status.success() && status.code().is_some(), "{status}");

    drop(blind);
    space.wait_ready("app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "read write").await?;
    Ok(())
}

async fn a_leader_without_kubernetes_stops_writing_and_exits(bed: &Bed) -> Result<()> {
    let (operator, server) = (bed.operator(), Arc::clone(&bed.servers()[0]));
    let space = bed.space().await?;
    // Without a secret there is no ledger to read, so the operator needs only Hydra to correct the client.
    let spec = "{ clientType: Public, redirectUris: [https://spa.example.com/], scopes: [read] }";
    let client = space.ready_client("app", spec).await?;
    let id = uid_of(&client);
    let path = bed.client_path(&id);
    let tampered = |found: &mut serde_json::Value| found["scope"] = json!("read admin");
    let repaired = |found: &serde_json::Value| found["scope"] == "read";

    let kube = operator.requests().mark();
    operator.kube().down();
    let cut = Instant::now();
    // Three renewals take six seconds: with a deadline of ten each, no write that starts now ends within the Lease.
    wait::until("three renewals that failed", LIMIT, async || {
        let since = operator.requests().since(kube);
        let failed = since
            .iter()
            .filter(|exchange| exchange.fault == Some("down") && is_lease(&exchange.head));
        Ok((failed.count() >= 3).then_some(()))
    })
    .await?;
    let mark = server.admin.journal().mark();
    bed.tamper(&id, tampered).await?;
    let look = |exchange: &Exchange| exchange.seq > mark && exchange.head.is("GET", &path);
    server
        .admin
        .journal()
        .wait_for(look, LIMIT)
        .await
        .context("it did not even try")?;
    let status = operator.ended(LIMIT).await?;
    let took = cut.elapsed();
    eprintln!(
        "election: from the loss of Kubernetes to the end: {:.1} s",
        took.as_secs_f64()
    );
    ensure!(!status.success() && status.code().is_some(), "{status}");
    ensure!(took <= LEASE_TIME + HANDOVER, "it exited only after {took:?}");
    let writes = hydra_writes(&server, mark);
    ensure!(writes.is_empty(), "written without a Lease: {writes:#?}");

    operator.kube().up();
    operator.start_again().await?;
    bed.until_registered("its scope back", &id, repaired).await?;
    Ok(())
}

/// The leader and a standby.
async fn pair(bed: &Bed) -> Result<(Arc<Operator>, Arc<Operator>)> {
    let pair = (bed.operator(), bed.start_operator(operator(true)).await?);
    let leader = holder(bed).await?;
    ensure!(leader.as_deref() == Some(pair.0.name()), "{leader:?} leads");
    Ok(pair)
}

async fn holder(bed: &Bed) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(bed.client(), ELECTION);
    Ok(leases.get(LEASE).await?.spec.and_then(|spec| spec.holder_identity))
}

fn is_lease(head: &RequestHead) -> bool {
    KubeRequest::of(head).is_some_and(|request| request.resource == "leases")
}

/// Writes to Hydra after `mark`.
fn hydra_writes(server: &Server, mark: u64) -> Vec<Exchange> {
    let mut exchanges = server.admin.journal().since(mark);
    exchanges.retain(|exchange| exchange.head.method != "GET");
    exchanges
}

/// Waits for this many more complete sweeps.
async fn swept(server: &Server, sweeps: usize) -> Result<()> {
    let mark = server.admin.journal().mark();
    wait::until("sweeps", LIMIT, async || {
        let since = server.admin.journal().since(mark);
        let lists = since.iter().filter(|exchange| is_list(&exchange.head));
        Ok((lists.count() > sweeps).then_some(()))
    })
    .await
}

/// Checks that the credentials in the Secret get a token.
async fn works(bed: &Bed, space: &Space<'_>, name: &str) -> Result<()> {
    let client: OAuth2Client = space.client(name).await?;
    let (id, secret) = space.credentials(name).await?;
    ensure!(id == uid_of(&client), "the client id differs");
    bed.token(&id, &secret, "read").await?;
    Ok(())
}
