//! Moves resources of hydra-maester. Each is looked at anew, so that a command that was interrupted can be repeated.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::{AT_ONCE, clients, named, namespace, parameters};
use super::grants::{Wish, granted};
use super::maester::{Choice, SecretFate};
use super::plan::{Item, Verdict, items};
use super::report::{code, skipped, tell, text};
use super::{cluster, leave};
use crate::access;
use crate::api::oauth2_client::OAuth2ClientSpec;
use crate::api::{AuthorizationServer, DEFAULT_SERVER, OAuth2Client, RECONCILE_AT_ANNOTATION};
use crate::decode;
use crate::kubernetes::at_once;
use crate::plugin::NAME;
use crate::plugin::arguments::{Format, HydraMaester};
use crate::plugin::ask;
use crate::plugin::objects::{put, until, until_gone};
use crate::plugin::session::Session;

pub(super) type Servers = Vec<AuthorizationServer>;
type Labels = BTreeMap<String, BTreeMap<String, String>>;

pub(super) async fn run(session: &Session, asked: &HydraMaester) -> Result<ExitCode> {
    let servers = servers(session).await?;
    let mut found = planned(session, asked, &servers).await?;
    if asked.grants {
        return grants(session, asked, &found, &servers).await;
    }
    check_servers(session, &mut found, &servers).await?;
    if asked.apply {
        return apply(session, asked, &found).await;
    }
    try_all(session, &mut found).await?;
    match asked.output {
        Format::Text => put(&text(&found))?,
        Format::Json => put(&(serde_json::to_string_pretty(&listed(&found))? + "\n"))?,
        Format::Yaml => {
            for manifest in found.iter().filter_map(Item::manifest) {
                put(&format!("---\n{}", serde_saphyr::to_string(manifest)?))?;
            }
        }
    }
    Ok(code(skipped(&found)))
}

fn listed(found: &[Item]) -> Value {
    let manifests: Vec<&Value> = found.iter().filter_map(Item::manifest).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": manifests })
}

pub(super) async fn servers(session: &Session) -> Result<Servers> {
    let api = Api::<decode::Item<AuthorizationServer>>::all(session.client.clone());
    let found = at_once(api)
        .await
        .context("cannot list AuthorizationServers; install the operator first, and ask for the right to read them")?;
    Ok(found.into_iter().map(|found| found.0).collect())
}

/// Names and admin URLs of the servers.
pub(super) fn known(servers: &Servers) -> Vec<(String, String)> {
    let url = |server: &AuthorizationServer| {
        let hydra = server.spec.hydra.as_ref()?;
        Some((server.name_any(), hydra.admin_url.clone()))
    };
    servers.iter().filter_map(url).collect()
}

async fn planned(session: &Session, asked: &HydraMaester, servers: &Servers) -> Result<Vec<Item>> {
    let keys = asked.keys();
    let olds = named(cluster::list(session, namespace(session, asked)).await?, &asked.names)?;
    let credentials = cluster::credentials(session, &olds, keys).await?;
    let news = at_once(clients(session, namespace(session, asked))).await;
    let news = news.context("cannot list the OAuth2Clients of the operator")?;
    let known = known(servers);
    let choice = Choice {
        server: &asked.server,
        servers: &known,
        keys,
    };
    Ok(items(olds, &credentials, &news, &choice))
}

fn spec_of(manifest: &Value) -> OAuth2ClientSpec {
    decode::Item::<OAuth2Client>::of(manifest).0.spec
}

fn server_of(manifest: &Value) -> &str {
    manifest["spec"]["serverRef"]["name"].as_str().unwrap_or(DEFAULT_SERVER)
}

