//! Trust across servers: Foulkon trusts what Hydra and OpenBao issue, and follows changes there.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client, OidcProvider};
use serde_json::{Value, json};
use testbed::Foulkon;
use testbed::bao::{SignIn, sign_in};

use super::stage::{ISSUER, Stage, clients, trusting};
use crate::bed::{Bed, Server, ServerOptions, Space, client_id_of};
use crate::conditions::Tone::Reconciling;
use crate::provider::issuer_of;
use crate::run::Side;

/// Redirect URI of the applications.
const REDIRECT: &str = "https://app.example.com/callback";

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(trust_follows_clients_of_two_servers),
        side.shared(a_provider_without_clients_is_deleted_on_the_server),
        side.shared(a_changed_issuer_of_another_server_is_applied),
        side.shared(providers_of_one_issuer_list_the_clients_of_all_of_them),
        side.shared(a_token_of_another_server_is_accepted),
    ]
}

/// A user who signed in at OpenBao.
pub struct Subject {
    /// The issuer of the token.
    pub issuer: String,
    /// `sub` of the token.
    pub name: String,
    /// Id of the client that the token is for.
    pub client: String,
    /// The ID token.
    pub id_token: String,
}

/// Creates a provider of the bed's Hydra, and returns its issuer.
pub async fn hydra_provider(bed: &Bed, space: &Space<'_>, name: &str) -> Result<String> {
    let issuer = issuer_of(bed, "default").await?;
    let spec = json!({ "issuer": issuer });
    space.ready::<OidcProvider>(name, &spec.to_string()).await?;
    Ok(issuer)
}

/// OpenBao with a provider `bao`, a client `bao-app` and an RSA key in the namespace; the worker accepts no other keys.
async fn bao(bed: &Bed, space: &Space<'_>) -> Result<Arc<Server>> {
    let server = bed.own_vault(ServerOptions::default()).await?;
    let on = |mut spec: Value| {
        spec["serverRef"] = json!({ "name": server.name });
        spec.to_string()
    };
    let key = json!({ "generate": { "algorithm": "RS256" } });
    space.make::<JsonWebKeySet>("bao-keys", &on(key)).await?;
    let client = json!({
        "redirectUris": [REDIRECT], "keySetRef": { "name": "bao-keys" }, "providerRefs": [{ "name": "bao" }],
    });
    space.make::<OAuth2Client>("bao-app", &on(client)).await?;
    space.make::<OidcProvider>("bao", &on(json!({}))).await?;
    space.wait_ready("bao-app").await?;
    space.until_ready::<OidcProvider>("bao").await?;
    Ok(server)
}

/// Signs a user in at OpenBao.
pub async fn signed_in(bed: &Bed, space: &Space<'_>) -> Result<Subject> {
    bao(bed, space).await?;
    let user = bed
        .bao()
        .await?
        .root()
        .userpass(&format!("{}-carol", space.name()), "of-carol")
        .await?;
    let provider = space.all::<OidcProvider>().get("bao").await?;
    let issuer = provider.status.and_then(|status| status.issuer).context("no issuer")?;
    let data = space.secret_data("bao-app").await?;
    let wanted = SignIn {
        issuer: &issuer,
        ca_pem: None,
        client_id: &data["CLIENT_ID"],
        client_secret: Some(&data["CLIENT_SECRET"]),
        redirect_uri: REDIRECT,
        scope: "openid",
        user_token: &user.token,
    };
    let id_token = sign_in(&wanted).await??.id_token;
    Ok(Subject {
        issuer,
        name: user.entity_id,
        client: data["CLIENT_ID"].clone(),
        id_token,
    })
}

/// A provider that trusts a client of Hydra and one of OpenBao.
fn trusts_both() -> Value {
    json!({ "issuerRef": { "name": "bao" }, "allowedClients": [{ "name": "hydra-app" }, { "name": "bao-app" }] })
}

async fn id_of(space: &Space<'_>, name: &str) -> Result<String> {
    client_id_of(&space.wait_ready(name).await?)
}

async fn trust_follows_clients_of_two_servers(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    let name = stage.name("trust");
    // It is created before anything that it refers to.
    stage.make::<OidcProvider>("trust", trusts_both()).await?;
    let machine = |id: &str| format!("{{ clientId: {id}, grantTypes: [client_credentials] }}");
    let first = format!("{}.first", space.name());
    space.make::<OAuth2Client>("hydra-app", &machine(&first)).await?;
    let server = bao(bed, space).await?;
    space.until_ready::<OidcProvider>("trust").await?;
    let of_bao = id_of(space, "bao-app").await?;
    let listed = async |ids: &[&str]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let what = format!("the clients {ids:?}");
        stage.until(&what, &name, |entry| clients(entry) == json!(ids)).await
    };
    let entry = listed(&[&first, &of_bao]).await?;

    // The client is recreated with another id.
    let second = format!("{}.second", space.name());
    space.delete_and_wait("hydra-app").await?;
    listed(&[&of_bao]).await?;
    let message = "OAuth2Client `hydra-app` does not exist. Create it.";
    space
        .says::<OidcProvider>("trust", Reconciling, "ReferenceNotFound", message)
        .await?;
    space.make::<OAuth2Client>("hydra-app", &machine(&second)).await?;
    listed(&[&second, &of_bao]).await?;
    space.until_ready::<OidcProvider>("trust").await?;

    // Another writer deletes a client on the server, which then gives it another id.
    bed.delete_object(&format!("client/{}.bao-app", space.name())).await?;
    bed.change_server(&server.name, json!({ "resyncInterval": "1s" }))
        .await?;
    let changed = |client: &OAuth2Client| client_id_of(client).is_ok_and(|id| id != of_bao);
    let client = space.until("another id", "bao-app", changed).await?;
    listed(&[&second, &client_id_of(&client)?]).await?;

    space.delete_and_wait("bao-app").await?;
    let last = listed(&[&second]).await?;
    ensure!(last["id"] == entry["id"], "it was recreated");
    Ok(())
}

