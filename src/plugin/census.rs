//! What is in the cluster: every resource, how it is, and what it uses.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Result, anyhow};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;

use crate::api::condition::{READY, STALLED, SUSPENDED, find};
use crate::api::refs::LocalRef;
use crate::api::status::Standing;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::engine::managed::{Managed, OnServer};
use crate::decode::Item;
use crate::kubernetes;

/// How a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// It and its server are in sync.
    Ready,
    /// The operator works on it, or waits for something.
    Reconciling,
    /// Nothing changes without an intervention.
    Stalled,
    /// The operator leaves it alone, because its spec says so.
    Suspended,
    /// It is being deleted.
    Deleting,
    /// The operator has not seen it, or not its latest change.
    Pending,
    /// It does not exist, or the caller may not read it.
    Unknown,
}

impl State {
    /// Whether nobody has to do anything. A suspended resource is as somebody wants it, and what is on a server that does
    /// not exist says so itself.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Ready | Self::Suspended | Self::Unknown)
    }
}

/// Kind, namespace and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// The kind.
    pub kind: &'static str,
    /// The namespace; none for an AuthorizationServer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which resource it is.
    pub key: Key,
    /// How it is.
    pub state: State,
    /// The reason of its condition `Ready`; empty if it has none.
    pub reason: String,
    /// What is wrong and what to do; empty if nothing is.
    pub message: String,
    /// The AuthorizationServer that it is on; none for an AuthorizationServer.
    pub server: Option<String>,
    /// Resources that it uses.
    pub uses: Vec<Key>,
    /// Resources that use it without naming it: a provider issues tokens for clients that ask for it.
    pub used_by: Vec<Key>,
}

/// Reads all resources of a namespace or of the cluster, and the AuthorizationServers, if the caller may read them.
///
/// # Errors
/// If a kind cannot be listed.
pub async fn take(client: &Client, namespace: Option<&str>) -> Result<Vec<Entry>> {
    let (mut all, clients, key_sets, providers, scopes, assignments) = tokio::try_join!(
        servers(client),
        list::<OAuth2Client>(client, namespace),
        list::<JsonWebKeySet>(client, namespace),
        list::<OidcProvider>(client, namespace),
        list::<Scope>(client, namespace),
        list::<Assignment>(client, namespace),
    )?;
    let known = providers.iter().filter_map(|provider| {
        let key = key(OidcProvider::KIND, provider.namespace().as_ref(), &provider.name_any());
        Some((key, &provider.status.as_ref()?.client_ids))
    });
    let known: HashMap<Key, &Vec<String>> = known.collect();
    let admits = |client: &OAuth2Client, provider: &Key| {
        let id = client.status.as_ref().and_then(|status| status.client_id.as_ref());
        known.get(provider).zip(id).is_some_and(|(ids, id)| ids.contains(id))
    };
    all.extend(providers.iter().map(of_provider));
    all.extend(
        clients
            .iter()
            .map(|client| of_client(client, |key| admits(client, key))),
    );
    all.extend(key_sets.iter().map(on_server));
    all.extend(scopes.iter().map(on_server));
    all.extend(assignments.iter().map(on_server));
    Ok(all)
}

/// Reads the AuthorizationServers; none if the caller may not read them.
///
/// # Errors
/// If they cannot be listed.
pub async fn servers(client: &Client) -> Result<Vec<Entry>> {
    let api = Api::<Item<AuthorizationServer>>::all(client.clone());
    let found = match kubernetes::at_once(api).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Vec::new(), // a tenant need not see them
        found => found.map_err(|error| unread(error, "AuthorizationServers"))?,
    };
    Ok(found.iter().map(|Item(server)| entry(server, None)).collect())
}

pub(super) async fn list<K>(client: &Client, namespace: Option<&str>) -> Result<Vec<K>>
where
    K: OnServer + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<Item<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let found = kubernetes::at_once(api).await.map_err(|error| {
        let place = namespace.map_or_else(
            || "the cluster".to_owned(),
            |namespace| format!("the namespace {namespace}"),
        );
        unread(error, &format!("the {}s of {place}", K::KIND))
    })?;
    Ok(found.into_iter().map(|Item(found)| found).collect())
}

/// Why resources cannot be listed.
fn unread(error: kube::Error, what: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            anyhow!(
                "cannot list {what}, because the cluster does not have their CRD; install the operator's CRDs first"
            )
        }
        error => anyhow::Error::new(error).context(format!("cannot list {what}")),
    }
}

