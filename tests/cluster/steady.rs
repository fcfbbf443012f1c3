//! Settled resources cost lists only: no requests about single resources, and no writes.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use testbed::wait;

use crate::bed::{Bed, LIMIT, OperatorOptions, Options, Server, ServerOptions, Space, is_list};
use crate::run::Side;

/// Number of clients that a restarted operator finds.
const MANY: usize = 50;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let elected = Options {
        operator: Some(OperatorOptions {
            leader_election: true,
            ..OperatorOptions::default()
        }),
        ..Options::default()
    };
    vec![
        side.shared(a_resync_only_lists_and_writes_nothing),
        side.alone(elected, a_restart_only_lists_and_writes_nothing),
    ]
}

async fn a_resync_only_lists_and_writes_nothing(bed: &Bed) -> Result<()> {
    // It has its own Hydra, since the status would count orphans that other tests leave.
    let lab = bed.lab(&[], ServerOptions::default()).await?;
    let server = Arc::clone(&lab.server);
    let space = bed.space().await?;
    make_clients(&space, &server.name, 3).await?;
    until_counted(bed, &server, 3).await?;
    let (admin, public) = (server.admin.journal().mark(), server.public.journal().mark());
    let kube = bed.operator().requests().mark();
    until_swept(&server, admin, 3).await?;

    let asked = server.about_clients(admin);
    ensure!(asked.is_empty(), "{asked:#?}");
    let all = server.admin.journal().since(admin);
    let sweeps = all.iter().filter(|exchange| is_list(&exchange.head)).count();
    let versions = all.iter().filter(|exchange| exchange.head.path() == "/version").count();
    let discoveries = server.public.journal().since(public).len();
    // One of each per interval, and one more that started before or after.
    ensure!(
        versions <= sweeps + 1,
        "{versions} reads of the version in {sweeps} sweeps"
    );
    ensure!(
        discoveries <= sweeps + 1,
        "{discoveries} reads of discovery in {sweeps} sweeps"
    );
    let about = |request: &crate::closing::rbac::KubeRequest| {
        request.namespace.as_deref() == Some(space.name()) || request.name.as_deref() == Some(&*server.name)
    };
    let kube: Vec<_> = bed.operator().kube_requests(kube).into_iter().filter(about).collect();
    ensure!(kube.is_empty(), "{kube:#?}");
    Ok(())
}

async fn a_restart_only_lists_and_writes_nothing(bed: &Bed) -> Result<()> {
    let (operator, server) = (bed.operator(), Arc::clone(&bed.servers()[0]));
    let space = bed.space().await?;
    make_clients(&space, &server.name, MANY).await?;
    until_counted(bed, &server, MANY).await?;
    let status = operator.terminate().await?;
    ensure!(status.success(), "{status}");

    let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());
    operator.start_again().await?;
    wait::until("a pass over every client", LIMIT, async || {
        let passes = operator
            .metric("oidc_operator_reconciles_total", "kind=\"OAuth2Client\"")
            .await?;
        Ok((passes >= MANY as f64).then_some(()))
    })
    .await?;
    until_swept(&server, admin, 2).await?;

    let asked = server.about_clients(admin);
    ensure!(asked.is_empty(), "{asked:#?}");
    let requests = operator.kube_requests(kube);
    let single: Vec<_> = requests
        .iter()
        .filter(|request| request.resource != "leases" && !matches!(request.verb, "list" | "watch"))
        .filter(|request| request.resource != "namespaces") // the UID of kube-system is the cluster's id
        .filter(|request| request.resource != "selfsubjectaccessreviews") // the check of its rights
        .collect();
    ensure!(single.is_empty(), "{single:#?}");
    Ok(())
}

async fn make_clients(space: &Space<'_>, server: &str, count: usize) -> Result<()> {
    let spec = format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}");
    let names: Vec<String> = (0..count).map(|number| format!("app-{number}")).collect();
    for name in &names {
        space.apply_client(name, &spec).await?;
    }
    for name in &names {
        space.wait_ready(name).await?;
    }
    Ok(())
}

/// Waits until a sweep has counted this many resources; after that, nothing is left to write.
async fn until_counted(bed: &Bed, server: &Server, count: usize) -> Result<()> {
    let what = format!("AuthorizationServer {} to count {count} resources", server.name);
    let count = i64::try_from(count)?;
    bed.wait_server(&what, &server.name, |now| {
        now.status
            .as_ref()
            .is_some_and(|status| status.resources == Some(count))
    })
    .await?;
    Ok(())
}

/// Waits for this many complete sweeps after `mark`.
async fn until_swept(server: &Server, mark: u64, sweeps: usize) -> Result<()> {
    let what = format!("{sweeps} sweeps of {}", server.name);
    wait::until(&what, LIMIT, async || {
        let since = server.admin.journal().since(mark);
        let lists = since.iter().filter(|exchange| is_list(&exchange.head)).count();
        Ok((lists > sweeps).then_some(())) // a sweep starts only after the one before has ended
    })
    .await
}
