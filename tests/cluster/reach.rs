//! Operators that reach less than by default, under exactly the rights that the chart then gives them: the core of the
//! suite, and what is special.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, FINALIZER, OAuth2Client, condition};
use oidc_operator::error::Error;
use serde_json::{Value, json};
use testbed::wait;

use crate::bed::{Bed, LIMIT, Operator, OperatorOptions, Options, Reach, ServerOptions, Space, uid_of};
use crate::conditions::Tone;
use crate::details::caches::a_kubernetes_api_with_paged_lists_is_supported;
use crate::overlap::unused;
use crate::run::Side;
use crate::{change, create, delete, key_sets, login, provider, references, repair, rotation};

/// A client whose credentials can be tried.
const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read] }";

/// The tests of a side: the core of the suite, and the tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let core = [
        create::trials,
        change::trials,
        delete::trials,
        key_sets::trials,
        login::trials,
        provider::trials,
        references::trials,
        repair::trials,
        rotation::trials,
    ];
    let mut trials: Vec<Trial> = core.iter().flat_map(|list| list(side)).collect();
    match side.reach() {
        Reach::Everywhere => {}
        Reach::Namespaces => trials.extend([
            side.shared(a_resource_in_another_namespace_says_that_nobody_works_on_it),
            side.alone(Options::default(), a_kubernetes_api_with_paged_lists_is_supported),
            side.alone(Options::default(), who_takes_the_role_away_stops_one_namespace_only),
            side.alone(
                Options::default(),
                a_namespace_that_is_no_longer_watched_can_be_cleaned_up,
            ),
        ]),
        Reach::NoSecretWatch => {
            // They change users' Secrets many times, each of which the operator then notices within a minute only.
            trials.retain(|trial| !trial.name().contains("key_sets::import::"));
            trials.push(side.alone(Options::default(), secrets_are_read_once_per_resync));
            trials.push(side.shared(unused::who_may_not_list_pods_ends_no_overlap_by_them));
        }
    }
    trials
}

/// The tests of classes, which need all rights.
pub fn classes(side: &Side) -> Vec<Trial> {
    let bare = Options::bare();
    vec![
        side.alone(bare.clone(), each_class_of_servers_has_its_own_operator),
        side.alone(bare, a_second_installation_of_a_class_stands_by_and_says_so),
    ]
}

async fn a_resource_in_another_namespace_says_that_nobody_works_on_it(bed: &Bed) -> Result<()> {
    let outside = bed.unnamed_space().await?;
    let message = Error::NamespaceNotWatched(outside.name().to_owned()).to_string();
    outside.apply_client("app", MACHINE).await?;
    let client: OAuth2Client = outside
        .says("app", Tone::Reconciling, "NamespaceNotWatched", &message)
        .await?;
    ensure!(client.finalizers().is_empty(), "{:?}", client.finalizers());
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "it was registered");
    let operator = bed.operator();
    let about_outputs = operator.kube_requests(0).into_iter().filter(|request| {
        request.namespace.as_deref() == Some(outside.name())
            && matches!(request.resource.as_str(), "secrets" | "configmaps")
    });
    let about_outputs: Vec<_> = about_outputs.collect();
    ensure!(about_outputs.is_empty(), "{about_outputs:?}");
    outside.delete_and_wait("app").await?;
    Ok(())
}

/// The admin of a namespace may delete the operator's RoleBinding there.
async fn who_takes_the_role_away_stops_one_namespace_only(bed: &Bed) -> Result<()> {
    let (stopped, other) = (bed.space().await?, bed.space().await?);
    let before = stopped.ready_client("app", MACHINE).await?;
    let (bindings, binding) = take_role_away(bed, &stopped).await?;

    // A restart must not wait for the Secrets of that namespace.
    bed.operator().terminate().await?;
    let operator = bed
        .start_operator(OperatorOptions {
            lacking: true,
            ..OperatorOptions::default()
        })
        .await?;
    operator.until_ready().await?;
    other.ready_client("app", MACHINE).await?;
    stopped.apply_client("late", MACHINE).await?;
    let refused = stopped
        .wait_condition("late", "Ready", "False", "ClusterUnavailable")
        .await?;
    let message = refused
        .status
        .as_ref()
        .and_then(|status| condition::find(&status.conditions, "Ready"));
    let message = message.map(|found| found.message.clone()).unwrap_or_default();
    ensure!(message.contains("check RBAC"), "{message}");
    bed.registered(&uid_of(&before)).await?;

    let again = RoleBinding {
        metadata: kube::core::ObjectMeta {
            name: binding.metadata.name.clone(),
            labels: binding.metadata.labels.clone(),
            ..Default::default()
        },
        ..binding
    };
    bindings.create(&PostParams::default(), &again).await?;
    stopped.wait_ready("late").await?;
    stopped.wait_ready("app").await?;
    Ok(())
}

