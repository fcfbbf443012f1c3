//! The operator's own code, which connects to a server and compares with the rights of the caller, and cannot write: its
//! fence is closed.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DynamicObject;
use kube::runtime::events::Reporter;
use kube::runtime::watcher::Event;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::AuthorizationServer;
use crate::cluster::Cluster;
use crate::controller::common::observe::fact_of;
use crate::controller::engine::cache::{Writer, cache, cache_of};
use crate::controller::engine::children::Children;
use crate::controller::engine::context::{Context, Settings, Stores};
use crate::controller::engine::departures::Departures;
use crate::controller::engine::kinds::{Kinds, Writers};
use crate::controller::engine::links::{Link, Links};
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::engine::publisher::Events;
use crate::controller::engine::spacing::Spacing;
use crate::controller::engine::unwatched::Unwatched;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::controller::kind::connect;
use crate::decode::{Decode, Item, flaw};
use crate::labels::Labels;
use crate::leader::Fence;
use crate::manual::Manual;
use crate::metrics::Metrics;
use crate::plugin::NAME;
use crate::plugin::arguments::Reaching;
use crate::plugin::census::list;
use crate::plugin::session::Session;
use crate::proxies::Proxies;
use crate::reach::{Reach, SecretAccess};

/// What the operator would see.
pub(super) struct Observer {
    /// Its context.
    pub(super) ctx: Context,
}

/// Result of a comparison.
pub(super) enum Seen {
    /// The object is as the resource wants it: that in a sentence.
    Same(String),
    /// How the object differs, or that it does not exist.
    Different(String),
    /// Why it was not compared.
    Unknown(String),
}

impl Observer {
    /// What the operator would see in a namespace, and of one server. Without a namespace, only the server.
    ///
    /// # Errors
    /// What the caller may not read.
    pub(super) async fn new(
        session: &Session,
        asked: &Reaching,
        server: &AuthorizationServer,
        namespace: Option<&str>,
    ) -> Result<Self> {
        let (queue, _) = mpsc::unbounded_channel();
        let (kinds, mut writers) = Kinds::new(&queue);
        let (namespaces, mut namespace_writer) = cache();
        if let Some(name) = namespace {
            fill_all(session, &mut writers, name).await?;
            let all: Api<Namespace> = Api::all(session.client.clone());
            // Access rules that select by labels need them; whoever may not read them is told what the rules say.
            if let Ok(found) = all.get_metadata(name).await {
                namespace_writer.apply(Event::Apply(found));
            }
        }
        writers.servers.apply(Event::Apply(elsewhere(server, asked)));
        let cluster = cluster_id(session, &kinds).await;
        let reach = Reach {
            class: server.spec.server_class.clone(),
            secrets: SecretAccess::Read,
            ..Reach::default()
        };
        let reporter = Reporter {
            controller: NAME.to_owned(),
            instance: None,
        };
        let fence = Fence::closed();
        Ok(Self {
            ctx: Context {
                cluster: Cluster::new(session.client.clone(), fence.clone()),
                settings: Settings {
                    namespace: asked.operator_namespace.clone(),
                    cluster,
                    former_clusters: Vec::new(),
                    reach,
                    proxies: Proxies::of_process(),
                    output_labels: Labels::new(),
                    manual: Manual::default(),
                },
                kinds,
                stores: Stores {
                    namespaces,
                    secrets: cache_of(Vec::new(), WatchedSecret::is_left).0,
                    unwatched: Unwatched::default(),
                },
                queue: Mutex::default(),
                children: Children::default(),
                links: Links::default(),
                departures: Departures::default(),
                spacing: Spacing::default(),
                events: Events::new(session.client.clone(), reporter),
                metrics: Arc::<Metrics>::default(),
                fence,
            },
        })
    }

