//! Labels that an admin wants on every object.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use oidc_operator::api::{JsonWebKeySet, OidcProvider, UID_LABEL};
use serde_json::json;
use testbed::wait;

use super::provider_on;
use crate::bed::{Bed, LIMIT, Operator, OperatorOptions, ServerOptions, Space, is_list};

/// The labels of each Secret and ConfigMap that an operator has made, apart from the operator's own labels.
async fn labels(space: &Space<'_>) -> Result<BTreeMap<String, String>> {
    let everything = ListParams::default();
    let secrets = space.secrets().list(&everything).await?.items.into_iter();
    let maps = space.config_maps().list(&everything).await?.items.into_iter();
    let metas = secrets
        .map(|secret| secret.metadata)
        .chain(maps.map(|map| map.metadata));
    let mut found = BTreeMap::new();
    for meta in metas {
        let labels = meta.labels.unwrap_or_default();
        if labels.contains_key(UID_LABEL) {
            let others = labels.iter().filter(|(key, _)| !key.starts_with("oidc-operator.dev/"));
            let others: Vec<String> = others.map(|(key, value)| format!("{key}={value}")).collect();
            found.insert(meta.name.unwrap_or_default(), others.join(","));
        }
    }
    Ok(found)
}

/// The operator of a class with these labels.
async fn start(bed: &Bed, class: &str, labels: &str) -> Result<Arc<Operator>> {
    bed.start_operator(OperatorOptions {
        flags: vec![
            ("server-class".to_owned(), class.to_owned()),
            ("output-labels".to_owned(), labels.to_owned()),
        ],
        ..OperatorOptions::default()
    })
    .await
}

pub(super) async fn labels_of_the_settings_reach_every_output(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let first = start(bed, "labelled", "team=platform,example.com/cost=4711").await?;
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        spec: json!({ "serverClass": "labelled" }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let on = json!({ "name": server.name });
    let client = json!({
        "serverRef": on, "grantTypes": ["client_credentials"], "scopes": ["read"],
        "credentials": { "labels": { "team": "shop" } },
    });
    let keys = json!({ "serverRef": on, "generate": { "algorithm": "ES256" }, "privateKey": {}, "publish": {} });
    let client = space.ready_client("app", &client.to_string()).await?;
    let set = space.ready::<JsonWebKeySet>("keys", &keys.to_string()).await?;
    let provider = provider_on(bed, &server.name).await?;
    space.ready::<OidcProvider>("login", &provider.to_string()).await?;
    let (oac, jwks) = (
        format!("oac-{}", client.uid().unwrap_or_default()),
        format!("jwks-{}", set.uid().unwrap_or_default()),
    );
    let expected = |own: &str, others: &str| {
        let all = [
            ("app", own),
            ("login", others),
            ("keys", others),
            (&oac, own),
            (&jwks, others),
        ];
        let all = all.into_iter();
        all.map(|(name, labels)| (name.to_owned(), labels.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    // What the resource asks for takes precedence.
    let found = labels(&space).await?;
    let wanted = expected("example.com/cost=4711,team=shop", "example.com/cost=4711,team=platform");
    ensure!(found == wanted, "{found:#?}");

    // Another setting reaches what exists, and the server's clients are left alone.
    let credentials = space.credentials("app").await?;
    let ledger = space.secret_data(&oac).await?;
    first.terminate().await?;
    let mark = server.admin.journal().mark();
    let second = start(bed, "labelled", "env=prod").await?;
    let wanted = expected(
        "env=prod,team=shop",
        "env=prod,example.com/cost=4711,team=platform", // others may have put them there
    );
    let mut found = BTreeMap::new();
    let reached = wait::until("the new labels", LIMIT, async || {
        found = labels(&space).await?;
        Ok((found == wanted).then_some(()))
    });
    let reached = reached.await;
    ensure!(reached.is_ok(), "{found:#?}");
    ensure!(space.credentials("app").await? == credentials, "other credentials");
    ensure!(space.secret_data(&oac).await? == ledger, "another ledger");
    let about = server.about_clients(mark).into_iter();
    let about: Vec<_> = about
        .filter(|exchange| !exchange.head.path().contains("/keys/"))
        .collect();
    ensure!(about.is_empty(), "{about:?}");

    // A second look writes nothing.
    wait_for_sweeps(&server.admin, 2).await?;
    let mark = second.requests().mark();
    wait_for_sweeps(&server.admin, 3).await?;
    let written = second.writes_about(mark, space.name(), "");
    ensure!(written.is_empty(), "{written:?}");
    Ok(())
}

async fn wait_for_sweeps(admin: &testbed::proxy::Proxy, sweeps: usize) -> Result<()> {
    let mark = admin.journal().mark();
    wait::until("sweeps", LIMIT, async || {
        let since = admin.journal().since(mark);
        Ok((since.iter().filter(|exchange| is_list(&exchange.head)).count() > sweeps).then_some(()))
    })
    .await
}
