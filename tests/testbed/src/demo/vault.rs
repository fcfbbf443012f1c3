//! The demo with OpenBao in the role of a HashiCorp Vault: it is set up as the documentation says, and a user signs in to an
//! application.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{Demo, NAMESPACE, output, say};
use crate::bao::{Bao, SignIn, sign_in};
use crate::install::{self, Installation};
use crate::programs::Program;

/// The sample whose credentials are used, and its redirect URI.
pub(super) const APPLICATION: &str = "shop";
const REDIRECT_URI: &str = "https://shop.example.com/callback";
/// Address of the server in the samples.
const SAMPLE_ADDRESS: &str = "https://vault.vault:8200";
/// The policy that is shipped with the operator.
const POLICY: &str = "deploy/vault/policy.hcl";
/// The ServiceAccount with which the server sends token reviews to the kube-apiserver.
const REVIEWER: &str = "vault-reviewer";
/// The user who signs in, and the group that the samples admit.
const USER: &str = "alice";
const PASSWORD: &str = "of-alice";
const GROUP: &str = "staff";
/// Prefixes of variables for the user's own servers.
const PREFIXES: [&str; 2] = ["BAO_", "VAULT_"];

/// Commands that show something in the demo's cluster.
const LOOK_AROUND: &str = "
kubectl get oidc -A -o wide
kubectl describe oac shop -n demo
kubectl explain oidcp.spec
kubectl get configmap main -n demo -o yaml
bao list identity/oidc/client
bao read identity/oidc/key/demo.signing
bao read identity/oidc/provider/demo.main
# compare every 2 seconds, take all clients off a provider behind the operator's back, and see them come back:
kubectl patch authserver default --type merge -p '{\"spec\":{\"resyncInterval\":\"2s\"}}'
bao write identity/oidc/provider/demo.main allowed_client_ids=
sleep 5; bao read identity/oidc/provider/demo.main
kubectl get events -n demo
# a scope that is still referenced is not deleted, and its status names the reason:
kubectl delete oidcscope groups -n demo --wait=false
kubectl get oidcscope groups -n demo -o wide
# the deletion of a resource deletes its client and its Secret:
kubectl delete oac web-app -n demo
";

/// Gives the operator access, and creates a user in a group, as an administrator would.
pub(super) async fn set_up(demo: &Demo, installation: &Installation) -> Result<()> {
    say("setting OpenBao up: the operator's policy, and Kubernetes auth with a role for the operator");
    let plane = &demo.servers.control_plane;
    let reviewer = reviewer(demo).await?;
    let config = [
        format!("kubernetes_host={}", plane.url()),
        format!("kubernetes_ca_cert=@{}", file(demo, "ca.pem", &plane.ca_pem())?),
        format!("token_reviewer_jwt=@{}", file(demo, "reviewer-token", &reviewer)?),
    ];
    let role = [
        format!("bound_service_account_names={}", installation.login_account()),
        format!("bound_service_account_namespaces={}", install::NAMESPACE),
        "audience=vault token_policies=oidc-operator token_ttl=1h".to_owned(),
    ];
    for command in [
        format!("policy write oidc-operator {POLICY}"),
        "auth enable kubernetes".to_owned(),
        format!("write auth/kubernetes/config {}", config.join(" ")),
        format!("write auth/kubernetes/role/oidc-operator {}", role.join(" ")),
    ] {
        run(demo, &command).await?;
    }
    say(&format!("a user, {USER}, and a group that the user is in, {GROUP}"));
    let root = bao(demo)?.root();
    let user = root.userpass(USER, PASSWORD).await?;
    root.group(GROUP, &[&user.entity_id]).await?;
    Ok(())
}

/// A token that may send token reviews.
async fn reviewer(demo: &Demo) -> Result<String> {
    let namespace = install::NAMESPACE;
    demo.kubectl(&["create", "serviceaccount", REVIEWER, "--namespace", namespace])
        .await?;
    let account = format!("--serviceaccount={namespace}:{REVIEWER}");
    let role = "--clusterrole=system:auth-delegator";
    demo.kubectl(&["create", "clusterrolebinding", REVIEWER, role, &account])
        .await?;
    let plane = &demo.servers.control_plane;
    plane.service_account_token(namespace, REVIEWER).await
}

