//! Scopes with standard names, such as `groups`, for several teams on one server: the sample, as a user applies it.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::bao::{SignIn, sign_in};
use testbed::install;

use super::create::verified;
use super::stage::Stage;
use crate::bed::{Bed, Space};
use crate::conditions::Tone::Reconciling;
use crate::run::Side;

const SAMPLES: &str = "deploy/samples/vault/standard-scopes";
const APPLICATION: &str = "grafana";

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(teams_offer_standard_scopes_that_the_platform_owns)]
}

/// The manifests in a file of the sample.
fn sample(file: &str) -> Result<Vec<Value>> {
    let path = install::repository().join(SAMPLES).join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_multiple(&text).context("the sample is no YAML")
}

/// The spec of the manifest of a kind in a file.
fn spec_of(file: &str, kind: &str, name: &str) -> Result<Value> {
    let is_it = |manifest: &&Value| manifest["kind"] == kind && manifest["metadata"]["name"] == name;
    let found = sample(file)?
        .iter()
        .find(is_it)
        .map(|manifest| manifest["spec"].clone());
    found.with_context(|| format!("{file} has no {kind} {name}"))
}

/// A team, as in the sample.
async fn team<'a>(stage: &Stage<'a>) -> Result<Space<'a>> {
    let space = stage.bed.space().await?;
    let namespaces: Api<Namespace> = Api::all(stage.bed.client());
    let label = Patch::Merge(json!({ "metadata": { "labels": { "example.com/team": "true" } } }));
    namespaces.patch(space.name(), &PatchParams::default(), &label).await?;
    let of_team = |kind, name| Ok::<_, anyhow::Error>(stage.spec(spec_of("03-team.yaml", kind, name)?));
    space
        .make::<OidcProvider>("main", &of_team("OidcProvider", "main")?)
        .await?;
    space
        .make::<OAuth2Client>(APPLICATION, &of_team("OAuth2Client", APPLICATION)?)
        .await?;
    space.wait_ready(APPLICATION).await?;
    space.until_ready::<OidcProvider>("main").await?;
    Ok(space)
}

/// A user signs in to the application of a team, with standard scopes.
async fn groups_of(space: &Space<'_>, user_token: &str) -> Result<Value> {
    let data = space.secret_data(APPLICATION).await?;
    let client = space.client(APPLICATION).await?;
    let wanted = SignIn {
        issuer: &data["ISSUER"],
        ca_pem: None,
        client_id: &data["CLIENT_ID"],
        client_secret: Some(&data["CLIENT_SECRET"]),
        redirect_uri: &client.spec.redirect_uris[0],
        scope: "openid groups email",
        user_token,
    };
    let signed_in = sign_in(&wanted).await??;
    let claims = verified(&signed_in.id_token, &data["ISSUER"], &data["CLIENT_ID"]).await?;
    Ok(claims["groups"].clone())
}

async fn teams_offer_standard_scopes_that_the_platform_owns(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let platform = stage.space.name();
    let mut access = spec_of("01-authorization-server.yaml", "AuthorizationServer", "default")?["access"].take();
    access[0]["namespaces"]["names"] = json!([platform]);
    bed.change_server(&stage.server.name, json!({ "access": access }))
        .await?;
    for name in ["groups", "email"] {
        stage
            .ready::<Scope>(name, spec_of("02-platform.yaml", "Scope", name)?)
            .await?;
    }
    let root = bed.bao().await?.root();
    let user = root.userpass(&format!("{platform}-erin"), "of-erin").await?;
    let group = format!("{platform}-staff");
    root.group(&group, &[&user.entity_id]).await?;

    let (one, other) = (team(&stage).await?, team(&stage).await?);
    for team in [&one, &other] {
        ensure!(
            groups_of(team, &user.token).await? == json!([group]),
            "no groups in {}",
            team.name()
        );
    }
    // The rule allows these names only, and a team cannot make a scope of such a name.
    let more = stage.spec(json!({ "scopes": ["groups", "payroll"] }));
    other.make::<OidcProvider>("greedy", &more).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[1].providers.scopes does not allow `payroll` in scopes (only `groups`, `email`); change it or ask the server's admin.",
        stage.server.name
    );
    other
        .says::<OidcProvider>("greedy", Reconciling, "NotAllowed", &message)
        .await?;
    // No team depends on another one.
    one.delete_namespace_and_wait().await?;
    ensure!(
        groups_of(&other, &user.token).await? == json!([group]),
        "no groups any more"
    );
    // The scopes stay as long as somebody offers them. Then their names are free again.
    other.delete_namespace_and_wait().await?;
    stage.space.delete_namespace_and_wait().await?;
    bed.until_no_object("scope/groups").await
}