fn namespace_of(manifest: &Value) -> &str {
    manifest["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// Labels of the namespaces, which access rules may select by.
async fn labels(session: &Session, found: &[Item]) -> Result<Labels> {
    let namespaces: Api<Namespace> = Api::all(session.client.clone());
    let mut labels = Labels::new();
    for name in found.iter().filter_map(Item::manifest).map(namespace_of) {
        if !labels.contains_key(name) {
            let namespace = namespaces.get_metadata(name).await;
            let namespace = namespace.with_context(|| format!("cannot read namespace {name}"))?;
            labels.insert(name.to_owned(), namespace.labels().clone());
        }
    }
    Ok(labels)
}

fn seen<'a>(labels: &'a Labels, name: &'a str) -> access::Namespace<'a> {
    access::Namespace {
        name,
        labels: labels.get(name),
    }
}

/// Prints what a server has to allow.
async fn grants(session: &Session, asked: &HydraMaester, found: &[Item], servers: &Servers) -> Result<ExitCode> {
    let server = servers.iter().find(|server| server.name_any() == asked.server);
    let server =
        server.with_context(|| format!("there is no AuthorizationServer `{}`; create it first", asked.server))?;
    let labels = labels(session, found).await?;
    let manifests = found.iter().filter_map(Item::manifest);
    let on_server = manifests.filter(|manifest| server_of(manifest) == asked.server);
    let specs: Vec<_> = on_server
        .map(|manifest| (namespace_of(manifest), spec_of(manifest)))
        .collect();
    let wishes = specs.iter().map(|(name, spec)| Wish {
        namespace: seen(&labels, name),
        spec,
    });
    let wishes: Vec<_> = wishes.collect();
    let change = json!({ "spec": { "access": granted(&server.spec.access, &wishes) } });
    match asked.output {
        Format::Json => put(&(serde_json::to_string_pretty(&change)? + "\n"))?,
        Format::Text | Format::Yaml => put(&serde_saphyr::to_string(&change)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Skips what no server would let take over its client.
async fn check_servers(session: &Session, found: &mut [Item], servers: &Servers) -> Result<()> {
    let labels = labels(session, found).await?;
    for item in found {
        let Some(manifest) = item.manifest() else { continue };
        let name = server_of(manifest);
        let why = match servers.iter().find(|server| server.name_any() == name) {
            None => Some(format!("There is no AuthorizationServer `{name}`. Create it first.")),
            Some(server) => {
                let wish = Wish {
                    namespace: seen(&labels, namespace_of(manifest)),
                    spec: &spec_of(manifest),
                };
                wish.check(&server.spec.access).err().map(|denied| {
                    format!(
                        "AuthorizationServer `{name}` does not allow it: {denied} --grants prints what lets it take over its client."
                    )
                })
            }
        };
        if let Some(why) = why {
            item.verdict = Verdict::Skip(why);
        }
    }
    Ok(())
}

/// Skips what the Kubernetes API would refuse.
async fn try_all(session: &Session, found: &mut [Item]) -> Result<()> {
    let tries = found.iter().enumerate().filter_map(|(index, item)| {
        let manifest = item.manifest()?.clone();
        Some(async move {
            let tried = create(session, &manifest, true).await;
            (index, tried)
        })
    });
    let tried: Vec<_> = stream::iter(tries.collect::<Vec<_>>())
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (index, tried) in tried {
        match tried {
            Ok(()) => {}
            Err(error) => match refusal(&error) {
                Some(why) => found[index].verdict = Verdict::Skip(why),
                None => return Err(error).context("cannot create OAuth2Clients of the operator"),
            },
        }
    }
    Ok(())
}

/// Why the Kubernetes API does not accept a new resource as it is.
fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if status.code == 422 => {
            Some(format!("Its new resource is not valid: {}", status.message))
        }
        _ => None,
    }
}

async fn create(session: &Session, manifest: &Value, dry_run: bool) -> kube::Result<()> {
    let api = clients(session, Some(namespace_of(manifest)));
    let object: DynamicObject = serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        dry_run,
        field_manager: Some(NAME.to_owned()),
    };
    api.create(&parameters, &object).await.map(drop)
}

async fn apply(session: &Session, asked: &HydraMaester, found: &[Item]) -> Result<ExitCode> {
    let each = found.iter().map(async |item| {
        let done = match &item.verdict {
            Verdict::Skip(why) => Err(anyhow!("{why}")),
            Verdict::Move(planned) => walk(session, item, planned.secret, asked.timeout).await,
            Verdict::Continue(fate) => walk(session, item, *fate, asked.timeout).await,
        };
        (item.key(), done)
    });
    tell(each, "moved").await
}

/// Moves one resource: the Secret names it, the operator takes over client and Secret, and the old resource goes.
async fn walk(session: &Session, item: &Item, fate: SecretFate, limit: Duration) -> Result<()> {
    let (old, name) = (&item.old, item.old.name_any());
    let namespace = old.namespace().unwrap_or_default();
    let uid = old.uid().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(session.client.clone(), &namespace);
    if fate == SecretFate::TakenOver {
        leave::offer_secret(&secrets, old).await?;
    }
    let api = clients(session, Some(&namespace));
    let since = match item.manifest() {
        Some(manifest) => {
            let created = create(session, manifest, false).await;
            created.map_err(|error| match refusal(&error) {
                Some(why) => anyhow!(why),
                None => anyhow::Error::new(error).context("cannot create its new resource"),
            })?;
            None
        }
        None => Some(look_again(&api, &name).await?),
    };
    until(&api, &name, limit, |found| ask::in_sync(found, since)).await?;
    leave::keep_secret(&secrets, old, fate == SecretFate::Released).await?;
    let olds = cluster::olds(session, &namespace);
    leave::delete(&olds, &name, &uid).await?;
    // Finalizers of others may hold it.
    until_gone(&olds, old, limit).await
}

/// Lets the operator look at a resource again, because what kept it from its client may be mended.
async fn look_again(api: &Api<DynamicObject>, name: &str) -> Result<Timestamp> {
    let now = Timestamp::now();
    let change = json!({ "metadata": { "annotations": { (RECONCILE_AT_ANNOTATION): now.to_string() } } });
    let asked = api.patch(name, &parameters(), &Patch::Merge(change)).await;
    asked.context("cannot change its new resource")?;
    Ok(now)
}