async fn a_provider_without_clients_is_deleted_on_the_server(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    let name = stage.name("trust");
    hydra_provider(bed, space, "hydra").await?;
    let spec = json!({ "issuerRef": { "name": "hydra" }, "allowedClients": [{ "name": "app" }] });
    stage.make::<OidcProvider>("trust", spec).await?;
    let machine = "{ grantTypes: [client_credentials] }";
    space.make::<OAuth2Client>("app", machine).await?;
    space.until_ready::<OidcProvider>("trust").await?;
    stage.entry(&name).await?;
    space.delete_and_wait("app").await?;
    stage.until_none(&name).await?;
    let message = "OAuth2Client `app` does not exist. Create it.";
    let said = space
        .says::<OidcProvider>("trust", Reconciling, "ReferenceNotFound", message)
        .await?;
    let status = said.status.context("a status")?;
    ensure!(
        status.id.is_none() && status.name.is_none() && status.client_ids.is_empty(),
        "{status:?}"
    );
    space.make::<OAuth2Client>("app", machine).await?;
    space.until_ready::<OidcProvider>("trust").await?;
    let id = id_of(space, "app").await?;
    ensure!(clients(&stage.entry(&name).await?) == json!([id]));
    Ok(())
}

async fn a_changed_issuer_of_another_server_is_applied(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    bao(bed, space).await?;
    let spec = json!({ "issuerRef": { "name": "bao" }, "allowedClients": [{ "name": "bao-app" }] });
    let made = stage.ready("trust", spec).await?;
    let before = made.status.and_then(|status| status.issuer).context("no issuer")?;
    let address = bed.bao().await?.address().replace("127.0.0.1", "localhost");
    space
        .respecify::<OidcProvider>("bao", json!({ "issuer": address }))
        .await?;
    let expected = before.replace("127.0.0.1", "localhost");
    ensure!(expected != before, "{before}");
    stage
        .until("the other issuer", &stage.name("trust"), |entry| {
            entry["issuerUrl"] == expected.as_str()
        })
        .await?;
    space.until_ready::<OidcProvider>("trust").await?;
    // The trust stays while the issuer's own resource does not exist.
    let gone = space.remove::<OidcProvider>("bao").await?;
    space.until_gone(&gone).await?;
    let message = "OidcProvider `bao` does not exist. Create it.";
    space
        .says::<OidcProvider>("trust", Reconciling, "ReferenceNotFound", message)
        .await?;
    ensure!(stage.entry(&stage.name("trust")).await?["issuerUrl"] == expected.as_str());
    Ok(())
}

/// The worker reads the clients of only one of them.
async fn providers_of_one_issuer_list_the_clients_of_all_of_them(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let other = bed.space().await?;
    stage.ready("main", trusting(&["a", "b"])).await?;
    other
        .ready::<OidcProvider>("main", &stage.spec(trusting(&["c"])))
        .await?;
    let theirs = format!("{}--main", other.name());
    let listed = async |ids: Value, names: &[&String]| -> Result<()> {
        for name in names {
            let what = format!("the clients {ids}");
            stage.until(&what, name, |entry| clients(entry) == ids).await?;
        }
        Ok(())
    };
    let ours = stage.name("main");
    listed(json!(["a", "b", "c"]), &[&ours, &theirs]).await?;
    stage.space.respecify::<OidcProvider>("main", trusting(&["b"])).await?;
    listed(json!(["b", "c"]), &[&ours, &theirs]).await?;
    let elsewhere = json!({ "issuer": "https://elsewhere.example.com" });
    other.respecify::<OidcProvider>("main", elsewhere).await?;
    listed(json!(["b"]), &[&ours]).await?;
    listed(json!(["c"]), &[&theirs]).await?;
    let back = json!({ "issuer": ISSUER });
    other.respecify::<OidcProvider>("main", back).await?;
    listed(json!(["b", "c"]), &[&ours, &theirs]).await?;
    let gone = other.remove::<OidcProvider>("main").await?;
    other.until_gone(&gone).await?;
    listed(json!(["b"]), &[&ours]).await?;
    stage.space.until_ready::<OidcProvider>("main").await.map(drop)
}

/// A user signs in at one server and calls another one with the token.
async fn a_token_of_another_server_is_accepted(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // a real worker cannot be restarted
    }
    let mut stage = Stage::eager(bed).await?;
    let subject = signed_in(bed, &stage.space).await?;
    stage.foulkon.allow(&subject.name)?;
    let token = format!("Bearer {}", subject.id_token);
    let knocks =
        async |foulkon: &Foulkon| -> Result<u16> { Ok(foulkon.call_as(Some(&token), "GET", "", None).await?.0) };
    let spec = json!({ "issuerRef": { "name": "bao" }, "allowedClients": [{ "name": "bao-app" }] });
    stage.ready("trust", spec).await?;
    ensure!(
        knocks(&stage.foulkon).await? == 401,
        "the token is accepted before the restart"
    );
    stage.foulkon.restart().await?;
    ensure!(knocks(&stage.foulkon).await? == 200, "the token is not accepted");
    // Deleting the client ends the trust in it.
    stage.space.delete_and_wait("bao-app").await?;
    stage.until_none(&stage.name("trust")).await?;
    stage.foulkon.restart().await?;
    ensure!(knocks(&stage.foulkon).await? == 401, "the token is still accepted");
    Ok(())
}
