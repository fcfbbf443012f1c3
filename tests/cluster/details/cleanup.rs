//! Deletion: its order, the permission that it needs, and the failures that it survives.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, UID_LABEL, WATCH_LABEL};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, FaultHandle};
use testbed::wait;

use super::{brisk, client_at, machine_on, quiet, secret_at};
use crate::bed::{Bed, LIMIT, ServerOptions, Space, ledger_of, uid_of};
use crate::run::Side;

/// Finalizer of another controller.
const HOLD: &str = "example.com/hold";

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(secrets_are_deleted_after_the_client_and_before_the_finalizer),
        side.shared(a_recreated_resource_waits_until_the_old_secret_is_gone),
        side.shared(a_403_in_a_terminating_namespace_does_not_block_deletion),
        side.shared(a_403_in_any_other_namespace_blocks_deletion),
        side.shared(an_orphan_is_released_while_its_server_is_down),
        side.shared(a_changed_secret_name_deletes_every_other_owned_secret),
        side.shared(abandon_needs_permission_unless_the_server_is_gone),
    ]
}

async fn secrets_are_deleted_after_the_client_and_before_the_finalizer(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let (admin, kube) = (server.admin.journal().mark(), bed.operator().requests().mark());
    space.delete_and_wait("app").await?;
    let asked = server.about_clients(admin);
    let path = bed.client_path(&uid_of(&client));
    // An operator whose Lease is short of time reads once more before it deletes.
    let (deleted, looks) = asked.split_last().context("no request to Hydra")?;
    ensure!(
        deleted.head.is("DELETE", &path) && looks.iter().all(|look| look.head.is("GET", &path)) && !looks.is_empty(),
        "{asked:#?}"
    );
    let requests = bed.operator().requests().since(kube);
    let find = |method: &str, path: String| {
        let found = requests.iter().find(|exchange| exchange.head.is(method, &path));
        found.with_context(|| format!("no {method} {path}"))
    };
    let finalizer = find("PATCH", client_at(&space, "app"))?;
    for name in ["app".to_owned(), ledger_of(&client)] {
        let gone = find("DELETE", secret_at(&space, &name))?;
        ensure!(
            deleted.arrived < gone.arrived && gone.arrived < finalizer.arrived,
            "{gone:?} {finalizer:?}"
        );
        let condition: Value = serde_json::from_slice(&gone.body)?;
        ensure!(condition["preconditions"]["uid"].is_string(), "{condition}");
    }
    Ok(())
}

async fn a_recreated_resource_waits_until_the_old_secret_is_gone(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec = "{ grantTypes: [client_credentials], scopes: [read] }";
    space.ready_client("app", spec).await?;
    let (_, first) = space.credentials("app").await?;
    hold(&space, "app", &[HOLD]).await?;
    space.delete_and_wait("app").await?;
    space.apply_client("app", spec).await?;
    let waiting = space
        .wait_condition("app", "Reconciling", "True", "SecretConflict")
        .await?;
    let conditions = waiting.status.map(|status| status.conditions).unwrap_or_default();
    ensure!(
        conditions.iter().all(|condition| condition.type_ != "Stalled"),
        "{conditions:?}"
    );
    hold(&space, "app", &[]).await?;
    let client = space.wait_ready("app").await?;
    let (id, second) = space.credentials("app").await?;
    ensure!(
        id == uid_of(&client) && second != first,
        "it reused the existing Secret"
    );
    bed.token(&id, &second, "read").await?;
    Ok(())
}

/// Sets the finalizers of a Secret.
async fn hold(space: &Space<'_>, name: &str, finalizers: &[&str]) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    space.secrets().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Forbids the operator to delete a Secret.
fn forbid(bed: &Bed, space: &Space<'_>, name: &str) -> FaultHandle {
    let path = secret_at(space, name);
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403 });
    bed.operator().kube().inject(Fault::new(
        move |head| head.is("DELETE", &path),
        Action::Answer(Answer::json(403, &status)),
    ))
}

async fn a_403_in_a_terminating_namespace_does_not_block_deletion(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    // Without this finalizer the namespace controller may be faster than the operator.
    hold(&space, "app", &[HOLD]).await?;
    let forbidden = forbid(bed, &space, "app");
    let gone = async {
        space.wait_gone(&client).await?;
        ensure!(forbidden.struck() > 0, "nothing was forbidden");
        ensure!(
            bed.hydra_client(&uid_of(&client)).await?.is_none(),
            "the client stayed in Hydra"
        );
        hold(&space, "app", &[]).await
    };
    let (namespace, gone) = tokio::join!(space.delete_namespace_and_wait(), gone);
    gone?;
    namespace
}

