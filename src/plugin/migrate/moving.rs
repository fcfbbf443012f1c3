//! Moves resources of hydra-maester. Each is looked at anew, so that a command that was interrupted can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::{AT_ONCE, clients, named, namespace, namespace_of};
use super::grants::{Wish, check_room, granted};
use super::maester::Choice;
use super::plan::{Item, Verdict, items, server_of};
use super::report::{code, skipped, tell, text};
use super::server::Known;
use super::walk::DryRun;
use super::{cluster, walk};
use crate::access;
use crate::api::oauth2_client::OAuth2ClientSpec;
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::decode;
use crate::kubernetes::at_once;
use crate::plugin::arguments::{Format, HydraMaester};
use crate::plugin::objects::put;
use crate::plugin::session::Session;

pub(super) type Servers = Vec<AuthorizationServer>;
type Labels = BTreeMap<String, Result<BTreeMap<String, String>, String>>;

pub(super) async fn run(session: &Session, asked: &HydraMaester) -> Result<ExitCode> {
    let servers = servers(session).await?;
    let mut found = planned(session, asked, &servers).await?;
    if asked.grants {
        return grants(session, asked, &found, &servers).await;
    }
    check_servers(session, &mut found, &servers).await;
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

/// The servers, as far as hydra-maester would reach the same.
pub(super) fn known(servers: &Servers) -> Vec<Known> {
    let known = |server: &AuthorizationServer| {
        let hydra = server.spec.hydra.as_ref()?;
        Some(Known {
            name: server.name_any(),
            admin_url: hydra.admin_url.clone(),
            forwarded_proto: hydra.forwarded_proto,
        })
    };
    servers.iter().filter_map(known).collect()
}

async fn planned(session: &Session, asked: &HydraMaester, servers: &Servers) -> Result<Vec<Item>> {
    let keys = asked.keys();
    let olds = cluster::list(session, namespace(session, asked)).await?;
    let credentials = cluster::credentials(session, &olds, keys).await;
    let news = at_once(clients(session, namespace(session, asked))).await;
    let news = news.context("cannot list the OAuth2Clients of the operator")?;
    let known = known(servers);
    let choice = Choice {
        server: &asked.server,
        servers: &known,
        keys,
    };
    let all = items(olds, &credentials, &news, &choice);
    named(all, &asked.names, |item| item.old.name_any())
}

fn spec_of(manifest: &Value) -> OAuth2ClientSpec {
    decode::Item::<OAuth2Client>::of(manifest).0.spec
}

/// Labels of the namespaces, which access rules may select by.
async fn labels(session: &Session, found: &[Item]) -> Labels {
    let namespaces: Api<Namespace> = Api::all(session.client.clone());
    let mut labels = Labels::new();
    for name in found.iter().filter_map(Item::manifest).map(namespace_of) {
        if !labels.contains_key(name) {
            let namespace = namespaces.get_metadata(name).await;
            let found = namespace.map(|found| found.labels().clone());
            let found = found.map_err(|error| {
                format!("Namespace `{name}` cannot be read. Ask for the right to get it, and try again: {error}.")
            });
            labels.insert(name.to_owned(), found);
        }
    }
    labels
}

/// A namespace as access rules see it, or why it cannot be read.
fn seen<'a>(labels: &'a Labels, name: &'a str) -> Result<access::Namespace<'a>, &'a String> {
    let labels = labels.get(name).map(Result::as_ref).transpose()?;
    Ok(access::Namespace { name, labels })
}

/// Prints what a server has to allow.
async fn grants(session: &Session, asked: &HydraMaester, found: &[Item], servers: &Servers) -> Result<ExitCode> {
    let name = asked.grants_for.as_ref().unwrap_or(&asked.server);
    let server = servers.iter().find(|server| server.name_any() == *name);
    let server = server.with_context(|| format!("there is no AuthorizationServer `{name}`; create it first"))?;
    let labels = labels(session, found).await;
    let manifests: Vec<&Value> = found.iter().filter_map(Item::manifest).collect();
    let on_server = manifests.iter().filter(|manifest| server_of(manifest) == name);
    let specs: Vec<_> = on_server
        .map(|manifest| (namespace_of(manifest), spec_of(manifest)))
        .collect();
    let mut wishes = Vec::new();
    for (namespace, spec) in &specs {
        let namespace = seen(&labels, namespace).map_err(|why| anyhow!("{why}"))?;
        wishes.push(Wish { namespace, spec });
    }
    let rules = granted(&server.spec.access, &wishes);
    check_room(name, rules.len()).map_err(anyhow::Error::msg)?;
    let change = json!({ "spec": { "access": rules } });
    match asked.output {
        Format::Json => put(&(serde_json::to_string_pretty(&change)? + "\n"))?,
        Format::Text | Format::Yaml => put(&serde_saphyr::to_string(&change)?)?,
    }
    let others: BTreeSet<&str> = manifests.iter().map(|manifest| server_of(manifest)).collect();
    for other in others.into_iter().filter(|other| other != name) {
        eprintln!(
            "Other clients are on AuthorizationServer `{other}`. Add --grants-for {other} to print what it has to allow."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Skips what no server would let take over its client.
async fn check_servers(session: &Session, found: &mut [Item], servers: &Servers) {
    let labels = labels(session, found).await;
    for item in found {
        if let Some(manifest) = item.manifest()
            && let Err(why) = check_server(manifest, &labels, servers)
        {
            item.verdict = Verdict::Skip(why);
        }
    }
}

fn check_server(manifest: &Value, labels: &Labels, servers: &Servers) -> Result<(), String> {
    let name = server_of(manifest);
    let server = servers.iter().find(|server| server.name_any() == name);
    let server = server.ok_or_else(|| format!("There is no AuthorizationServer `{name}`. Create it first."))?;
    let wish = Wish {
        namespace: seen(labels, namespace_of(manifest)).map_err(Clone::clone)?,
        spec: &spec_of(manifest),
    };
    wish.check(&server.spec.access).map_err(|denied| {
        format!(
            "AuthorizationServer `{name}` does not allow it: {denied} --grants prints what lets it take over its client."
        )
    })
}

/// Skips what the Kubernetes API would refuse.
async fn try_all(session: &Session, found: &mut [Item]) -> Result<()> {
    let tries = found.iter().enumerate().filter_map(|(index, item)| {
        let manifest = item.manifest()?.clone();
        Some(async move {
            let tried = walk::create(session, &manifest, DryRun::Yes).await;
            (index, tried)
        })
    });
    let tried: Vec<_> = stream::iter(tries.collect::<Vec<_>>())
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (index, tried) in tried {
        match tried {
            Ok(_) => {}
            Err(error) if is_there(&error) => {} // it has done nothing yet, and is made anew
            Err(error) => match walk::refusal(&error) {
                Some(why) => found[index].verdict = Verdict::Skip(why),
                None => return Err(error).context("cannot create OAuth2Clients of the operator"),
            },
        }
    }
    Ok(())
}

fn is_there(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

async fn apply(session: &Session, asked: &HydraMaester, found: &[Item]) -> Result<ExitCode> {
    let each = found.iter().map(async |item| {
        let done = match &item.verdict {
            Verdict::Skip(why) => Err(anyhow!("{why}")),
            Verdict::Move(planned) => walk::begin(session, &item.old, planned, asked).await,
            Verdict::Continue(fate) => walk::resume(session, &item.old, *fate, asked).await,
        };
        (item.key(), done)
    });
    tell(each, "moved").await
}
