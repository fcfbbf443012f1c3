//! What keeps a resource from moving, and leaves everything as it was.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use oidc_operator::api::{MIGRATED_FROM_ANNOTATION, OAuth2Client};
use serde_json::{Value, json};
use testbed::hydra::Hydra;
use testbed::{http, wait};
use url::Url;

use super::legacy;
use super::page::Page;
use super::{Registered, Secrets, registered, same, secrets};
use crate::stage::{LIMIT, Stage};

type All = (Registered, Secrets);

/// The command for one resource.
fn command(name: &str, more: &str) -> String {
    format!("kubectl oidc migrate hydra-maester --namespace bank {name} {more}")
}

/// Id of the client of a resource.
fn id_of(before: &All, name: &str) -> Result<String> {
    let secret = before.1.get(&format!("bank/{name}")).context("no Secret")?;
    let id = secret.data.as_ref().and_then(|data| data.get("CLIENT_ID"));
    Ok(String::from_utf8(id.context("no id")?.0.clone())?)
}

fn url_of(hydra: &Hydra, id: &str) -> String {
    format!("{}/clients/{id}", hydra.prefixed_admin_url())
}

async fn client(hydra: &Hydra, id: &str) -> Result<Value> {
    let (status, found) = http::exchange(http::client().get(url_of(hydra, id)), None, "the client").await?;
    ensure!(status == 200, "{status}");
    Ok(found)
}

/// The command leaves a resource with these words, and everything as it was.
async fn stays(stage: &Stage, hydra: &Hydra, page: &Page, name: &str, why: &str) -> Result<()> {
    let before = (registered(hydra).await?, secrets(stage).await?);
    let said = page.run(command(name, "--apply"), 1).await?;
    ensure!(said.contains(why) && said.contains("0 moved, 1 left."), "{said}");
    let now = (registered(hydra).await?, secrets(stage).await?);
    ensure!(now.0 == before.0, "a client was written");
    ensure!(now.1 == before.1, "a Secret was written");
    let news: Api<OAuth2Client> = Api::namespaced(stage.client(), "bank");
    ensure!(news.get_opt(name).await?.is_none(), "{name} has a new resource");
    legacy::api(&stage.client(), Some("bank")).get(name).await?;
    Ok(())
}

/// Somebody has changed the client since hydra-maester wrote it.
pub async fn a_client_that_is_not_as_its_resource_says(
    stage: &Stage,
    hydra: &Hydra,
    page: &Page,
    before: &All,
) -> Result<()> {
    let id = id_of(before, "app-0")?;
    let mut drifted = client(hydra, &id).await?;
    drifted["scope"] = json!("read");
    let put = http::client().put(url_of(hydra, &id));
    let (status, reply) = http::exchange(put, Some(drifted), "the change").await?;
    ensure!(status == 200, "{status}: {reply}");
    stays(stage, hydra, page, "app-0", "these members would change: scope.").await?;
    page.run(command("app-0", "--apply --accept-changes"), 0).await?;
    let now = (registered(hydra).await?, secrets(stage).await?);
    same(before, &now, |found| found).context("after the accepted change")
}

/// The server does not have the client. Returns what there is when it has it again.
pub async fn a_client_that_is_gone(stage: &Stage, hydra: &Hydra, page: &Page, before: All) -> Result<All> {
    let id = id_of(&before, "app-4")?;
    let kept = client(hydra, &id).await?;
    let (status, _) = http::exchange(http::client().delete(url_of(hydra, &id)), None, "the deletion").await?;
    ensure!(status == 204, "{status}");
    stays(
        stage,
        hydra,
        page,
        "app-4",
        "does not exist on AuthorizationServer `default`.",
    )
    .await?;
    let post = http::client().post(format!("{}/clients", hydra.prefixed_admin_url()));
    let (status, reply) = http::exchange(post, Some(kept), "the client").await?;
    ensure!(status == 201, "{status}: {reply}");
    let mut before = before;
    let now = registered(hydra).await?;
    before
        .0
        .insert(id.clone(), now.get(&id).context("the client is lost")?.clone());
    Ok(before)
}

