//! Prints resources for what a server has and no resource manages.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kube::Api;
use serde_json::{Value, json};

use self::named::{Imported, Objects};
use super::arguments::{Format, Import};
use super::objects::put;
use super::observer::Observer;
use super::session::Session;
use crate::admin::foulkon::worker::Worker;
use crate::admin::http::Failure;
use crate::admin::hydra::Hydra;
use crate::admin::hydra::listing::Cursor;
use crate::admin::vault::Vault;
use crate::admin::vault::object::{self, Object};
use crate::api::AuthorizationServer;
use crate::api::authorization_server::Flavour;
use crate::controller::foulkon::failure::failure as foulkon_failure;
use crate::controller::hydra::failure::failure;
use crate::controller::vault::failure::failure as vault_failure;

pub mod foulkon;
pub mod hydra;
pub mod named;
pub mod vault;

pub(super) async fn run(session: &Session, asked: &Import) -> Result<ExitCode> {
    let servers: Api<AuthorizationServer> = Api::all(session.client.clone());
    let server = servers.get(&asked.server).await;
    let server = server.with_context(|| format!("cannot read AuthorizationServer {}", asked.server))?;
    let observer = Observer::new(session, &asked.reaching, &server, None).await?;
    let link = observer.reach(&asked.server).await?;
    let not_hydra = !matches!(server.spec.flavour(), Some(Flavour::Hydra(_)));
    ensure!(
        asked.key_set.is_empty() || !not_hydra,
        "--key-set is for Ory Hydra; name the key as an object"
    );
    let place = named::Place {
        server: &asked.server,
        namespace: &session.namespace,
    };
    let found = match server.spec.flavour() {
        Some(Flavour::Hydra(_)) => of_hydra(link.hydra().map_err(said)?, asked, &place).await?,
        Some(Flavour::Vault(_)) => of_vault(link.vault().map_err(said)?, asked, &place).await?,
        Some(Flavour::Foulkon(_)) => of_foulkon(link.foulkon().map_err(said)?, asked, &place).await?,
        None => bail!(
            "AuthorizationServer {} names no API that this program knows",
            asked.server
        ),
    };
    print(asked.output, &found)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints manifests, and on stderr what there is to know about them.
pub(super) fn print(format: Format, found: &Imported) -> Result<()> {
    match format {
        Format::Json => {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": found.manifests });
            put(&(serde_json::to_string_pretty(&list)? + "\n"))?;
        }
        Format::Text | Format::Yaml => {
            for manifest in &found.manifests {
                put(&format!("---\n{}", serde_saphyr::to_string(manifest)?))?;
            }
        }
    }
    for note in &found.notes {
        eprintln!("{}", crate::admin::bounded::printable(note));
    }
    Ok(())
}

fn said(error: crate::error::Error) -> anyhow::Error {
    anyhow!("{error}")
}

fn of_hydras(operation: &'static str, failed: Failure) -> anyhow::Error {
    said(failure(operation, failed))
}

fn of_vaults(operation: &'static str, type_: &'static str, failed: Failure) -> anyhow::Error {
    said(vault_failure(operation, type_, failed))
}

async fn of_hydra(hydra: &Hydra, asked: &Import, place: &named::Place<'_>) -> Result<Imported> {
    let mut cursor = Cursor::default();
    let mut clients = Vec::new();
    loop {
        let page = hydra.list_clients(|_| true, &mut cursor).await;
        match page.map_err(|failed| of_hydras("list_o_auth2_clients", failed))? {
            Some(page) => clients.extend(page),
            None => break,
        }
    }
    let is_meant = |id: &str| asked.objects.is_empty() || asked.objects.iter().any(|name| name == id);
    clients.retain(|client| client.marker().is_none() && is_meant(&client.client_id));
    let mut key_sets = Vec::new();
    for name in &asked.key_set {
        let set = hydra
            .get_key_set(name)
            .await
            .map_err(|failed| of_hydras("get_json_web_key_set", failed))?;
        let set = set.with_context(|| format!("Hydra has no key set `{name}`"))?;
        let algorithm = set.keys.first().map(|key| key.public.alg.clone());
        let algorithm = algorithm
            .filter(|name| !name.is_empty())
            .with_context(|| format!("the keys of the key set `{name}` name no algorithm"))?;
        key_sets.push((name.clone(), algorithm));
    }
    Ok(hydra::manifests(&clients, &key_sets, place))
}

async fn of_vault(vault: &Vault, asked: &Import, place: &named::Place<'_>) -> Result<Imported> {
    let mut objects = Objects::default();
    let names = &asked.objects;
    read::<object::Client>(vault, &listed::<object::Client>(vault, names).await?, &mut objects).await?;
    read::<object::Provider>(vault, &listed::<object::Provider>(vault, names).await?, &mut objects).await?;
    // The operator's login may not list the others, so those are read that clients and providers name.
    let (keys, assignments) = (
        objects.named_in("client", "key"),
        objects.named_in("client", "assignments"),
    );
    let scopes = objects.named_in("provider", "scopes_supported");
    read::<object::Key>(vault, &[names.clone(), keys].concat(), &mut objects).await?;
    read::<object::Assignment>(vault, &[names.clone(), assignments].concat(), &mut objects).await?;
    read::<object::Scope>(vault, &[names.clone(), scopes].concat(), &mut objects).await?;
    if !names.is_empty() {
        objects.retain(|name| names.iter().any(|asked| asked == name));
    }
    Ok(vault::manifests(&objects, place))
}

/// The names that were asked for, or all of a type.
async fn listed<O: Object>(vault: &Vault, names: &[String]) -> Result<Vec<String>> {
    if !names.is_empty() {
        return Ok(names.to_vec());
    }
    let listed = vault
        .list::<O>()
        .await
        .map_err(|failed| of_vaults(O::LIST, O::TYPE, failed))?;
    Ok(listed.objects.into_keys().collect())
}

async fn read<O: Object>(vault: &Vault, names: &[String], objects: &mut Objects) -> Result<()> {
    for name in names.iter().filter(|name| !O::is_reserved(name)) {
        let found = vault
            .read::<O>(name)
            .await
            .map_err(|failed| of_vaults(O::READ, O::TYPE, failed))?;
        if let Some(found) = found {
            let mut value: Value = serde_json::to_value(&found)?;
            if let Some(id) = found.shown_id() {
                value["client_id"] = json!(id);
            }
            objects.put(O::TYPE, name.clone(), value);
        }
    }
    Ok(())
}

async fn of_foulkon(worker: &Worker, asked: &Import, place: &named::Place<'_>) -> Result<Imported> {
    let names = worker
        .api
        .names("/")
        .await
        .map_err(|failed| said(foulkon_failure("list_oidc_providers", failed)))?;
    let mut found = Vec::new();
    for name in names {
        if asked.objects.is_empty() || asked.objects.contains(&name) {
            found.extend(
                worker
                    .api
                    .get(&name)
                    .await
                    .map_err(|failed| said(foulkon_failure("get_oidc_provider", failed)))?,
            );
        }
    }
    Ok(foulkon::manifests(&found, place))
}