async fn a_403_in_any_other_namespace_blocks_deletion(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let forbidden = forbid(bed, &space, "app");
    space.delete("app").await?;
    let waiting = space
        .wait_condition("app", "Ready", "False", "ClusterUnavailable")
        .await?;
    ensure!(waiting.finalizers().len() == 1, "{:?}", waiting.finalizers());
    drop(forbidden);
    space.wait_gone(&client).await?;
    ensure!(space.secret("app").await?.is_none(), "the Secret stayed");
    Ok(())
}

async fn an_orphan_is_released_while_its_server_is_down(bed: &Bed) -> Result<()> {
    let lab = bed.lab(&[], brisk()).await?; // the marker stays: on the shared Hydra every test would see an orphan
    let (server, space) = (&lab.server, bed.space().await?);
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials], deletionPolicy: Orphan }}",
        server.name
    );
    let client = space.ready_client("app", &spec).await?;
    server.admin.down();
    bed.server_condition(&server.name, "Ready", "False", "ServerUnavailable")
        .await?;
    space.delete_and_wait("app").await?;
    server.admin.up();
    let (id, secret) = space.credentials("app").await?;
    lab.token(&id, &secret, "").await?;
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "the ledger stayed");
    let left = space.secret("app").await?.context("no Secret")?;
    ensure!(
        left.owner_references().is_empty() && left.labels().is_empty(),
        "{:?}",
        left.metadata
    );
    Ok(())
}

async fn a_changed_secret_name_deletes_every_other_owned_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let owner = json!([{ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "name": "app",
        "uid": uid_of(&client), "controller": true }]);
    let labels = json!({ WATCH_LABEL: "true", UID_LABEL: uid_of(&client) });
    // The first is left over from an interrupted change of name; the second only has the label.
    for (name, owners) in [("left-over", owner), ("only-labelled", json!([]))] {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "a": "b" },
            "metadata": { "name": name, "labels": labels, "ownerReferences": owners } });
        space.apply::<Secret>(&secret.to_string()).await?;
    }
    let before = space.secret("app").await?.context("no Secret")?;
    let left_over = space.secret("left-over").await?.context("no Secret")?;
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "next" } } }))
        .await?;
    space.wait_ready("app").await?;
    space.wait_secret_gone(&before).await?;
    space.wait_secret_gone(&left_over).await?;
    let mut names: Vec<String> = space
        .secrets()
        .list(&Default::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    names.sort_unstable();
    let mut expected = vec!["next".to_owned(), ledger_of(&client), "only-labelled".to_owned()];
    expected.sort_unstable();
    ensure!(names == expected, "{names:?}");
    Ok(())
}

async fn abandon_needs_permission_unless_the_server_is_gone(bed: &Bed) -> Result<()> {
    let access = json!([{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"],
        "clients": { "deletionPolicies": ["Delete"] } }]);
    let options = ServerOptions {
        spec: json!({ "access": access }),
        ..quiet()
    };
    let lab = bed.lab(&[], options).await?; // on the shared Hydra every test would see an orphan
    let (server, space) = (&lab.server, bed.space().await?);
    let refused = space.ready_client("refused", &machine_on(server)).await?;
    let left = space.ready_client("left", &machine_on(server)).await?;

    space.annotate("refused", ABANDON_ANNOTATION, "true").await?;
    space.delete_and_wait("refused").await?;
    ensure!(
        lab.registered(&uid_of(&refused)).await.is_err(),
        "it was left behind without permission"
    );

    let servers = bed.servers_api();
    servers.delete(&server.name, &DeleteParams::default()).await?;
    bed.server_condition(&server.name, "Ready", "False", "InUse").await?;
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    servers.patch(&server.name, &PatchParams::default(), &release).await?;
    wait::until("the server to be gone", LIMIT, async || {
        Ok(servers.get_opt(&server.name).await?.is_none().then_some(()))
    })
    .await?;
    space.delete("left").await?;
    let waiting = space.wait_condition("left", "Ready", "False", "ServerNotFound").await?;
    let message = waiting
        .status
        .and_then(|status| Some(status.conditions.first()?.message.clone()));
    let advice = format!(
        "kubectl annotate oac left -n {} {ABANDON_ANNOTATION}=true",
        space.name()
    );
    ensure!(
        message.as_ref().is_some_and(|message| message.contains(&advice)),
        "{message:?}"
    );
    space.annotate("left", ABANDON_ANNOTATION, "true").await?;
    space.wait_gone(&left).await?;
    ensure!(space.secret("left").await?.is_none(), "the Secret stayed");
    ensure!(space.secret(&ledger_of(&left)).await?.is_none(), "the ledger stayed");
    lab.registered(&uid_of(&left)).await.context("it must not be deleted")?;
    Ok(())
}
