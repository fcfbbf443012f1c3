//! Resources that come back from a backup, as Velero restores them: with new UIDs, without status and owners, but with
//! labels, annotations and finalizers. A resource keeps its client, with id and secret, or it says what is missing, and
//! nothing is changed.

mod case;
mod keys;
mod rows;
mod snapshot;
mod velero;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::bed::{Bed, Operator, OperatorOptions, Options, Server, ServerOptions, Space, uid_of};
use crate::run::Side;
use case::{Case, prepared};
use keys::Keys;
use rows::{Expected, Place, ROWS};
use snapshot::Snapshot;
pub use velero::Backup;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        operator: None,
        server: None,
        ..Options::default()
    };
    vec![side.alone(options, clients_are_kept_or_say_what_is_missing)]
}

/// Id of a cluster that this one replaces.
const FORMER: &str = "former";
/// Id of a cluster that exists beside this one.
const ELSEWHERE: &str = "elsewhere";

async fn clients_are_kept_or_say_what_is_missing(bed: &Bed) -> Result<()> {
    let operator = bed
        .start_operator(OperatorOptions {
            flags: vec![("former-cluster-ids".to_owned(), FORMER.to_owned())],
            ..OperatorOptions::default()
        })
        .await?;
    let (strict, free, victims) = (bed.space().await?, bed.space().await?, bed.space().await?);
    let server = bed.make_server("default", options(&strict, &free, &[])).await?;
    bed.server_ready("default").await?;
    let victim = victims.ready_client("victim", rows::MACHINE).await?;
    let mut cases = Vec::new();
    for row in ROWS {
        let space = if row.place == Place::Free { &free } else { &strict };
        cases.push(prepared(row, space).await?);
    }
    let keys = Keys::prepared(&free).await?;
    let snapshot = Snapshot::prepared(&free).await?;
    operator.terminate().await?;
    let listed: Vec<&str> = cases
        .iter()
        .filter(|case| case.row.place == Place::Listed)
        .map(|case| case.id.as_str())
        .collect();
    let changed = options(&strict, &free, &listed).spec;
    bed.servers_api()
        .patch(
            "default",
            &Default::default(),
            &kube::api::Patch::Merge(json!({ "spec": changed })),
        )
        .await?;
    let mut before = Vec::new();
    for case in &cases {
        before.push(case.befall(bed, &victim).await?);
    }
    keys.befall().await?;
    snapshot.befall().await?;
    let victims_client = bed.registered(&uid_of(&victim)).await?;

    let mark = server.admin.journal().mark();
    operator.start_again().await?;
    for (case, before) in cases.iter().zip(&before) {
        let checked = case.check(bed, &server, mark, before).await;
        checked.with_context(|| format!("row {}", case.row.name))?;
    }
    let now = bed.registered(&uid_of(&victim)).await?;
    ensure!(now == victims_client, "the client of others was changed: {now}");
    keys.check(bed).await?;
    snapshot.check(bed).await?;
    crate::restored::swept(&server).await?;
    for (case, before) in cases.iter().zip(&before) {
        let is_refused = matches!(case.row.expected, Expected::Says(..));
        let is_as_before = bed.hydra_client(&case.id).await? == before.client;
        ensure!(
            !is_refused || is_as_before,
            "row {}: its client was deleted",
            case.row.name
        );
    }
    a_client_without_a_mark_is_adopted_with_its_secret(bed, &cases).await?;
    nothing_is_left_to_do(bed, &operator, &server, &cases).await
}

/// What the documentation says about a client that was released: it is adopted with the secret of the restored Secret.
async fn a_client_without_a_mark_is_adopted_with_its_secret(bed: &Bed, cases: &[Case<'_>]) -> Result<()> {
    let of_row = cases
        .iter()
        .find(|case| case.row.name == "orphaned")
        .context("no such row")?;
    let (space, id) = (of_row.space, &of_row.id);
    space.delete_and_wait("orphaned").await?;
    let spec = json!({
        "clientId": id, "adoption": "Allow", "grantTypes": ["client_credentials"], "scopes": ["read"],
        "clientSecretRef": { "name": "orphaned", "key": "CLIENT_SECRET" },
        "credentials": { "secretName": "adopted" },
    });
    space.ready_client("orphaned", &spec.to_string()).await?;
    let (adopted, secret) = space.credentials("adopted").await?;
    ensure!(
        adopted == *id && Some(&secret) == of_row.secret.as_ref(),
        "other credentials"
    );
    bed.token(&adopted, &secret, "read").await?;
    Ok(())
}

/// Rules: one namespace has generated ids only, the other one may choose any. `listed`: ids that may be adopted in the
/// first.
fn options(strict: &Space<'_>, free: &Space<'_>, listed: &[&str]) -> ServerOptions {
    let rule = |space: &Space<'_>, ids: &str| {
        json!({
            "namespaces": { "from": "Names", "names": [space.name()] },
            "kinds": ["OAuth2Client", "JsonWebKeySet", "OidcProvider"],
            "clients": { "clientIds": ids }, "minRotationPeriod": "0s",
        })
    };
    let mut first = rule(strict, "Prefixed");
    first["adopt"] = json!({ "clientIds": listed });
    let others = json!({ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"] });
    ServerOptions {
        resync_interval: "1s".to_owned(),
        // What a restored resource waits for is no orphan to delete.
        spec: json!({ "access": [first, rule(free, "Any"), others], "orphans": "Delete" }),
        ..ServerOptions::default()
    }
}

/// Checks that the next sweeps and passes over resources that are in sync write nothing.
async fn nothing_is_left_to_do(bed: &Bed, operator: &Arc<Operator>, server: &Server, cases: &[Case<'_>]) -> Result<()> {
    let mark = server.admin.journal().mark();
    let kube = operator.requests().mark();
    crate::restored::swept(server).await?;
    crate::restored::only_read(server, mark)?;
    let mut written = operator.requests().since(kube);
    written.retain(|sent| {
        let path = sent.head.path();
        let is_about_one = cases
            .iter()
            .any(|case| path.contains(&format!("/{}/", case.space.name())));
        sent.head.method != "GET" && is_about_one && !path.contains("/events")
    });
    ensure!(written.is_empty(), "{written:#?}");
    // A resource that was restored can be deleted, and its client with it.
    let kept = cases
        .iter()
        .find(|case| case.row.name == "all-back")
        .context("no such row")?;
    kept.space.delete_and_wait(kept.row.name).await?;
    ensure!(bed.hydra_client(&kept.id).await?.is_none(), "the client is left");
    ensure!(kept.secrets().await?.is_empty(), "Secrets are left");
    Ok(())
}
