//! Secrets that say something about the client of an earlier resource.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use super::adoption::lives;
use super::kept::Evidence;
use super::ledger;
use crate::api::{OAuth2Client, REVISION_ANNOTATION, UID_LABEL};
use crate::controller::common::client::layout::secret_name;
use crate::controller::common::client::plan::{ClientPlan, Keys, ledger_name};
use crate::controller::common::own_secret::{is_left_by, is_owned, text};
use crate::controller::engine::context::Context;
use crate::error::Result;
use crate::secret::Secret;

/// Maximum number of ids and of Secrets that are looked at for one resource.
pub(crate) const MOST: usize = 8;

/// A Secret that says something about a client. It has no `Debug`, because it holds a secret.
pub(crate) struct Trace {
    pub(crate) evidence: Evidence,
    /// The client secret.
    pub(crate) secret: Option<Secret>,
    /// The ledger itself.
    pub(crate) ledger: Option<KubeSecret>,
}

/// Reads the credentials Secret, and the ledgers of the resources with these UIDs.
pub(crate) async fn traces(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    mut uids: BTreeSet<String>,
) -> Result<Vec<Trace>> {
    let mut traces = Vec::new();
    let name = secret_name(client);
    if let Some(found) = ctx.cluster.secret(&plan.namespace, &name).await?
        && let Some(uid) = uid_of(&found, ctx, plan)
    {
        let keys = Keys::of(client);
        let value = |key: &str| text(&found, key);
        traces.extend(value(&keys.client_id).map(|client_id| Trace {
            evidence: Evidence {
                uid: uid.clone(),
                client_id,
                revision: found.annotations().get(REVISION_ANNOTATION).cloned(),
            },
            secret: value(&keys.client_secret).map(Secret::new),
            ledger: None,
        }));
        if uid != plan.uid {
            uids.insert(uid);
        }
    }
    for uid in uids.into_iter().take(MOST) {
        let found = ctx.cluster.secret(&plan.namespace, &ledger_name(&uid)).await?;
        let Some(found) = found.filter(|found| uid_of(found, ctx, plan).as_ref() == Some(&uid)) else {
            continue;
        };
        if let (Some(client_id), Some(secret)) = (text(&found, "client_id"), ledger::usable_secret(&found)) {
            traces.push(Trace {
                evidence: Evidence {
                    uid,
                    client_id,
                    revision: text(&found, "revision"),
                },
                secret: Some(secret),
                ledger: Some(found),
            });
        }
    }
    Ok(traces)
}

/// UID of the resource that one of our Secrets belongs to: this one, or the one in the label of a Secret without owner,
/// unless that is another resource, which may need its Secret again.
fn uid_of(secret: &KubeSecret, ctx: &Context, plan: &ClientPlan) -> Option<String> {
    if is_owned(secret, &plan.uid) {
        return Some(plan.uid.clone());
    }
    let label = secret.labels().get(UID_LABEL)?;
    let is_left = is_left_by(secret, label) && (*label == plan.uid || !lives(ctx, label));
    is_left.then(|| label.clone())
}
