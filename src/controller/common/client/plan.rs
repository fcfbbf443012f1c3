//! Everything that follows from the spec of an OAuth2Client and its server before anything is read or written, and
//! checks that are the same on every server.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Map, Value};

use crate::access::{self, Denied, Grant};
use crate::admin::http::reply::{depth, size_in_go, values};
use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::{Effective, GrantType, OAuth2ClientStatus, PLAIN, Preset};
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client};
use crate::controller::common::schedule::{Schedule, past};
use crate::controller::engine::context::{Context, OwnSecret};
use crate::error::{Error, Result};

/// Everything that follows from spec and server, before anything is read or written.
pub(crate) struct ClientPlan {
    pub(crate) server: Arc<AuthorizationServer>,
    pub(crate) effective: Effective,
    /// The JsonWebKeySet that the spec refers to.
    pub(crate) key_set: Option<Arc<JsonWebKeySet>>,
    /// The endpoints that applications use.
    pub(crate) endpoints: Option<Endpoints>,
    /// When the secret is replaced.
    pub(crate) schedule: Schedule,
    /// How the secret is replaced. None: not at all, because the spec does not consent.
    pub(crate) way: Option<Way>,
    /// The error for a reference that cannot be used (yet).
    pub(crate) missing: Option<Error>,
    pub(crate) client_id: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
}

/// How a secret is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The server makes a new secret and keeps the former one valid.
    Overlap,
    /// A new secret ends the former one at once.
    Replacement,
}

impl ClientPlan {
    pub(crate) fn own_secret(&self, ctx: &Context, name: &str) -> Option<OwnSecret> {
        ctx.own_secret(&self.namespace, &self.uid, name)
    }

    /// The public keys that the client authenticates with.
    pub(crate) fn keys(&self) -> &[Map<String, Value>] {
        let status = self.key_set.as_ref().and_then(|set| set.status.as_ref());
        status.map(|status| status.keys.as_slice()).unwrap_or_default()
    }
}

/// The keys in the credentials Secret for id, secret and former secret.
pub(crate) struct Keys {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) former_client_secret: Option<String>,
}

impl Keys {
    pub(crate) fn of(client: &OAuth2Client) -> Self {
        let credentials = client.spec.credentials.as_ref();
        let preset = credentials.and_then(|credentials| credentials.preset);
        let preset = preset.map_or(PLAIN, Preset::layout);
        let keys = credentials
            .and_then(|credentials| credentials.keys.clone())
            .unwrap_or_default();
        Keys {
            client_id: keys.client_id.unwrap_or_else(|| preset.client_id.to_owned()),
            client_secret: keys.client_secret.unwrap_or_else(|| preset.client_secret.to_owned()),
            former_client_secret: keys.former_client_secret,
        }
    }
}

/// Name of the ledger of the client with this UID. It is used on servers that do not show secrets.
pub(crate) fn ledger_name(uid: &str) -> String {
    format!("oac-{uid}")
}

pub(crate) fn check_access(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Grant, Denied> {
    let status = client.status.as_ref();
    let kept = status
        .map(|status| status.kept_grant_types.as_slice())
        .unwrap_or_default();
    check_access_with(client, ctx, plan, kept)
}

/// Like [`check_access`], for a client that keeps these grant types besides those of the spec.
pub(crate) fn check_access_with(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    kept: &[String],
) -> Result<Grant, Denied> {
    let mut effective = plan.effective.clone();
    effective
        .grant_types
        .extend(kept.iter().filter_map(|name| grant_type(name)));
    ctx.with_namespace(&plan.namespace, |namespace| {
        access::check(&plan.server.spec.access, namespace, &client.spec, &effective)
    })
}

/// The grant type of a name. None: no spec can list it.
pub(crate) fn grant_type(name: &str) -> Option<GrantType> {
    serde_json::from_value(name.into()).ok()
}

/// Checks the size of a client as the server will send it. It must fit into a page of a listing together with all
/// others, because a page that is too large would hide them from the sweep.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check_size(body: &[u8]) -> Result<()> {
    // 500 such clients, with about 1.3 KiB each that the server adds, are less than the limit of a page.
    const BYTES: usize = 64 << 10;
    const VALUES: usize = 5_000;
    const DEPTH: usize = 64;
    if size_in_go(body) <= BYTES && values(body) <= VALUES && depth(body) <= DEPTH {
        return Ok(());
    }
    let problem = "the client is larger than 64 KiB in the server's replies, where each of `<`, `>` and `&` takes six bytes, or has more than 5000 values or 64 levels; shorten its lists or its metadata".to_owned();
    Err(Error::InvalidField { field: "spec", problem })
}

/// When the secret came into use: at the last rotation in the status, or when the resource was created.
pub(crate) fn since(client: &OAuth2Client, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    let rotated_at = status.rotated_at.as_ref();
    let rotated_at = rotated_at.and_then(|at| past(at, Timestamp::now()));
    rotated_at.or_else(|| client.creation_timestamp().map(|at| at.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A client of the maximum size, with what the server adds and 499 others like it, still fits into a page.
    #[test]
    fn a_client_is_measured_as_the_server_will_send_it() {
        let text = |part: &str, times: usize| json!({ "metadata": { "a": part.repeat(times) } }).to_string();
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let table = [
            (text("a", 65_000), true),
            (text("a", 65_536), false),
            (text("<", 10_000), true),
            (text("<", 11_000), false),
            (text(">", 11_000), false),
            (text("&", 11_000), false),
            (text("\u{2028}", 11_000), false),
            (text("\u{2029}", 11_000), false),
            (text("\u{8}", 11_000), false),
            (text("\u{c}", 11_000), false),
            (text("\u{1}", 11_000), false),
            (text("\u{2027}", 11_000), true),
            (text("\\", 32_000), true),
            (text("\\b", 16_000), true),
            (
                json!({ "redirect_uris": vec!["https://a.example/?a=1&b=2"; 800] }).to_string(),
                true,
            ),
            (json!(vec![0; 5_000]).to_string(), true),
            (json!(vec![0; 5_001]).to_string(), false),
            (nested(64), true),
            (nested(65), false),
        ];
        for (body, fits) in table {
            assert_eq!(
                check_size(body.as_bytes()).is_ok(),
                fits,
                "{}",
                &body[..body.len().min(60)]
            );
        }
    }
}
