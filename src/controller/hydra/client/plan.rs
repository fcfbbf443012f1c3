//! What a client should be on a Hydra, from spec and server.

use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker};
use crate::api::oauth2_client::Effective;
use crate::api::{GROUP, OAuth2Client};
use crate::controller::common::admission::server_of;
use crate::controller::common::client::outcome::deletion_policy;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::Context;
use crate::controller::hydra::client::catalogue;
use crate::error::Result;

/// The id of a client: asked for, or the UID. The same whenever it is worked out, so that nothing stored can mislead.
pub(crate) fn client_id(client: &OAuth2Client) -> String {
    client
        .spec
        .client_id
        .clone()
        .or_else(|| client.uid())
        .unwrap_or_default()
}

/// Our marker on a client, without revision.
pub(crate) fn marker(client: &OAuth2Client, ctx: &Context) -> Marker {
    Marker {
        cluster: ctx.settings.cluster.clone(),
        namespace: client.namespace().unwrap_or_default(),
        name: client.name_any(),
        uid: client.uid().unwrap_or_default(),
        revision: String::new(),
        adopted: false,
    }
}

/// The client that a server should have for this resource, its revision aside. None while something that it refers to is missing.
pub(crate) fn wanted(client: &OAuth2Client, ctx: &Context) -> Option<hydra::Client> {
    let (plan, catalogue) = plan(client, ctx).ok()?;
    plan.missing.is_none().then(|| desired(client, ctx, &plan, &catalogue))
}

/// Everything that follows from spec and server, and what the client carries for the login and consent app.
///
/// # Errors
/// As [`server_of`]; what is wrong with the rotation.
pub(crate) fn plan(client: &OAuth2Client, ctx: &Context) -> Result<(ClientPlan, Catalogue)> {
    let server = server_of(client, ctx)?;
    let referred = catalogue::resolve(client, ctx);
    let subject_types = server
        .status
        .as_ref()
        .map(|status| status.subject_types.as_slice())
        .unwrap_or_default();
    let rotation = client.spec.rotation.as_ref();
    let period = rotation.and_then(|rotation| rotation.period.as_deref());
    let effective = Effective::of(&client.spec, subject_types, &referred.scopes);
    let status = client.status.clone().unwrap_or_default();
    let plan = ClientPlan {
        effective: Effective {
            deletion_policy: deletion_policy(client, &status),
            ..effective
        },
        key_set: referred.key_set,
        schedule: Schedule::of(client, period)?,
        missing: referred.missing,
        endpoints: server.status.as_ref().and_then(|status| status.endpoints.clone()),
        server,
        client_id: client_id(client),
        namespace: client.namespace().unwrap_or_default(),
        name: client.name_any(),
        uid: client.uid().unwrap_or_default(),
    };
    Ok((plan, referred.catalogue))
}

/// The client that the server should have, its revision aside.
pub(crate) fn desired(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, catalogue: &Catalogue) -> hydra::Client {
    let marker = marker(client, ctx);
    let mut wanted = hydra::mapping::desired(&client.spec, &plan.effective, catalogue, &plan.client_id, &marker);
    if client.spec.key_set_ref.is_some() {
        wanted.jwks = Map::from_iter([("keys".to_owned(), json!(plan.keys()))]);
    }
    wanted
}

/// The client that a Hydra should have, without secret and revision.
pub(crate) fn of_client(wanted: &hydra::Client) -> Value {
    let mut members = wanted.normalized();
    without_revision(&mut members);
    Value::Object(members)
}

fn without_revision(members: &mut Map<String, Value>) {
    if let Some(marker) = members
        .get_mut("metadata")
        .and_then(|m| m.get_mut(GROUP))
        .and_then(Value::as_object_mut)
    {
        marker.remove("revision");
    }
}