/// Writes a file and returns its path.
fn file(demo: &Demo, name: &str, content: &str) -> Result<String> {
    let path = demo.run.write(name, content)?;
    path.into_os_string()
        .into_string()
        .ok()
        .context("a path that is no text")
}

/// Runs a command of the server's program as administrator, from the folder of the repository.
async fn run(demo: &Demo, command: &str) -> Result<()> {
    let program = Program::Bao.path().await?;
    let name = name(&program);
    println!("{name} {command}");
    let arguments: Vec<&str> = command.split(' ').collect();
    let mut process = tokio::process::Command::new(&program);
    for (variable, _) in std::env::vars_os() {
        if PREFIXES
            .iter()
            .any(|prefix| variable.to_string_lossy().starts_with(prefix))
        {
            process.env_remove(variable);
        }
    }
    process
        .args(&arguments)
        .envs(demo.servers.environment()?)
        .current_dir(install::repository())
        .kill_on_drop(true);
    output(process, &name, &arguments).await.map(drop)
}

/// Name of the server's program: `bao`, or `vault` if the user has chosen that.
fn name(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The samples with the address of the server that runs here.
pub(super) fn with_real_addresses(demo: &Demo, samples: &str) -> Result<String> {
    Ok(samples.replace(SAMPLE_ADDRESS, &bao(demo)?.address()))
}

/// Signs the user in and shows the claims of the ID token. Returns commands to look around.
pub(super) async fn show_sign_in(demo: &Demo) -> Result<String> {
    let [issuer] = demo.credentials(["ISSUER"]).await?;
    let scope = format!("openid {NAMESPACE}.groups");
    let (id_token, subject) = id_token(demo, &issuer, REDIRECT_URI, &scope).await?;
    let claims = claims(&id_token)?;
    println!("{claims:#}");
    ensure!(claims["iss"] == issuer && claims["sub"] == subject && claims["groups"] == json!([GROUP]));
    let program: PathBuf = Program::Bao.path().await?;
    Ok(LOOK_AROUND.replace("bao ", &format!("{} ", name(&program))))
}

/// Signs the user in with the credentials in the application's Secret. Returns the ID token and its subject.
pub(super) async fn id_token(demo: &Demo, issuer: &str, redirect_uri: &str, scope: &str) -> Result<(String, String)> {
    let application = demo.story.application();
    say(&format!(
        "{USER} signs in with what Secret {application} holds, scope {scope}; the ID token says:"
    ));
    let user = bao(demo)?.root().userpass(USER, PASSWORD).await?;
    let [client_id, client_secret] = demo.credentials(["CLIENT_ID", "CLIENT_SECRET"]).await?;
    let wanted = SignIn {
        issuer,
        ca_pem: None,
        client_id: &client_id,
        client_secret: Some(&client_secret),
        redirect_uri,
        scope,
        user_token: &user.token,
    };
    Ok((sign_in(&wanted).await??.id_token, user.entity_id))
}

/// The claims of a token. It came directly from the token endpoint; a real application also verifies the signature.
pub(super) fn claims(token: &str) -> Result<Value> {
    let payload = token.split('.').nth(1).context("an ID token that is no JWT")?;
    // Kubernetes' byte strings are read as base64, but the token has base64url.
    let mut encoded = payload.replace('-', "+").replace('_', "/");
    while encoded.len() % 4 != 0 {
        encoded.push('=');
    }
    let decoded: ByteString = serde_json::from_value(encoded.into())?;
    Ok(serde_json::from_slice(&decoded.0)?)
}

pub(super) fn bao(demo: &Demo) -> Result<&Bao> {
    demo.servers.bao.as_ref().context("OpenBao was not started")
}