fn of_provider(provider: &OidcProvider) -> Entry {
    let namespace = provider.namespace();
    let named = provider
        .spec
        .allowed_clients
        .iter()
        .filter_map(|client| client.name.as_ref());
    let clients = named.map(|name| key(OAuth2Client::KIND, namespace.as_ref(), name));
    let mut entry = on_server(provider);
    entry.uses = clients.collect();
    entry
        .uses
        .extend(local(Scope::KIND, namespace.as_ref(), &provider.spec.scope_refs));
    entry
}

/// `admits`: whether a provider has admitted the client. Whoever only names a provider of others is not shown with it.
fn of_client(client: &OAuth2Client, admits: impl Fn(&Key) -> bool) -> Entry {
    let (spec, namespace) = (&client.spec, client.namespace());
    let mut entry = on_server(client);
    entry.uses = local(JsonWebKeySet::KIND, namespace.as_ref(), &spec.key_set_ref).collect();
    entry
        .uses
        .extend(local(Scope::KIND, namespace.as_ref(), &spec.scope_refs));
    entry
        .uses
        .extend(local(Assignment::KIND, namespace.as_ref(), &spec.assignment_refs));
    let providers = spec.provider_refs.iter();
    entry.used_by = providers
        .map(|provider| {
            key(
                OidcProvider::KIND,
                provider.namespace.as_ref().or(namespace.as_ref()),
                &provider.name,
            )
        })
        .filter(|provider| provider.namespace == namespace || admits(provider))
        .collect();
    entry
}

fn local<'a>(
    kind: &'static str,
    namespace: Option<&'a String>,
    refs: impl IntoIterator<Item = &'a LocalRef>,
) -> impl Iterator<Item = Key> {
    refs.into_iter().map(move |found| key(kind, namespace, &found.name))
}

fn key(kind: &'static str, namespace: Option<&String>, name: &str) -> Key {
    Key {
        kind,
        namespace: namespace.cloned(),
        name: name.to_owned(),
    }
}

fn on_server<K: OnServer>(resource: &K) -> Entry {
    entry(resource, Some(resource.server_name().to_owned()))
}

fn entry<K: Managed>(resource: &K, server: Option<String>) -> Entry {
    let (state, reason, message) = judge(resource);
    Entry {
        key: key(K::KIND, resource.namespace().as_ref(), &resource.name_any()),
        state,
        reason,
        message,
        server,
        uses: Vec::new(),
        used_by: Vec::new(),
    }
}

/// How a resource is, by its conditions.
pub(super) fn judge<K: Managed>(resource: &K) -> (State, String, String) {
    let (observed, conditions) = resource.status().map(Standing::standing).unwrap_or_default();
    let is = |type_| find(conditions, type_).is_some_and(|found| found.status == "True");
    let ready = find(conditions, READY);
    let told = |state| {
        let (reason, message) = ready
            .map(|ready| (ready.reason.clone(), ready.message.clone()))
            .unwrap_or_default();
        (state, reason, message)
    };
    if resource.meta().deletion_timestamp.is_some() {
        return told(State::Deleting);
    }
    if conditions.is_empty() {
        let message = "The operator has not seen it. Check that an operator runs and works in this namespace.";
        return (State::Pending, String::new(), message.to_owned());
    }
    if observed < resource.meta().generation {
        let message = "The operator has not seen its latest change yet.";
        return (State::Pending, String::new(), message.to_owned());
    }
    if is(SUSPENDED) {
        return (State::Suspended, String::new(), String::new());
    }
    match (is(READY), is(STALLED)) {
        (true, _) => (State::Ready, String::new(), String::new()),
        (false, true) => told(State::Stalled),
        (false, false) => told(State::Reconciling),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::unread;

    #[test]
    fn a_cluster_without_crds_is_told_from_one_that_refuses() {
        let said = |code| {
            let refusal = Status::failure("no", "Any").with_code(code);
            format!(
                "{:#}",
                unread(kube::Error::Api(Box::new(refusal)), "AuthorizationServers")
            )
        };
        let missing = "cannot list AuthorizationServers, because the cluster does not have their CRD; install the operator's CRDs first";
        assert_eq!(said(404), missing);
        assert!(
            said(403).starts_with("cannot list AuthorizationServers: "),
            "{}",
            said(403)
        );
    }
}
