//! Deletion: the client on the server, then our Secrets, then (by the driver) the finalizer. Access is not evaluated: what was made may always go.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::{client_id, ledger, marker, outage, remote};
use crate::access::{self, Namespace};
use crate::admin::http::DEADLINE;
use crate::admin::sync::owns;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::DeletionPolicy;
use crate::api::{AuthorizationServer, OAuth2Client, REVISION_ANNOTATION, UID_LABEL, WATCH_LABEL};
use crate::controller::links::Link;
use crate::controller::on_server::OnServer;
use crate::controller::own_secret::{drop_one, is_owned};
use crate::controller::{Context, Pass, is_abandoned};
use crate::error::{ClusterFault, Error, Result};

/// What becomes of the client on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Delete,
    Orphan,
    /// Nothing is asked of the server at all.
    Abandon,
}

pub(super) async fn run(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    match fate(client, ctx).await? {
        Fate::Delete => remove(client, ctx, pass).await,
        Fate::Abandon => drop_secrets(client, ctx).await,
        Fate::Orphan => orphan(client, ctx).await,
    }
}

/// Leaving a client behind needs the consent of the access rules, given now or when the spec was accepted; a server that is gone has no say.
/// Since a deletion cannot be taken back, a refusal of the cached rules is looked at live.
async fn fate(client: &OAuth2Client, ctx: &Context) -> Result<Fate> {
    let accepted = client
        .status
        .as_ref()
        .and_then(|s| s.effective.as_ref())
        .map(|e| e.deletion_policy);
    let wants_orphan = client.spec.deletion_policy == Some(DeletionPolicy::Orphan);
    if !is_abandoned(client) && !wants_orphan {
        return Ok(Fate::Delete);
    }
    let allowed = may_orphan(client, ctx) || may_orphan_live(client, ctx).await?;
    Ok(if is_abandoned(client) && allowed {
        Fate::Abandon
    } else if wants_orphan && (allowed || accepted == Some(DeletionPolicy::Orphan)) {
        Fate::Orphan
    } else {
        Fate::Delete
    })
}

fn may_orphan(client: &OAuth2Client, ctx: &Context) -> bool {
    let name = client.namespace().unwrap_or_default();
    let cached = ctx.stores.namespaces.get(&ObjectRef::new(&name));
    let labels = cached.as_ref().map(|namespace| namespace.labels());
    let server = ctx.server(client.server_name());
    server.is_none_or(|server| access::may_orphan(&server.spec.access, Namespace { name: &name, labels }))
}

async fn may_orphan_live(client: &OAuth2Client, ctx: &Context) -> Result<bool> {
    let name = client.namespace().unwrap_or_default();
    let servers: Api<AuthorizationServer> = Api::all(ctx.cluster.client());
    let Some(server) = ctx.cluster.live(&servers, client.server_name()).await? else {
        return Ok(true);
    };
    let namespaces: Api<KubeNamespace> = Api::all(ctx.cluster.client());
    let namespace = ctx.cluster.live(&namespaces, &name).await?;
    let labels = namespace.as_ref().map(|namespace| namespace.labels());
    Ok(access::may_orphan(
        &server.spec.access,
        Namespace { name: &name, labels },
    ))
}

/// Deletes the client, if it is ours, and our Secrets.
pub(super) async fn remove(client: &OAuth2Client, ctx: &Context, pass: &Pass<OAuth2ClientStatus>) -> Result<()> {
    let (server, link) = connection(client, ctx)?;
    remove_client(client, ctx, pass, &link)
        .await
        .map_err(|error| match outage(ctx, &server.name_any(), error) {
            Error::Unavailable(_) | Error::ServerRefused(_) | Error::NotRecognized { .. } | Error::Reply { .. } => {
                waits(client, ctx)
            }
            other => other,
        })?;
    drop_secrets(client, ctx).await
}

async fn remove_client(
    client: &OAuth2Client,
    ctx: &Context,
    pass: &Pass<OAuth2ClientStatus>,
    link: &Link,
) -> Result<()> {
    let id = client_id(client);
    let uid = client.uid().unwrap_or_default();
    let found = link
        .hydra
        .get_client(&id)
        .await
        .map_err(|f| remote::error("get_o_auth2_client", f))?;
    match found {
        Some(found) if owns(&marker(client, ctx), &id, &found, found.marker().as_ref()) => link
            .hydra
            .delete_client(&id)
            .await
            .map_err(|f| remote::error("delete_o_auth2_client", f)),
        Some(_) => Ok(()),
        // A POST whose reply never came may still commit: absence counts once no request can be under way any more.
        None => {
            let memory = &ctx.clients.memory;
            let unconfirmed = pass.status.updated_at.is_none() || memory.is_unconfirmed(&uid);
            if unconfirmed && memory.quiet_for(&uid) < DEADLINE {
                Err(Error::CleanupUnconfirmed)
            } else {
                Ok(())
            }
        }
    }
}