/// Deletes the operator's RoleBinding in a namespace, and returns it.
async fn take_role_away(bed: &Bed, space: &Space<'_>) -> Result<(Api<RoleBinding>, RoleBinding)> {
    let bindings: Api<RoleBinding> = Api::namespaced(bed.client(), space.name());
    let found = bindings.list(&ListParams::default()).await?.items;
    let binding = found.into_iter().next().context("the operator has no RoleBinding")?;
    bindings.delete(&binding.name_any(), &DeleteParams::default()).await?;
    Ok((bindings, binding))
}

async fn a_namespace_that_is_no_longer_watched_can_be_cleaned_up(bed: &Bed) -> Result<()> {
    let (left, other) = (bed.space().await?, bed.space().await?);
    let client = left.ready_client("app", MACHINE).await?;
    let stays = left.ready_client("stays", MACHINE).await?;
    let (id, secret) = left.credentials("stays").await?;
    left.ready_client("kept", "{ grantTypes: [client_credentials], deletionPolicy: Orphan }")
        .await?;
    bed.operator().terminate().await?;
    take_role_away(bed, &left).await?;
    let flags = vec![("watch-namespaces".to_owned(), other.name().to_owned())];
    bed.start_operator(OperatorOptions {
        flags,
        lacking: true,
        ..OperatorOptions::default()
    })
    .await?;
    let message = Error::NamespaceNotWatched(left.name().to_owned()).to_string();
    left.says::<OAuth2Client>("stays", Tone::Reconciling, "NamespaceNotWatched", &message)
        .await?;
    bed.token(&id, &secret, "read").await?;
    left.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&uid_of(&client)).await?.is_none(),
        "the client stayed in Hydra"
    );
    bed.registered(&uid_of(&stays)).await?;
    // Its Secret must stay, and the operator cannot take the owner reference off.
    left.delete("kept").await?;
    let message = Error::NamespaceLeft(left.name().to_owned()).to_string();
    left.says::<OAuth2Client>("kept", Tone::Reconciling, "NamespaceNotWatched", &message)
        .await?;
    left.change("kept", json!({ "spec": { "deletionPolicy": "Delete" } }))
        .await?;
    left.until_gone::<OAuth2Client>(&left.client("kept").await?).await?;
    other.ready_client("app", MACHINE).await?;
    Ok(())
}

