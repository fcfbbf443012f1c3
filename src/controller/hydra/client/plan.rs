//! What a client on a Hydra should be, from spec and server; which fields this Hydra does not support; when the secret
//! is due.

use std::borrow::Cow;

use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker, old_mark};
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::api::{GROUP, OAuth2Client};
use crate::controller::common::admission::server_of;
use crate::controller::common::client::outcome::deletion_policy;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::refuse::refuse_by_version;
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::Context;
use crate::controller::hydra::client::{catalogue, rotation};
use crate::error::wording::shown;
use crate::error::{Error, Result};

/// Id of a client: the requested one, the one in the status that it keeps, or the UID. A wrong one in the status reaches
/// nothing: before each write, the client on the server must carry the mark of this resource. It is empty as long as an
/// id from a Secret is not known, and then the client is nowhere.
pub(crate) fn client_id(client: &OAuth2Client) -> String {
    id_with(client, client.status.as_ref())
}

/// Like [`client_id`], with the status of a pass.
pub(crate) fn id_with(client: &OAuth2Client, status: Option<&OAuth2ClientStatus>) -> String {
    let spec = &client.spec;
    let assigned = || status?.assigned_client_id.clone();
    let generated = || client.uid().filter(|_| spec.client_id_from.is_none());
    spec.client_id
        .clone()
        .or_else(assigned)
        .or_else(generated)
        .unwrap_or_default()
}

/// The resource with its id in the spec, wherever the id comes from.
pub(crate) fn named(client: &OAuth2Client) -> Cow<'_, OAuth2Client> {
    let id = client_id(client);
    if client.spec.client_id_from.is_none() || id.is_empty() {
        return Cow::Borrowed(client);
    }
    let mut named = client.clone();
    named.spec.client_id = Some(id);
    Cow::Owned(named)
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

/// The client that a server should have for this resource, without its revision. None while a reference is missing.
pub(crate) fn wanted(client: &OAuth2Client, ctx: &Context) -> Option<hydra::Client> {
    let (plan, catalogue) = plan(client, ctx).ok()?;
    let status = client.status.as_ref();
    let kept = status
        .map(|status| status.kept_grant_types.as_slice())
        .unwrap_or_default();
    plan.missing.is_none().then(|| {
        let mut wanted = desired(client, ctx, &plan, &catalogue);
        wanted.grant_types.extend_from_slice(kept);
        wanted
    })
}

/// Everything that follows from spec and server, and the data that the client carries for the login and consent app.
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
        schedule: Schedule::of(client, period),
        way: None,
        missing: referred.missing,
        endpoints: server.status.as_ref().and_then(|status| status.endpoints.clone()),
        server,
        client_id: client_id(client),
        namespace: client.namespace().unwrap_or_default(),
        uid: client.uid().unwrap_or_default(),
    };
    Ok((plan, referred.catalogue))
}

/// The client that the server should have, without its revision.
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
    // As the inputs of earlier versions have it: an upgrade must not cause a read of every client.
    let old_mark = || {
        wanted
            .marker()
            .map(|marker| old_mark(&marker.cluster))
            .unwrap_or_default()
    };
    members.insert("owner".to_owned(), wanted.owner.clone().unwrap_or_else(old_mark).into());
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

/// Refuses fields that the server's version does not support: the server would accept and silently drop them.
pub(crate) fn check_fields(client: &OAuth2Client, plan: &ClientPlan) -> Result<()> {
    let status = plan.server.status.clone().unwrap_or_default();
    let fields = hydra::mapping::unsupported(&client.spec, &status.capabilities);
    let of_others = [
        ("providerRefs", !client.spec.provider_refs.is_empty()),
        ("vault", client.spec.vault.is_some()),
    ];
    let of_others = of_others
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field);
    let fields = fields.into_iter().chain(of_others).map(Into::into).collect();
    refuse_by_version(&plan.server, fields)
}

/// Refuses values that the server stores, but that cannot work.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check_values(client: &OAuth2Client) -> Result<()> {
    let has_star = |uri: &String| {
        let host = uri
            .split_once("://")
            .map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        host.is_some_and(|host| host.contains('*'))
    };
    if client.spec.redirect_uris.iter().any(has_star) {
        return Err(Error::InvalidField {
            field: "redirectUris",
            problem:
                "a `*` in a host matches nothing, because the server compares redirect URIs exactly; list every URI"
                    .to_owned(),
        });
    }
    rotation::check(client)?;
    let mut origins = client.spec.allowed_cors_origins.iter();
    let problem = match origins.find_map(|origin| in_browsers(origin)) {
        None => return Ok(()),
        Some(Ok(sent)) => format!(
            "browsers name one of the origins `{}`; write it like that",
            shown(&sent)
        ),
        Some(Err(_)) => "one of the origins has a host name that does not exist; correct it".to_owned(),
    };
    Err(Error::InvalidField {
        field: "allowedCorsOrigins",
        problem,
    })
}

/// How browsers write an origin with characters beyond ASCII. None: it has none. The server stores such an origin in a
/// form that no browser sends.
fn in_browsers(origin: &str) -> Option<std::result::Result<String, url::ParseError>> {
    const ANY: [&str; 2] = ["://*.", "://any."];
    let url = (!origin.is_ascii()).then(|| url::Url::parse(&origin.replace(ANY[0], ANY[1])))?;
    Some(url.map(|url| url.origin().ascii_serialization().replace(ANY[1], ANY[0])))
}
