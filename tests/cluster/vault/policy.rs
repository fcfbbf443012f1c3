//! The policy that ships with the operator is sufficient, and every line of it is needed.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::json;
use testbed::bao::AccountRole;

use super::stage::{REDIRECT, Stage};
use crate::bed::{Bed, LIMIT, ServerOptions};
use crate::run::Side;

/// The policy that ships with the operator.
const POLICY: &str = include_str!("../../../deploy/vault/policy.hcl");
/// Number of policies that are tried at the same time.
const SIDE_BY_SIDE: usize = 8;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(every_line_of_the_policy_is_needed)]
}

/// A path of a policy and its capabilities.
#[derive(Clone, Debug)]
struct Rule {
    path: String,
    capabilities: Vec<String>,
}

fn rules() -> Result<Vec<Rule>> {
    let quoted = |line: &str| {
        line.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<&str> = POLICY
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .collect();
    let paths = lines.iter().filter(|line| line.starts_with("path"));
    let capabilities = lines.iter().filter(|line| line.starts_with("capabilities"));
    paths
        .zip(capabilities)
        .map(|(path, capabilities)| {
            Ok(Rule {
                path: quoted(path).pop().context("a path")?,
                capabilities: quoted(capabilities),
            })
        })
        .collect()
}

fn hcl(rules: &[Rule]) -> String {
    let rule = |rule: &Rule| format!("path {:?} {{ capabilities = {:?} }}\n", rule.path, rule.capabilities);
    rules.iter().map(rule).collect()
}

async fn every_line_of_the_policy_is_needed(bed: &Bed) -> Result<()> {
    let rules = rules()?;
    ensure!(rules.len() >= 12, "{rules:?}");
    let denied = story(bed, "whole", POLICY).await?;
    ensure!(denied.is_empty(), "the whole policy does not allow {denied:?}");
    let mut lesser = Vec::new();
    for (nth, rule) in rules.iter().enumerate() {
        for capability in &rule.capabilities {
            let mut rules = rules.clone();
            rules[nth].capabilities.retain(|other| other != capability);
            rules.retain(|rule| !rule.capabilities.is_empty());
            lesser.push((format!("{capability} of {}", rule.path), hcl(&rules)));
        }
    }
    let tried = lesser.iter().enumerate().map(async |(nth, (what, hcl))| {
        let denied = story(bed, &format!("without-{nth}"), hcl)
            .await
            .with_context(|| format!("without {what}"))?;
        ensure!(!denied.is_empty(), "{what} is not needed");
        Ok(())
    });
    stream::iter(tried)
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect::<()>()
        .await
}

/// Creates, changes and deletes one resource of each kind with a login of this policy. Returns the denied requests.
async fn story(bed: &Bed, name: &str, policy: &str) -> Result<Vec<String>> {
    let root = bed.bao().await?.root();
    let name = format!("policy-{name}");
    root.policy(&name, policy).await?;
    let role = AccountRole {
        name: &name,
        policy: &name,
        ..bed.vault_role()
    };
    root.kubernetes_role(&role).await?;
    let spec = json!({ "vault": { "auth": { "kubernetes": { "role": name } } } });
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        spec,
        ..ServerOptions::default()
    };
    let stage = Stage {
        space: bed.space().await?,
        server: bed.make_vault(&name, options).await?,
        bed,
    };
    let told = tokio::select! {
        told = tell(&stage) => told,
        denied = first_denied(&stage) => denied,
    };
    told?;
    Ok(denied(&stage))
}

fn denied(stage: &Stage<'_>) -> Vec<String> {
    let exchanges = stage.server.admin.journal().since(0);
    let denied = exchanges
        .iter()
        .filter(|exchange| exchange.upstream_status == Some(403));
    denied
        .map(|exchange| format!("{} {}", exchange.head.method, exchange.head.target))
        .collect()
}

async fn first_denied(stage: &Stage<'_>) -> Result<()> {
    testbed::wait::until("something to be denied", LIMIT * 2, async || {
        Ok((!denied(stage).is_empty()).then_some(()))
    })
    .await
}

async fn tell(stage: &Stage<'_>) -> Result<()> {
    let root = stage.bed.bao().await?.root();
    let user = format!("{}-dan", stage.space.name());
    let dan = root.userpass(&user, "of-dan").await?;
    let group = format!("{}-staff", stage.space.name());
    root.group(&group, &[&dan.entity_id]).await?;
    let entity = root
        .must("GET", &format!("identity/entity/id/{}", dan.entity_id), None)
        .await?;
    let staff = json!({
        "groups": [{ "name": group }],
        "vault": { "entities": [{ "name": entity["data"]["name"] }, { "alias": { "name": user, "mountPath": "userpass" } }] },
    });
    stage
        .make::<JsonWebKeySet>("signing", json!({ "generate": { "algorithm": "ES256" } }))
        .await?;
    stage.make::<Assignment>("staff", staff).await?;
    stage.make::<Scope>("groups", json!({})).await?;
    stage
        .make::<OidcProvider>("main", json!({ "scopeRefs": [{ "name": "groups" }] }))
        .await?;
    stage.make::<OAuth2Client>("app", super::stage::client()).await?;
    stage.all_ready().await?;
    let space = &stage.space;
    space
        .respecify::<OAuth2Client>("app", json!({ "redirectUris": [REDIRECT, "https://b.example.com/"] }))
        .await?;
    space
        .respecify::<OidcProvider>("main", json!({ "allowedClients": [{ "clientId": "abc" }] }))
        .await?;
    space
        .respecify::<Scope>("groups", json!({ "description": "changed" }))
        .await?;
    space
        .respecify::<Assignment>("staff", json!({ "groups": null }))
        .await?;
    let rotate = json!({
        "metadata": { "annotations": { "oidc-operator.dev/rotate-at": "2026-01-01T00:00:00Z" } },
        "spec": { "rotation": { "period": "12h" } },
    });
    space
        .all::<JsonWebKeySet>()
        .patch("signing", &Default::default(), &kube::api::Patch::Merge(rotate))
        .await?;
    stage.all_ready().await?;
    // The operator looks up a group by alias, which finds none.
    let aliased = json!({ "vault": { "groups": [{ "alias": { "name": group, "mountPath": "userpass" } }] } });
    stage.make::<Assignment>("aliased", aliased).await?;
    let asked = |assignment: &Assignment| {
        assignment
            .status
            .as_ref()
            .is_some_and(|status| status.observed_generation == Some(1))
    };
    space.until("its group to be looked up", "aliased", asked).await?;
    stage.swept().await?;
    space.delete_namespace_and_wait().await
}
