//! Resources for the objects of a Vault in a state of Terraform.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::api::ADOPTABLE_BY_ANNOTATION;
use crate::plugin::arguments::Terraform;
use crate::plugin::import::named::{Imported, Objects, Place};
use crate::plugin::import::{print, vault};
use crate::plugin::session::Session;

/// Types of Terraform's provider for Vault, and of the objects.
const TYPES: [(&str, &str); 5] = [
    ("vault_identity_oidc_key", "key"),
    ("vault_identity_oidc_assignment", "assignment"),
    ("vault_identity_oidc_scope", "scope"),
    ("vault_identity_oidc_client", "client"),
    ("vault_identity_oidc_provider", "provider"),
];
/// Beginning of the types that have no counterpart, and of those that have one.
const FAMILY: &str = "vault_identity_oidc";
/// Types of Secrets of Kubernetes.
const SECRETS: [&str; 2] = ["kubernetes_secret", "kubernetes_secret_v1"];
/// The version of the format of states.
const FORMAT: u64 = 4;

pub(super) fn run(session: &Session, asked: &Terraform) -> Result<ExitCode> {
    let text = std::fs::read_to_string(&asked.state);
    let text = text.with_context(|| format!("cannot read {}", asked.state.display()))?;
    let state: Value =
        serde_json::from_str(&text).context("the state is no JSON; use what `terraform state pull` prints")?;
    ensure!(
        state["version"] == FORMAT,
        "the state has format {}, and this program reads format {FORMAT}",
        state["version"]
    );
    let place = Place {
        server: &asked.server,
        namespace: &session.namespace,
    };
    print(asked.output, &imported(&state, &place))?;
    Ok(ExitCode::SUCCESS)
}

/// An object of the state.
struct Instance<'a> {
    type_: &'a str,
    address: String,
    attributes: &'a Value,
}

/// Resources for what a state has.
pub fn imported(state: &Value, place: &Place<'_>) -> Imported {
    let all: Vec<Instance<'_>> = instances(state).collect();
    let mut objects = Objects::default();
    let mut addresses = Vec::new();
    let mut left = Vec::new();
    for Instance {
        type_,
        address,
        attributes,
    } in &all
    {
        match (
            TYPES.iter().find(|(name, _)| name == type_),
            attributes["name"].as_str(),
        ) {
            (Some((_, object)), Some(name)) => {
                objects.put(object, name.to_owned(), without_secret(attributes));
                addresses.push(address);
            }
            _ if type_.starts_with(FAMILY) => {
                left.push(format!("{address} is left out: the operator has no kind for it."))
            }
            _ => {}
        }
    }
    let mut found = vault::manifests(&objects, place);
    for manifest in &mut found.manifests {
        if manifest["kind"] == "OAuth2Client"
            && let Some(note) = take_secret_over(manifest, &all, place.namespace)
        {
            found.notes.push(note);
        }
    }
    found.notes.extend(left);
    if !addresses.is_empty() {
        found
            .notes
            .push("Once the resources are ready, remove the objects from the state:".to_owned());
        let remove = |address: &&String| format!("terraform state rm '{address}'");
        found.notes.extend(addresses.iter().map(remove));
    }
    found
}

fn instances(state: &Value) -> impl Iterator<Item = Instance<'_>> {
    let resources = state["resources"].as_array().into_iter().flatten();
    let managed = resources.filter(|resource| resource["mode"] == "managed");
    managed.flat_map(|resource| {
        let instances = resource["instances"].as_array().into_iter().flatten();
        instances.filter_map(move |instance| {
            let type_ = resource["type"].as_str()?;
            let module = resource["module"]
                .as_str()
                .map(|module| format!("{module}."))
                .unwrap_or_default();
            let index = match &instance["index_key"] {
                Value::String(key) => format!("[\"{key}\"]"),
                Value::Number(number) => format!("[{number}]"),
                _ => String::new(),
            };
            Some(Instance {
                type_,
                address: format!("{module}{type_}.{}{index}", resource["name"].as_str()?),
                attributes: &instance["attributes"],
            })
        })
    })
}

fn without_secret(attributes: &Value) -> Value {
    let mut attributes = attributes.clone();
    if let Some(members) = attributes.as_object_mut() {
        members.remove("client_secret");
    }
    attributes
}

/// Lets an OAuth2Client take over the Secret that the state has of its credentials. Returns what to do for that.
fn take_secret_over(manifest: &mut Value, all: &[Instance<'_>], namespace: &str) -> Option<String> {
    let name = manifest["spec"]["vault"]["name"].as_str()?;
    let is_it = |found: &&Instance<'_>| found.type_ == "vault_identity_oidc_client" && found.attributes["name"] == name;
    let client = all.iter().find(is_it)?;
    let (id, secret) = (&client.attributes["client_id"], &client.attributes["client_secret"]);
    let secrets = all.iter().filter(|found| SECRETS.contains(&found.type_));
    for found in secrets {
        let (place, data) = (&found.attributes["metadata"][0], found.attributes["data"].as_object()?);
        let key_of = |value: &Value| {
            data.iter()
                .find(|(_, found)| *found == value)
                .map(|(key, _)| key.clone())
        };
        let (Some(id_key), Some(secret_key)) = (key_of(id), key_of(secret)) else {
            continue;
        };
        if data.len() != 2 || place["namespace"].as_str().unwrap_or("default") != namespace {
            continue;
        }
        let called = place["name"].as_str()?;
        manifest["spec"]["credentials"] = json!({
            "secretName": called, "keys": { "clientId": id_key, "clientSecret": secret_key },
        });
        let resource = manifest["metadata"]["name"].as_str()?;
        return Some(format!(
            "{resource} takes over Secret {called}. Before you apply it, run: kubectl annotate secret {called} --namespace {namespace} {ADOPTABLE_BY_ANNOTATION}={resource}; then remove it from the state too: terraform state rm '{}'",
            found.address
        ));
    }
    None
}
