//! `clientIdFrom`: a client id from a Secret. It is stored in the status before the first write, so that from then on it
//! can be derived from the resource alone.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::{Adoption, SecretKeyRef};
use crate::api::{CLIENT_ID_KEY_ANNOTATION, OAuth2Client};
use crate::controller::common::client::outcome::Fate;
use crate::controller::common::client::plan::{ClientPlan, check_access};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::{hold, record};
use crate::controller::engine::managed::{Managed, Pass};
use crate::controller::hydra::client::cleanup;
use crate::controller::hydra::client::plan::{check_fields, client_id};
use crate::controller::hydra::client::reference::{Reference, look_at, value_at};
use crate::error::{Error, Result};

/// What is wrong with another id than that of the registered client.
const CHANGED: &str =
    "is not the id of the registered client, which cannot change (create a new OAuth2Client for another id)";

/// Finds the version of the Secret with the id, as for the Secret with the client secret.
pub(crate) async fn look(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Option<Reference>> {
    match &client.spec.client_id_from {
        Some(named) => look_at(ctx, plan, &named.name).await.map(Some),
        None => Ok(None),
    }
}

/// Learns the id from the Secret and stores it, if it is allowed. Returns the resource as it is known afterwards. None:
/// the id is known, and the Secret still has it.
///
/// # Errors
/// Why the id cannot be used, or cannot change any more.
pub(crate) async fn learn(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    pass: &mut Pass<OAuth2ClientStatus>,
    reference: &Reference,
) -> Result<Option<Arc<OAuth2Client>>> {
    let Some(source) = &client.spec.client_id_from else {
        return Ok(None);
    };
    let (secret, id) = value_at(ctx, plan, source, reference).await?;
    if id == plan.client_id {
        return Ok(None);
    }
    // A confirmed write used the former id.
    let is_registered = !plan.client_id.is_empty() && pass.status.updated_at.is_some();
    if is_registered {
        return Err(unusable(source, CHANGED));
    }
    check(client, source, &secret, &id)?;
    ctx.cluster.check_value(&secret, &source.key, &id).await?;
    let mut asking = client.clone();
    asking.spec.client_id = Some(id.clone());
    check_access(&asking, ctx, plan).map_err(|denied| Error::NotAllowed {
        server: plan.server.name_any(),
        denied,
    })?;
    check_fields(&asking, plan)?;
    let link = ctx.links.usable(&plan.server)?;
    hold(client, ctx).await?;
    // A write whose reply was lost may have registered the former id.
    if !plan.client_id.is_empty() && cleanup::remove_client(client, ctx, pass, &link).await? != Fate::Delete {
        return Err(unusable(source, CHANGED));
    }
    pass.status.assigned_client_id = Some(id.clone());
    record(client, ctx, pass).await?;
    let latest = OAuth2Client::kind_of(ctx).newest(Arc::new(client.clone()));
    match client_id(&latest) == id {
        true => Ok(Some(latest)),
        false => Err(Error::Overtaken), // deleted, or changed by another writer
    }
}

/// Checks that a value may become a client id.
fn check(client: &OAuth2Client, source: &SecretKeyRef, secret: &KubeSecret, id: &str) -> Result<()> {
    // Whoever may create clients need not be allowed to read Secrets, but everybody can read a client id.
    if secret.annotations().get(CLIENT_ID_KEY_ANNOTATION) != Some(&source.key) {
        return Err(Error::UnusableSource {
            field: "clientIdFrom",
            problem: "the Secret does not say that this key holds a client id, which is public; set the annotation oidc-operator.dev/client-id-key of the Secret to the key",
        });
    }
    let may_be_uuid = client.spec.adoption == Some(Adoption::Allow);
    match problem(id, may_be_uuid) {
        Some(problem) => Err(unusable(source, problem)),
        None => Ok(()),
    }
}

fn unusable(source: &SecretKeyRef, problem: &'static str) -> Error {
    Error::UnusableSecret {
        secret: source.name.clone(),
        key: source.key.clone(),
        problem,
    }
}

/// Why a value cannot be a client id, by the rules of `clientId` in the schema. None: it can.
pub(crate) fn problem(id: &str, may_be_uuid: bool) -> Option<&'static str> {
    const LONGEST: usize = 255;
    if id.is_empty() || id.len() > LONGEST {
        Some("is not a client id, which has 1 to 255 characters")
    } else if id.trim() != id {
        Some("begins or ends with white space, often an accidental line break")
    } else if !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Some("has characters that a client id cannot have")
    } else if id.split('/').any(|part| part == "." || part == "..") {
        Some("has `.` or `..` between slashes, and proxies change such URLs")
    } else if !may_be_uuid && is_uuid(id) {
        Some("looks like a UUID, as ids of clients without clientId do")
    } else {
        None
    }
}

/// Whether an id looks like the one of a client without `clientId`.
pub(crate) fn is_uuid(id: &str) -> bool {
    let groups: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn an_id_from_a_secret_obeys_the_rules_of_client_id() {
        const UUID: &str = "0a1b2c3d-0000-4000-8000-0123456789aB";
        let (longest, longer) = ("x".repeat(255), "x".repeat(256));
        let table = [
            ("shop-web", false, true),
            ("https://shop.example.com/id?a=b c", false, true),
            ("a/.b/..c", false, true),
            (&longest, false, true),
            (&longer, false, false),
            ("", false, false),
            ("shop\n", false, false),
            (" shop", false, false),
            ("münchen", false, false),
            ("a\u{7f}b", false, false),
            ("a/../b", false, false),
            (".", false, false),
            ("..", false, false),
            (UUID, false, false),
            (UUID, true, true),
            ("0a1b2c3d-0000-4000-8000-0123456789a", false, true),
            ("0a1b2c3d-0000-4000-8000-0123456789ag", false, true),
        ];
        for (id, may_be_uuid, expected) in table {
            assert_eq!(problem(id, may_be_uuid).is_none(), expected, "{id}");
        }
    }
}
