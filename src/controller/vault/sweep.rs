//! The sweep of a Vault. The lists of clients and providers show everything except the secret. The lists of keys,
//! assignments and scopes show only names, so each of these objects is read once per interval, by its own pass, as many
//! at a time as the server allows.
//!
//! As on other servers, the sweep detects and never acts. Unclaimed objects are not counted, because nothing
//! distinguishes ours from those of others.

use kube::ResourceExt;
use serde_json::{Map, Value};

use crate::admin::http::Failure;
use crate::admin::vault::{Listed, Object, Vault};
use crate::api::{AuthorizationServer, OAuth2Client, OidcProvider};
use crate::controller::common::claim::settled;
use crate::controller::common::rouse::{read_each, rouse};
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::vault::failure::failure;
use crate::controller::vault::name::Named;
use crate::controller::vault::{client, provider};
use crate::error::Result;

/// Lists what is on the server and wakes the resources whose object is not as it was left.
///
/// # Errors
/// What a failed request means.
pub(crate) async fn run(server: &AuthorizationServer, ctx: &Context, vault: &Vault) -> Result<Option<i64>> {
    let name = server.name_any();
    compare(
        &ctx.kinds.clients,
        &name,
        list::<OAuth2Client>(vault).await?,
        |client, listed| {
            let id = client.status.as_ref().and_then(|status| status.client_id.clone());
            let wanted = client::wanted(client, ctx);
            // A client that waits for a reference stays as it is.
            client.spec.suspend == Some(true) || wanted.is_none_or(|wanted| is_as_left(&wanted, listed, id.as_deref()))
        },
    );
    compare(
        &ctx.kinds.providers,
        &name,
        list::<OidcProvider>(vault).await?,
        |provider, listed| {
            let wanted = provider::wanted(provider, ctx).ok();
            provider.spec.suspend == Some(true) || wanted.is_none_or(|(wanted, _)| is_as_left(&wanted, listed, None))
        },
    );
    read_each(&ctx.kinds.key_sets, &name);
    read_each(&ctx.kinds.assignments, &name);
    read_each(&ctx.kinds.scopes, &name);
    Ok(None)
}

/// None if the list is too large: the server has no pages, and anyone who may create objects can make the list too
/// large.
async fn list<K: Named>(vault: &Vault) -> Result<Option<Listed>> {
    match vault.list::<K::Object>().await {
        Ok(listed) => Ok(Some(listed)),
        Err(Failure::TooLarge(_)) => Ok(None),
        Err(failed) => Err(failure(K::Object::LIST, K::Object::TYPE, failed)),
    }
}

/// Wakes the resources whose object is missing from the list or differs. Without a list, each object is read.
fn compare<K: Named>(
    kind: &Kind<K>,
    server: &str,
    listed: Option<Listed>,
    is_as_left: impl Fn(&K, &Map<String, Value>) -> bool,
) {
    let Some(listed) = listed else {
        tracing::warn!(
            server,
            resources = K::KIND,
            "the server's list is too large, so each object is read"
        );
        return read_each(kind, server);
    };
    for resource in settled(kind, server) {
        let fine = match listed.objects.get(&resource.object_name()) {
            Some(Some(fields)) => is_as_left(&resource, fields),
            Some(None) | None => false,
        };
        if !fine {
            rouse(kind, &*resource);
        }
    }
}

/// Whether a listed object is as wanted. `id`: the known id of a client.
fn is_as_left<O: Object>(wanted: &O, listed: &Map<String, Value>, id: Option<&str>) -> bool {
    let same_id = id.is_none_or(|id| listed.get("client_id").and_then(Value::as_str) == Some(id));
    let listed = serde_json::from_value::<O>(Value::Object(listed.clone()));
    same_id && listed.is_ok_and(|listed| wanted.differences(&listed).is_empty())
}
