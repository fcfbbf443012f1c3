//! The demo of trust: Foulkon admits a user who signs in at OpenBao, because a manifest says so.

use anyhow::{Context, Result, ensure};

use super::{Demo, hydra, say, vault};
use crate::foulkon::Foulkon;
use crate::install::{self, Installation};

/// The sample with which a user signs in, and its redirect URI.
pub(super) const APPLICATION: &str = "wiki";
const REDIRECT_URI: &str = "https://wiki.example.com/callback";
/// Addresses of OpenBao and Foulkon in the samples.
const SAMPLE_ADDRESS: &str = "https://openbao.openbao:8200";
const SAMPLE_WORKER_URL: &str = "https://foulkon-worker.foulkon:8000";
/// The Secret of the samples with the login at Foulkon.
const LOGIN: &str = "foulkon-admin";
/// The path at Foulkon that the user requests.
const DOOR: &str = "/api/v1/admin/auth/oidc/providers";

/// Commands that show something in the demo's cluster.
const LOOK_AROUND: &str = "
kubectl get oidc -A -o wide
kubectl describe oidcp trust-openbao -n demo
kubectl explain oidcp.spec.issuerRef
curl -s -u \"$FOULKON_ADMIN\" \"$FOULKON_URL/api/v1/admin/auth/oidc/providers/demo--trust-openbao\"
# a deleted client is removed from the provider, and the worker must be restarted again:
kubectl delete oac wiki -n demo
curl -s -u \"$FOULKON_ADMIN\" \"$FOULKON_URL/api/v1/admin/auth/oidc/providers/demo--trust-openbao\"
kubectl describe authserver foulkon
";

/// Gives the operator access to OpenBao and to Foulkon.
pub(super) async fn set_up(demo: &Demo, installation: &Installation) -> Result<()> {
    vault::set_up(demo, installation).await?;
    say(&format!("the login at Foulkon: Secret {LOGIN} beside the operator"));
    let (user, password) = foulkon(demo)?.admin();
    let login = [
        format!("--from-literal=username={user}"),
        format!("--from-literal=password={password}"),
    ];
    let namespace = ["--namespace", install::NAMESPACE];
    let create = ["create", "secret", "generic", LOGIN, &login[0], &login[1]];
    demo.kubectl(&[&create[..], &namespace].concat()).await.map(drop)
}

/// The samples with the addresses of the servers that run here.
pub(super) fn with_real_addresses(demo: &Demo, samples: &str) -> Result<String> {
    let samples = hydra::with_real_addresses(demo, samples)?;
    Ok(samples
        .replace(SAMPLE_ADDRESS, &vault::bao(demo)?.address())
        .replace(SAMPLE_WORKER_URL, foulkon(demo)?.address()))
}

/// Signs a user in at OpenBao, and calls Foulkon with the ID token before and after the worker is restarted. Returns
/// commands to look around.
pub(super) async fn show_trust(demo: &mut Demo) -> Result<String> {
    let issuer = [
        "get",
        "oidcp",
        "openbao",
        "--namespace",
        super::NAMESPACE,
        "--output=jsonpath={.status.issuer}",
    ];
    let issuer = demo.kubectl(&issuer).await?;
    let (id_token, subject) = vault::id_token(demo, &issuer, REDIRECT_URI, "openid").await?;
    println!("{:#}", vault::claims(&id_token)?);
    foulkon(demo)?.allow(&subject)?;
    ensure!(knock(demo, &id_token).await? == 401, "Foulkon trusts an unknown issuer");
    let conditions = "--output=jsonpath={.status.conditions[?(@.type==\"RestartRequired\")].message}{\"\\n\"}";
    demo.show_kubectl(&["get", "authserver", "foulkon", conditions]).await?;
    say("the worker is restarted");
    let foulkon = demo.servers.foulkon.as_mut().context("Foulkon was not started")?;
    foulkon.restart().await?;
    ensure!(knock(demo, &id_token).await? == 200, "Foulkon does not trust the token");
    Ok(LOOK_AROUND.to_owned())
}

/// Sends a request with a token to Foulkon, and prints the status.
async fn knock(demo: &Demo, id_token: &str) -> Result<u16> {
    let authorization = format!("Bearer {id_token}");
    let (status, _) = foulkon(demo)?.call_as(Some(&authorization), "GET", DOOR, None).await?;
    println!("GET {DOOR} of Foulkon with the ID token: {status}");
    Ok(status)
}

fn foulkon(demo: &Demo) -> Result<&Foulkon> {
    demo.servers.foulkon.as_ref().context("Foulkon was not started")
}
