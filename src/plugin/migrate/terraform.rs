//! Resources for the objects of a Vault in a state of Terraform.

use std::collections::{BTreeMap, BTreeSet};
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
/// One client in the list of a key.
const ALLOWED: &str = "vault_identity_oidc_key_allowed_client_id";
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
    let selection = Selection {
        namespace: asked.vault_namespace.as_deref(),
        alias: asked.provider_alias.as_deref(),
    };
    let found = imported(&state, &place, selection).map_err(anyhow::Error::msg)?;
    print(asked.output, &found)?;
    Ok(ExitCode::SUCCESS)
}

/// Which objects of a state are meant, if it has those of several servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Their Vault namespace; empty for the root namespace.
    pub namespace: Option<&'a str>,
    /// Alias of their provider; empty for the one without alias.
    pub alias: Option<&'a str>,
}

impl Selection<'_> {
    fn has(&self, found: &Instance<'_>) -> bool {
        let namespace = self.namespace.map(|namespace| namespace.trim_matches('/'));
        namespace.is_none_or(|namespace| namespace == found.namespace())
            && self.alias.is_none_or(|alias| alias == found.alias)
    }
}

/// An object of the state.
struct Instance<'a> {
    type_: &'a str,
    address: String,
    /// Alias of its provider.
    alias: &'a str,
    attributes: &'a Value,
}

impl Instance<'_> {
    /// Its Vault namespace.
    fn namespace(&self) -> &str {
        let namespace = self.attributes["namespace"].as_str().unwrap_or_default();
        namespace.trim_matches('/')
    }

    /// Type and name of the object on the server, if it can have a resource.
    fn object(&self) -> Option<(&'static str, &str)> {
        let (_, object) = TYPES.iter().find(|(name, _)| *name == self.type_)?;
        Some((object, self.attributes["name"].as_str()?))
    }
}

/// Resources for what a state has.
///
/// # Errors
/// A sentence, if it has objects of several servers or namespaces.
pub fn imported(state: &Value, place: &Place<'_>, selection: Selection<'_>) -> Result<Imported, String> {
    let all: Vec<Instance<'_>> = instances(state).collect();
    let is_meant = |found: &&Instance<'_>| found.type_.starts_with(FAMILY) && selection.has(found);
    let meant: Vec<&Instance<'_>> = all.iter().filter(is_meant).collect();
    let namespace = one_place(&meant)?;
    let mut objects = Objects::default();
    let mut addresses: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for found in &meant {
        let Some((object, name)) = found.object() else { continue };
        if let Some(other) = addresses.insert((object, name), &found.address) {
            return Err(format!(
                "{other} and {} are the same object; remove one of them from the state first",
                found.address
            ));
        }
        objects.put(object, name.to_owned(), without_secret(found.attributes));
    }
    let mut found = vault::manifests(&objects, place);
    if !namespace.is_empty() {
        found.notes.push(format!(
            "The objects are in the Vault namespace {namespace}. Make sure that AuthorizationServer {} has this vault.namespace.",
            place.server
        ));
    }
    for manifest in &mut found.manifests {
        if manifest["kind"] == "OAuth2Client"
            && let Some(note) = take_secret_over(manifest, &meant, &all, place.namespace)
        {
            found.notes.push(note);
        }
    }
    leave(&meant, &mut found, &addresses);
    Ok(found)
}

/// Says what is left out, and what has to leave the state.
fn leave(meant: &[&Instance<'_>], found: &mut Imported, addresses: &BTreeMap<(&str, &str), &str>) {
    let mut remove = Vec::new();
    for instance in meant {
        // The operator writes the list of the key.
        let key = instance.attributes["key_name"]
            .as_str()
            .filter(|_| instance.type_ == ALLOWED);
        match (instance.object(), key) {
            (Some(("client", name)), _) if found.left_out.contains(name) => {}
            (Some(_), _) => remove.push(&instance.address),
            (None, Some(key)) if addresses.contains_key(&("key", key)) => remove.push(&instance.address),
            (None, _) => found.notes.push(format!(
                "{} is left out: the operator has no kind for it.",
                instance.address
            )),
        }
    }
    if !remove.is_empty() {
        let first = "Once the resources are ready, remove the objects from the state:".to_owned();
        let commands = remove
            .into_iter()
            .map(|address| format!("terraform state rm '{address}'"));
        found.notes.extend([first].into_iter().chain(commands));
    }
}

/// Makes sure that all objects are on one server, and returns their Vault namespace.
fn one_place<'a>(meant: &[&'a Instance<'_>]) -> Result<&'a str, String> {
    let objects = || meant.iter().filter(|found| found.object().is_some());
    let listed = |names: &BTreeSet<&str>| {
        let names = names.iter().map(|name| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let aliases: BTreeSet<&str> = objects().map(|found| found.alias).collect();
    if aliases.len() > 1 {
        return Err(format!(
            "the state has objects of providers with the aliases {}; name one with --provider-alias, and its AuthorizationServer with --server",
            listed(&aliases)
        ));
    }
    let namespaces: BTreeSet<&str> = objects().map(|found| found.namespace()).collect();
    if namespaces.len() > 1 {
        return Err(format!(
            "the state has objects of the Vault namespaces {}; name one with --vault-namespace, and its AuthorizationServer with --server",
            listed(&namespaces)
        ));
    }
    Ok(namespaces.first().copied().unwrap_or_default())
}

fn instances(state: &Value) -> impl Iterator<Item = Instance<'_>> {
    let resources = state["resources"].as_array().into_iter().flatten();
    let managed = resources.filter(|resource| resource["mode"] == "managed");
    managed.flat_map(|resource| {
        let instances = resource["instances"].as_array().into_iter().flatten();
        // Terraform is about to destroy what is deposed.
        let current = instances.filter(|instance| instance["deposed"].is_null());
        current.filter_map(move |instance| {
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
                alias: alias(resource["provider"].as_str().unwrap_or_default()),
                attributes: &instance["attributes"],
            })
        })
    })
}

/// The alias in the address of a provider, such as `provider["registry.terraform.io/hashicorp/vault"].eu`.
fn alias(provider: &str) -> &str {
    let (_, alias) = provider.rsplit_once("\"].").unwrap_or_default();
    alias
}

fn without_secret(attributes: &Value) -> Value {
    let mut attributes = attributes.clone();
    if let Some(members) = attributes.as_object_mut() {
        members.remove("client_secret");
    }
    attributes
}

/// Lets an OAuth2Client take over the Secret that the state has of its credentials. Returns what to do for that.
fn take_secret_over(
    manifest: &mut Value,
    meant: &[&Instance<'_>],
    all: &[Instance<'_>],
    namespace: &str,
) -> Option<String> {
    let name = manifest["spec"]["vault"]["name"].as_str()?;
    let client = meant.iter().find(|found| found.object() == Some(("client", name)))?;
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
