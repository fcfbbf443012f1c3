//! Every operation of the admin API against the real servers, through the typed client.

mod browser;
mod keys;
mod users;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::clients::{Cursor, JsonPatchOperation};
use oidc_operator::admin::hydra::{Client, Dialect, get_version};
use oidc_operator::secret::Secret;
use serde_json::json;
use testbed::HydraMajor;

use crate::bed::{Bed, settled};
use crate::run::Side;
use browser::{CALLBACK, CLIENT_SECRET};

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let mut trials = vec![
        side.shared(health_version_and_metrics_need_no_login),
        side.shared(a_client_is_created_changed_and_deleted),
        side.shared(expired_tokens_are_flushed_if_the_version_supports_it),
    ];
    trials.extend(keys::trials(side));
    trials.extend(users::trials(side));
    trials
}

/// A client that can get codes and tokens.
fn application(id: &str) -> Client {
    Client {
        client_id: id.to_owned(),
        scope: "openid offline".to_owned(),
        redirect_uris: vec![CALLBACK.to_owned()],
        grant_types: ["authorization_code", "refresh_token", "client_credentials"]
            .map(str::to_owned)
            .to_vec(),
        response_types: vec!["code".to_owned()],
        token_endpoint_auth_method: "client_secret_basic".to_owned(),
        ..Client::default()
    }
}

/// Registers an application.
async fn register(bed: &Bed, id: &str) -> Result<Client> {
    let hydra = bed.admin().await?;
    let (client, secret) = (application(id), Secret::new(CLIENT_SECRET.to_owned()));
    let created = settled("a client", async || hydra.create_client(&client, Some(&secret)).await);
    created.await?.context("the id is taken")
}

async fn health_version_and_metrics_need_no_login(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    hydra.is_alive().await.map_err(described)?;
    hydra.is_ready().await.map_err(described)?;
    let version = get_version(hydra.http()).await.map_err(described)?;
    let expected = match bed.major() {
        HydraMajor::V1 => ("v1.", Dialect::V1),
        HydraMajor::V2 => ("v2.", Dialect::V2),
    };
    ensure!(version.starts_with(expected.0), "{version}");
    ensure!(hydra.version().dialect() == expected.1, "{:?}", hydra.version());
    let metrics = hydra.metrics().await.map_err(described)?;
    ensure!(metrics.contains("# TYPE "), "{metrics}");
    Ok(())
}

async fn a_client_is_created_changed_and_deleted(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let id = "operations-client";
    let mut client = register(bed, id).await?;
    let again = settled("a client", async || hydra.create_client(&client, None).await);
    ensure!(again.await?.is_none(), "the id was registered twice");

    client.client_name = "Renamed".to_owned();
    client.owner = Some("operations".to_owned());
    let updated = settled("a PUT", async || hydra.update_client(&client, None).await).await?;
    ensure!(
        updated.is_some_and(|found| found.client_name == "Renamed"),
        "not renamed"
    );
    let found = settled("a GET", async || hydra.get_client(id).await).await?;
    let differences = found.map(|found| client.differences(&found));
    ensure!(differences == Some(vec![]), "{differences:?}");
    let listed = settled("a page", async || {
        hydra.list_clients(|known| known == id, &mut Cursor::default()).await
    })
    .await?;
    let ids: Vec<String> = listed.into_iter().flatten().map(|client| client.client_id).collect();
    ensure!(ids.iter().any(|listed| listed == id), "{ids:?}");

    let path = "/client_name".to_owned();
    let value = json!("Patched");
    let patch = [JsonPatchOperation::Replace { path, value }];
    let patched = settled("a PATCH", async || hydra.patch_client(id, &patch).await).await?;
    ensure!(
        patched.is_some_and(|found| found.client_name == "Patched"),
        "not patched"
    );
    bed.token(id, CLIENT_SECRET, "")
        .await
        .context("the secret does not work after a PATCH")?;

    for _ in 0..2 {
        settled("a DELETE", async || hydra.delete_client(id).await).await?;
    }
    let gone = settled("a GET", async || hydra.get_client(id).await).await?;
    ensure!(gone.is_none(), "it still exists");
    let updated = settled("a PUT", async || hydra.update_client(&client, None).await).await?;
    let patched = settled("a PATCH", async || hydra.patch_client(id, &patch).await).await?;
    ensure!(updated.is_none() && patched.is_none(), "a deleted client was changed");
    Ok(())
}

async fn expired_tokens_are_flushed_if_the_version_supports_it(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let long_ago = "2020-01-01T00:00:00Z".parse()?;
    for not_after in [None, Some(long_ago)] {
        match bed.major() {
            HydraMajor::V1 => settled("a flush", async || hydra.flush_tokens(not_after).await).await?,
            HydraMajor::V2 => {
                let flushed = hydra.flush_tokens(not_after).await;
                ensure!(flushed == Err(Failure::NotInThisVersion), "{flushed:?}");
            }
        }
    }
    Ok(())
}

fn described(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure:?}")
}