/// The command was killed when it had created the new resource: the operator does nothing for that, and the way back takes
/// it away again.
pub async fn a_move_that_has_only_begun(stage: &Stage, hydra: &Hydra, page: &Page) -> Result<()> {
    let before = (registered(hydra).await?, secrets(stage).await?);
    let news: Api<OAuth2Client> = Api::namespaced(stage.client(), "bank");
    page.killed(&command("app-2", "--apply"), 1, true).await?;
    let new = news.get("app-2").await.context("the new resource")?;
    ensure!(new.spec.suspend == Some(true), "it is not suspended");
    let plan = page.run(command("app-2", ""), 0).await?;
    ensure!(plan.contains("1 to move."), "{plan}");
    page.run(command("app-2", "--undo --apply"), 0).await?;
    ensure!(
        news.get_opt("app-2").await?.is_none(),
        "the new resource is still there"
    );
    legacy::api(&stage.client(), Some("bank")).get("app-2").await?;
    let now = (registered(hydra).await?, secrets(stage).await?);
    ensure!(now == before, "a client or a Secret was written");
    Ok(())
}

/// Whoever may write a resource of the operator writes into its annotation where hydra-maester is to send its requests.
pub async fn an_annotation_that_leads_elsewhere(stage: &Stage, hydra: &Hydra, page: &Page) -> Result<()> {
    let news: Api<OAuth2Client> = Api::namespaced(stage.client(), "bank");
    let name = "app-10";
    let own = news.get(name).await?.metadata.annotations.unwrap_or_default();
    let own = own.get(MIGRATED_FROM_ANNOTATION).context("no annotation")?.clone();
    let write = async |value: &str| {
        let change = json!({ "metadata": { "annotations": { MIGRATED_FROM_ANNOTATION: value } } });
        let written = news.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        written.map(drop)
    };
    let admin = Url::parse(&hydra.admin_url())?;
    for (forged, why) in [
        (
            json!({ "url": "http://evil.example.com", "port": 80, "endpoint": "/admin/clients" }),
            "no AuthorizationServer has this adminUrl",
        ),
        (
            json!({ "url": "http://127.0.0.1", "port": admin.port(), "endpoint": "/elsewhere" }),
            "has the endpoint `/elsewhere`",
        ),
        (
            json!({ "url": "http://127.0.0.1", "port": admin.port(), "endpoint": "/admin/clients", "forwardedProto": "https" }),
            "has the forwardedProto `https`",
        ),
    ] {
        let mut past: Value = serde_json::from_str(&own)?;
        past["manifest"]["spec"]["hydraAdmin"] = forged;
        write(&past.to_string()).await?;
        for (more, word) in [("--undo", "stay"), ("--undo --apply", "not moved back.")] {
            let said = page.run(command(name, more), 1).await?;
            ensure!(said.contains(why) && said.contains(word), "{said}");
        }
        let there = legacy::api(&stage.client(), Some("bank")).get_opt(name).await?;
        ensure!(there.is_none(), "hydra-maester has a resource again");
        ensure!(
            news.get(name).await?.spec.suspend.is_none(),
            "the resource is suspended"
        );
    }
    write(&own).await?;
    Ok(())
}

/// Refuses what is created in earnest, and by its name one that is only tried.
const REFUSAL: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: no-way-back }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [hydra.ory.sh], apiVersions: ['*'], operations: [CREATE], resources: [oauth2clients] }]
  validations: [{ expression: \"has(request.dryRun) && request.dryRun && object.metadata.name != 'probe'\", message: There is no way back. }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: no-way-back }
spec: { policyName: no-way-back, validationActions: [Deny] }
";

/// The Kubernetes API refuses the old resource, and only when it is created in earnest: the new one works as before.
pub async fn an_old_resource_that_is_refused(stage: &Stage, page: &Page) -> Result<()> {
    let (news, name) = (Api::<OAuth2Client>::namespaced(stage.client(), "bank"), "app-10");
    let before = news.get(name).await?.spec;
    let olds = legacy::api(&stage.client(), Some("bank"));
    let probe: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "hydra.ory.sh/v1alpha1", "kind": "OAuth2Client", "metadata": { "name": "probe" },
        "spec": { "grantTypes": ["client_credentials"], "scope": "read", "secretName": "probe" },
    }))?;
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let is_refused = async || olds.create(&parameters, &probe).await.is_err();
    stage.apply("default", REFUSAL).await?;
    wait::until("the policy to work", LIMIT, async || {
        Ok(is_refused().await.then_some(()))
    })
    .await?;
    let said = page.run(command(name, "--undo --apply"), 1).await?;
    ensure!(said.contains("There is no way back."), "{said}");
    let now = news.get(name).await?.spec;
    ensure!(json!(now) == json!(before), "the resource is {now:?}");
    let delete = "kubectl delete validatingadmissionpolicy,validatingadmissionpolicybinding no-way-back";
    page.run(delete.to_owned(), 0).await?;
    wait::until("the policy to end", LIMIT, async || {
        Ok((!is_refused().await).then_some(()))
    })
    .await
}
