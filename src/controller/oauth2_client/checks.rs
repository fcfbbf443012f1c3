//! What of a plan is refused, before anything is read or written.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::Plan;
use crate::access::{self, Denied, Grant};
use crate::admin::http::reply::{depth, size_in_go, values};
use crate::admin::hydra;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::{OAuth2ClientStatus, WithoutOverlap};
use crate::controller::Context;
use crate::controller::schedule::{Schedule, past};
use crate::error::{Error, Result};

pub(super) fn check_access(client: &OAuth2Client, ctx: &Context, plan: &Plan) -> Result<Grant, Denied> {
    ctx.with_namespace(&plan.namespace, |namespace| {
        access::check(&plan.server.spec.access, namespace, &client.spec, &plan.effective)
    })
}

/// What the server's version cannot do is refused: it would take the field without a word and drop it.
pub(super) fn check_fields(client: &OAuth2Client, plan: &Plan) -> Result<()> {
    let status = plan.server.status.clone().unwrap_or_default();
    let mut fields = hydra::mapping::unsupported(&client.spec, &status.capabilities);
    let of_others = [
        ("providerRefs", !client.spec.provider_refs.is_empty()),
        ("vault", client.spec.vault.is_some()),
    ];
    fields.extend(
        of_others
            .into_iter()
            .filter(|(_, asked)| *asked)
            .map(|(field, _)| field),
    );
    match status.version {
        _ if fields.is_empty() => Ok(()),
        None => Err(Error::ServerPending(plan.server.name_any())),
        Some(version) => Err(Error::UnsupportedFields {
            server: plan.server.name_any(),
            version,
            fields,
        }),
    }
}

/// A client must fit into a page of a listing together with all others, in the words of the server: one that does not would hide them from the sweep.
///
/// # Errors
/// [`Error::InvalidField`].
pub(super) fn check_size(body: &[u8]) -> Result<()> {
    // 500 of them, with some 1.3 KiB each that the server adds, are less than a page may have.
    const BYTES: usize = 64 << 10;
    const VALUES: usize = 900;
    const DEPTH: usize = 64;
    if size_in_go(body) <= BYTES && values(body) <= VALUES && depth(body) <= DEPTH {
        return Ok(());
    }
    let problem = "the client is larger than 64 KiB in the server's replies, where each of `<`, `>` and `&` takes six bytes, or has more than 900 values or 64 levels; shorten its lists or its metadata".to_owned();
    Err(Error::InvalidField { field: "spec", problem })
}

/// When the secret is to be replaced, if it is.
///
/// # Errors
/// [`Error::RotationWithoutOverlap`] unless the spec consents to what Hydra does.
pub(super) fn rotation(client: &OAuth2Client, plan: &Plan, status: &OAuth2ClientStatus) -> Result<Option<Timestamp>> {
    if !plan.effective.has_secret() || client.spec.client_secret_ref.is_some() {
        return Ok(None);
    }
    let schedule = schedule(plan, status);
    let next = since(client, status).and_then(|since| schedule.next(since, Duration::ZERO));
    let consent = client
        .spec
        .rotation
        .as_ref()
        .and_then(|rotation| rotation.without_overlap);
    match next {
        Some(_) if consent != Some(WithoutOverlap::Allow) => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
        next => Ok(next.filter(|at| *at < Timestamp::MAX)),
    }
}

/// Whether another secret is asked for too soon after the last.
pub(super) fn is_held_back(client: &OAuth2Client, plan: &Plan, status: &OAuth2ClientStatus) -> bool {
    let held = |since| schedule(plan, status).is_held_back(since, Timestamp::now());
    let is_ours = plan.effective.has_secret() && client.spec.client_secret_ref.is_none();
    is_ours && since(client, status).is_some_and(held)
}

/// A secret that is still others' was never replaced, so that the first time is not too soon.
fn schedule(plan: &Plan, status: &OAuth2ClientStatus) -> Schedule {
    let min = match status.adopted == Some(true) && status.secret_name.is_none() {
        true => Duration::ZERO,
        false => plan.schedule.min,
    };
    Schedule {
        min,
        ..plan.schedule.clone()
    }
}

/// Since when the secret is in use, as the status says.
pub(super) fn since(client: &OAuth2Client, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    let rotated_at = status.rotated_at.as_ref();
    let rotated_at = rotated_at.and_then(|at| past(at, Timestamp::now()));
    rotated_at.or_else(|| client.creation_timestamp().map(|at| at.0))
}
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the server adds, and 499 others as large, still fit into a page.
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
            (json!(vec![0; 900]).to_string(), true),
            (json!(vec![0; 901]).to_string(), false),
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