    /// Connects to the server.
    ///
    /// # Errors
    /// Why it cannot be used, as the operator would say it.
    pub(super) async fn reach(&self, server: &str) -> Result<Link> {
        let server = self.ctx.server(server).context("the server is not known")?;
        let reached = connect::reach(&server, &self.ctx).await;
        reached.map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Compares the object of a resource with what the resource wants. The server must have been reached.
    pub(super) async fn compare<K: OnServer>(&self, resource: &DynamicObject) -> Seen {
        let observed = Item::<K>::of(&observing(resource)).0;
        if let Some(flaw) = flaw(&observed) {
            return Seen::Unknown(flaw.to_owned());
        }
        let mut pass = Pass {
            status: observed.status().cloned().unwrap_or_default(),
            notes: Vec::new(),
            must_read: true,
        };
        match observed.apply(&self.ctx, &mut pass).await {
            Ok(done) if done.unlike.is_none() => Seen::Same(fact_of(&done.message)),
            Ok(done) => Seen::Different(fact_of(&done.message)),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }
}

/// The resource as one that only observes its object.
fn observing(resource: &DynamicObject) -> Value {
    let mut data = resource.data.clone();
    let id = data["status"]["clientId"].clone();
    if let Some(spec) = data["spec"].as_object_mut() {
        spec.insert("managementPolicy".to_owned(), json!("ObserveOnly"));
        spec.remove("suspend");
        if spec.remove("clientIdFrom").is_some() && id.is_string() {
            spec.insert("clientId".to_owned(), id);
        }
    }
    plain(resource, data)
}

/// An object as plain JSON, with these members besides its metadata.
fn plain(object: &DynamicObject, mut data: Value) -> Value {
    data["metadata"] = serde_json::to_value(&object.metadata).unwrap_or_default();
    data
}

/// One of our resources that was read whole.
pub(super) fn typed<K: Decode>(object: &DynamicObject) -> K {
    Item::of(&plain(object, object.data.clone())).0
}

async fn fill_all(session: &Session, writers: &mut Writers, namespace: &str) -> Result<()> {
    fill(session, &mut writers.clients, namespace).await?;
    fill(session, &mut writers.scopes, namespace).await?;
    fill(session, &mut writers.assignments, namespace).await?;
    fill(session, &mut writers.key_sets, namespace).await?;
    fill(session, &mut writers.providers, namespace).await
}

async fn fill<K>(session: &Session, writer: &mut Writer<K>, namespace: &str) -> Result<()>
where
    K: OnServer + Resource<Scope = NamespaceResourceScope>,
{
    for found in list::<K>(&session.client, Some(namespace)).await? {
        writer.apply(Event::Apply(found));
    }
    Ok(())
}

/// The server at the address that the caller has named, such as that of a port that kubectl forwards.
fn elsewhere(server: &AuthorizationServer, asked: &Reaching) -> AuthorizationServer {
    let mut server = server.clone();
    let Some(url) = &asked.admin_url else {
        return server;
    };
    let spec = &mut server.spec;
    let addresses = [
        spec.hydra.as_mut().map(|hydra| &mut hydra.admin_url),
        spec.vault.as_mut().map(|vault| &mut vault.address),
        spec.foulkon.as_mut().map(|foulkon| &mut foulkon.worker_url),
    ];
    for address in addresses.into_iter().flatten() {
        address.clone_from(url);
    }
    server
}

/// The id of the cluster, in the marks on objects: the UID of kube-system or, if the caller may not read that or another
/// id is set, the one in a status.
async fn cluster_id(session: &Session, kinds: &Kinds) -> String {
    let told = kinds.clients.store.state();
    let told = told
        .iter()
        .find_map(|client| client.status.as_ref()?.cluster_id.clone());
    if let Some(told) = told {
        return told;
    }
    let namespaces: Api<Namespace> = Api::all(session.client.clone());
    let found = namespaces.get_metadata("kube-system").await;
    found.ok().and_then(|found| found.uid()).unwrap_or_default()
}
