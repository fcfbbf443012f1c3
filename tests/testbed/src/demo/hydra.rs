//! The demo with Ory Hydra: a machine gets a token with the credentials from its Secret.

use anyhow::{Context, Result, ensure};

use super::{Demo, say};
use crate::hydra::Hydra;
use crate::{http, oauth};

/// The sample whose credentials are used.
pub(super) const APPLICATION: &str = "machine";
/// A scope that it may request.
const SCOPE: &str = "read";
/// Addresses of Hydra in the samples.
const SAMPLE_ADMIN_URL: &str = "http://hydra-admin.hydra:4445";
const SAMPLE_PUBLIC_URL: &str = "http://hydra-public.hydra:4444";

/// Commands that show something in the demo's cluster.
const LOOK_AROUND: &str = "
kubectl get oidc -A -o wide
kubectl describe oac web-app -n demo
kubectl explain oac.spec
kubectl get secret everything-oidc -n demo -o jsonpath='{.data}'
curl -s \"$HYDRA_ADMIN_URL/admin/clients\"
# compare every 2 seconds, delete a client behind the operator's back, and see it come back:
kubectl patch authserver default --type merge -p '{\"spec\":{\"resyncInterval\":\"2s\"}}'
curl -s -X DELETE \"$HYDRA_ADMIN_URL/admin/clients/$(kubectl get oac machine -n demo -o jsonpath='{.status.clientId}')\"
kubectl get events -n demo
# the deletion of a resource deletes its client and its Secret:
kubectl delete oac machine -n demo
";

/// The samples with the addresses of the server that runs here.
pub(super) fn with_real_addresses(demo: &Demo, samples: &str) -> Result<String> {
    let hydra = hydra(demo)?;
    Ok(samples
        .replace(SAMPLE_ADMIN_URL, &hydra.admin_url())
        .replace(SAMPLE_PUBLIC_URL, &hydra.public_url()))
}

/// Gets a token and has Hydra confirm it. Returns commands to look around.
pub(super) async fn show_token(demo: &Demo) -> Result<String> {
    let hydra = hydra(demo)?;
    let [id, client_secret] = demo.credentials(["CLIENT_ID", "CLIENT_SECRET"]).await?;
    say(&format!(
        "a token with the credentials of Secret {APPLICATION}, grant client_credentials, scope {SCOPE}"
    ));
    let token = oauth::client_credentials(&hydra.public_url(), &id, &client_secret, SCOPE).await?;
    println!("issued: {token:?}");
    let introspection = http::client()
        .post(format!("{}/admin/oauth2/introspect", hydra.admin_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", token.access_token));
    let answer = introspection.send().await?.error_for_status()?.text().await?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    ensure!(answer["active"] == true, "Hydra does not know its own token: {answer}");
    println!(
        "introspected: active={} client_id={} scope={}",
        answer["active"], answer["client_id"], answer["scope"]
    );
    Ok(LOOK_AROUND.to_owned())
}

fn hydra(demo: &Demo) -> Result<&Hydra> {
    demo.servers.hydra2.as_ref().context("Hydra was not started")
}