async fn secrets_are_read_once_per_resync(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready_client("app", MACHINE).await?;
    let before = space.credentials("app").await?;
    space.delete_secret("app").await?;
    let back = space.wait_secret("the Secret to come back", "app", |_| true).await?;
    ensure!(space.credentials("app").await? == before);
    space.edit_secret("app", json!({ "CLIENT_SECRET": "wrong" })).await?;
    space
        .wait_secret("the Secret to be restored", "app", |secret| {
            secret.uid() == back.uid() && crate::bed::text_of(secret)["CLIENT_SECRET"] == before.1
        })
        .await?;
    // A restarted operator knows no versions, reads them, and writes nothing.
    bed.operator().terminate().await?;
    bed.operator().start_again().await?;
    let operator = bed.operator();
    let mark = operator.requests().mark();
    let reads = || {
        let requests = operator.kube_requests(mark).into_iter();
        requests.filter(|request| request.resource == "secrets" && request.name.as_deref() == Some("app"))
    };
    wait::until("three reads of the Secret", LIMIT, async || {
        Ok((reads().count() >= 3).then_some(()))
    })
    .await?;
    let requests = operator.kube_requests(mark);
    let listed = requests
        .iter()
        .any(|request| request.resource == "secrets" && matches!(request.verb, "list" | "watch"));
    ensure!(!listed, "Secrets were listed");
    let writes: Vec<_> = requests
        .iter()
        .filter(|request| request.is_write() && request.namespace.as_deref() == Some(space.name()))
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

async fn each_class_of_servers_has_its_own_operator(bed: &Bed) -> Result<()> {
    let of_class = |class: &str| OperatorOptions {
        flags: vec![("server-class".to_owned(), class.to_owned())],
        ..OperatorOptions::default()
    };
    let plain = bed.start_operator(of_class("")).await?;
    let edge = bed.start_operator(of_class("edge")).await?;
    let class = |class: &str| ServerOptions {
        spec: json!({ "serverClass": class }),
        ..ServerOptions::default()
    };
    bed.make_server("plain", ServerOptions::default()).await?;
    bed.make_server("edge", class("edge")).await?;
    bed.make_server("other", class("other")).await?;
    let space = bed.space().await?;
    let on = |server: &str| {
        format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials], scopes: [read] }}")
    };
    let names = ["plain", "edge"];
    for name in names {
        space.ready_client(name, &on(name)).await?;
    }
    space.apply_client("other", &on("other")).await?;
    space.apply_client("nowhere", &on("nowhere")).await?;
    space
        .wait_condition("nowhere", "Ready", "False", "ServerNotFound")
        .await?;
    wrote_only(&plain, &space, &["plain", "nowhere"])?;
    wrote_only(&edge, &space, &["edge"])?;
    let other = space.client("other").await?;
    ensure!(
        other.finalizers().is_empty(),
        "somebody works on a class without an operator"
    );
    ensure!(bed.hydra_client(&uid_of(&other)).await?.is_none());

    for (class, name, others) in [("", "plain", "edge"), ("edge", "edge", "plain")] {
        let said = uninstall_check(bed, class).await?;
        ensure!(said.contains(&format!("{}/{name}", space.name())), "{said}");
        ensure!(!said.contains(&format!("{}/{others}", space.name())), "{said}");
    }

    // Nobody works on a class without an operator; a resource that is abandoned can be deleted all the same.
    let held = json!({ "metadata": { "finalizers": [FINALIZER], "annotations": { ABANDON_ANNOTATION: "true" } } });
    space.change("other", held).await?;
    space.delete_and_wait("other").await?;

    // A server that changes its class is handed over with its resources: same client, same secret.
    let before = space.credentials("plain").await?;
    bed.change_server("plain", json!({ "serverClass": "edge" })).await?;
    space
        .change("plain", json!({ "spec": { "scopes": ["read", "write"] } }))
        .await?;
    space.wait_ready("plain").await?;
    ensure!(space.credentials("plain").await? == before, "the credentials changed");
    bed.token(&before.0, &before.1, "read write").await?;
    wrote_only(&plain, &space, &["plain", "nowhere", "other"])?;
    ensure!(
        writes(&edge, &space).iter().any(|name| name == "plain"),
        "nobody has written"
    );
    for name in ["plain", "edge", "nowhere"] {
        space.delete_and_wait(name).await?;
    }
    ensure!(bed.hydra_clients().await?.is_empty());
    Ok(())
}

/// What the check before an uninstallation says to an administrator.
async fn uninstall_check(bed: &Bed, class: &str) -> Result<String> {
    let mut check = tokio::process::Command::new(env!("CARGO_BIN_EXE_oidc-operator"));
    check.args(["uninstall-check", &format!("--server-class={class}")]);
    let output = check.env("KUBECONFIG", bed.plane().kubeconfig_path()).output().await?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Names of the clients that an operator has written to.
fn writes(operator: &Operator, space: &Space<'_>) -> Vec<String> {
    let requests = operator.kube_requests(0).into_iter();
    let writes = requests.filter(|request| {
        request.is_write()
            && request.namespace.as_deref() == Some(space.name())
            && request.resource.starts_with("oauth2clients")
    });
    writes.filter_map(|request| request.name).collect()
}

fn wrote_only(operator: &Operator, space: &Space<'_>, names: &[&str]) -> Result<()> {
    let writes = writes(operator, space);
    let foreign: Vec<_> = writes.iter().filter(|name| !names.contains(&name.as_str())).collect();
    ensure!(foreign.is_empty(), "{} has written to {foreign:?}", operator.name());
    Ok(())
}

async fn a_second_installation_of_a_class_stands_by_and_says_so(bed: &Bed) -> Result<()> {
    let installed = |namespace: &str| OperatorOptions {
        leader_election: true,
        flags: vec![("namespace".to_owned(), namespace.to_owned())],
        ..OperatorOptions::default()
    };
    let first = bed.start_operator(installed("oidc-system")).await?;
    let second: Arc<Operator> = bed.start_operator(installed("elsewhere")).await?;
    wait::until("the second one to say for whom it stands by", LIMIT, async || {
        let log = second.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = lines.into_iter().find(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("an operator of another installation leads") && message.contains("serverClass")
        });
        let is_first = |line: &Value| line["leader"] == first.name() && line["namespace"] == "oidc-system";
        Ok(told.filter(is_first).map(|_| ()))
    })
    .await?;
    bed.make_server("default", ServerOptions::default()).await?;
    let space = bed.space().await?;
    space.ready_client("app", MACHINE).await?;
    ensure!(writes(&second, &space).is_empty(), "both work");
    first.terminate().await?;
    space.ready_client("later", MACHINE).await?;
    ensure!(!writes(&second, &space).is_empty());
    Ok(())
}