fn connection(client: &OAuth2Client, ctx: &Context) -> Result<(Arc<AuthorizationServer>, Link)> {
    let name = client.server_name();
    let Some(server) = ctx.server(client.server_name()) else {
        let namespace = client.namespace().unwrap_or_default();
        return Err(Error::CleanupWithoutServer(
            name.to_owned(),
            "oac",
            client.name_any(),
            namespace,
        ));
    };
    match ctx.links.usable(&server) {
        Ok(link) => Ok((server, link)),
        Err(error) if error.is_silent() => Err(error),
        Err(_) => Err(waits(client, ctx)),
    }
}

fn waits(client: &OAuth2Client, ctx: &Context) -> Error {
    Error::CleanupWaits {
        server: client.server_name().to_owned(),
        kind: "oac",
        name: client.name_any(),
        namespace: client.namespace().unwrap_or_default(),
        may_orphan: may_orphan(client, ctx),
    }
}

/// Leaves client and credentials Secret working, without our marks; the ledger goes.
async fn orphan(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let uid = client.uid().unwrap_or_default();
    let unmarked = match connection(client, ctx) {
        Ok((_, link)) => unmark(client, ctx, &link).await,
        // The server's first pass in this process is worth waiting for: nobody comes back for the mark.
        Err(error) if error.is_silent() => return Err(error),
        Err(error) => Err(error),
    };
    if let Err(failure) = unmarked {
        tracing::info!(namespace, name = client.name_any(), %failure, "the mark stays on the orphaned client");
    }
    for name in secret_names(client, ctx)
        .iter()
        .filter(|name| **name != ledger::name(&uid))
    {
        let Some(mut secret) = ctx.cluster.secret(&namespace, name).await? else {
            continue;
        };
        if !is_owned(&secret, &uid) {
            continue;
        }
        secret.metadata.owner_references = None;
        let labels = secret.metadata.labels.get_or_insert_default();
        labels.remove(WATCH_LABEL);
        labels.remove(UID_LABEL);
        secret
            .metadata
            .annotations
            .get_or_insert_default()
            .remove(REVISION_ANNOTATION);
        ctx.cluster.replace(&namespace, &secret).await?;
    }
    let ledger = ledger::name(&uid);
    if let Some(found) = ctx.own_secret(&namespace, &uid, &ledger) {
        drop_one(ctx, &namespace, &uid, &ledger, found.uid).await?;
    }
    Ok(())
}

/// Names that Secrets of ours may have: the present ones, and every marked one while a change of name may be half done.
fn secret_names(client: &OAuth2Client, ctx: &Context) -> BTreeSet<String> {
    let uid = client.uid().unwrap_or_default();
    let wanted = client
        .spec
        .credentials
        .as_ref()
        .and_then(|credentials| credentials.secret_name.clone());
    let wanted = wanted.unwrap_or_else(|| client.name_any());
    let former = client.status.as_ref().and_then(|status| status.secret_name.clone());
    let mut names = BTreeSet::from([ledger::name(&uid), wanted.clone()]);
    if former.as_ref().is_some_and(|former| *former != wanted) {
        names.extend(ctx.marked_secrets(&client.namespace().unwrap_or_default(), &uid));
    }
    names.extend(former);
    names
}

async fn unmark(client: &OAuth2Client, ctx: &Context, link: &Link) -> Result<()> {
    let id = client_id(client);
    let found = link
        .hydra
        .get_client(&id)
        .await
        .map_err(|f| remote::error("get_o_auth2_client", f))?;
    let Some(mut found) = found.filter(|found| owns(&marker(client, ctx), &id, found, found.marker().as_ref())) else {
        return Ok(());
    };
    found.unmark();
    link.hydra
        .update_client(&found, None)
        .await
        .map_err(|f| remote::error("update_o_auth2_client", f))?;
    Ok(())
}

/// Deletes our Secrets ourselves: a namesake that comes next must not find them.
async fn drop_secrets(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let uid = client.uid().unwrap_or_default();
    for name in secret_names(client, ctx) {
        let Some(secret) = ctx.own_secret(&namespace, &uid, &name) else {
            continue;
        };
        match drop_one(ctx, &namespace, &uid, &name, secret.uid).await {
            Err(Error::Cluster(ClusterFault::Forbidden)) if is_going(ctx, &namespace) => {} // they go with it
            result => result?,
        }
    }
    Ok(())
}

fn is_going(ctx: &Context, namespace: &str) -> bool {
    let cached = ctx.stores.namespaces.get(&ObjectRef::new(namespace));
    cached.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
}
