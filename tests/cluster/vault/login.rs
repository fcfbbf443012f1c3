//! Logins: every method, one login at a time, renewed and replaced automatically, and the message when a login fails.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::Scope;
use serde_json::{Value, json};
use testbed::bao::AccountRole;
use testbed::proxy::{Action, Answer, Fault};
use testbed::wait;

use super::stage::Stage;
use crate::bed::{Bed, LIMIT, Options, ServerOptions};
use crate::conditions::{Tone, server_says};
use crate::run::Side;

/// Issuer of the cluster's ServiceAccount tokens.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc";

pub fn trials(side: &Side) -> Vec<Trial> {
    let alone = Options {
        server: None,
        ..Options::default()
    };
    vec![
        side.shared(the_operator_logs_in_with_every_method),
        side.shared(the_operator_logs_in_with_a_certificate),
        side.shared(objects_are_created_in_the_vault_namespace),
        side.shared(a_revoked_token_is_replaced),
        side.shared(a_token_is_renewed_before_it_expires),
        side.shared(a_changed_secret_is_used_for_the_next_login),
        side.shared(a_refused_login_is_reported_with_its_cause),
        side.shared(only_the_prober_retries_a_failed_login),
        side.alone(alone, an_operator_revokes_its_token_when_it_stops),
    ]
}

/// Creates an AuthorizationServer with this login, and a scope on it.
async fn works(bed: &Bed, auth: Value, login: &str) -> Result<()> {
    let spec = json!({ "vault": { "auth": merged(auth) } });
    let options = ServerOptions { spec, ..quiet() };
    let stage = Stage::new(bed, options).await?;
    let server = bed.server_ready(&stage.server.name).await?;
    let status = server.status.context("a status")?;
    ensure!(status.login.as_deref() == Some(login), "{:?}", status.login);
    ensure!(
        status.flavour.as_deref() == Some("vault") && status.version.is_some(),
        "{status:?}"
    );
    stage.ready::<Scope>("proof", json!({})).await?;
    stage.object("scope", "proof").await.map(drop)
}

fn quiet() -> ServerOptions {
    ServerOptions {
        resync_interval: "1h".to_owned(),
        ..ServerOptions::default()
    }
}

/// Unsets the Kubernetes login that test servers have by default, if `auth` sets another one.
fn merged(mut auth: Value) -> Value {
    if auth.get("kubernetes").is_none() {
        auth["kubernetes"] = Value::Null;
    }
    auth
}

/// Creates a Secret in the operator's namespace.
async fn held(bed: &Bed, value: &str) -> Result<String> {
    bed.canary(value);
    bed.beside_operator(json!({ "value": format!("{value}\n") })).await
}

async fn the_operator_logs_in_with_every_method(bed: &Bed) -> Result<()> {
    let root = bed.bao().await?.root();
    let account = bed.installation().login_account();
    let service_account = json!({ "name": account, "audiences": ["vault"] });
    let kubernetes = json!({ "kubernetes": { "role": "oidc-operator", "serviceAccount": service_account } });
    works(bed, kubernetes, "Kubernetes role oidc-operator").await?;

    root.jwt_auth(ISSUER, &bed.plane().service_account_public_key()?)
        .await?;
    root.jwt_role(&bed.vault_role()).await?;
    let jwt = json!({ "jwt": { "role": "oidc-operator", "serviceAccount": service_account } });
    works(bed, jwt, "JWT role oidc-operator").await?;

    let (role_id, secret_id) = root.approle("oidc-operator", "oidc-operator").await?;
    let secret_ref = json!({ "name": held(bed, &secret_id).await?, "key": "value" });
    let app_role = json!({ "appRole": { "roleId": role_id, "secretRef": secret_ref } });
    works(bed, app_role, "AppRole").await?;

    let token = root.token("oidc-operator", "1h").await?;
    let secret_ref = json!({ "name": held(bed, &token).await?, "key": "value" });
    works(bed, json!({ "token": { "secretRef": secret_ref } }), "Token").await
}

async fn the_operator_logs_in_with_a_certificate(bed: &Bed) -> Result<()> {
    let bao = bed.bao().await?;
    let (certificate, key) = bao.pki().issue_client("oidc-operator", None)?;
    bao.root()
        .cert_auth("oidc-operator", &bao.ca_pem(), "oidc-operator")
        .await?;
    let secret = |name: &str, data: Value| json!({ "metadata": { "name": name }, "stringData": data });
    let secrets = bed.home().secrets();
    for (name, data) in [
        ("bao-identity", json!({ "tls.crt": certificate, "tls.key": key })),
        ("bao-ca", json!({ "ca.crt": bao.ca_pem() })),
    ] {
        let object: Secret = serde_json::from_value(secret(name, data))?;
        secrets.create(&PostParams::default(), &object).await?;
    }
    // Without a proxy, so that OpenBao itself receives the certificate.
    let spec = json!({
        "vault": { "address": bao.tls_address(), "auth": { "kubernetes": null, "certificate": { "name": "oidc-operator" } } },
        "tls": {
            "caRef": { "kind": "Secret", "name": "bao-ca", "key": "ca.crt" },
            "clientCertificateRef": { "name": "bao-identity" },
        },
    });
    let stage = Stage::new(bed, ServerOptions { spec, ..quiet() }).await?;
    let server = bed.server_ready(&stage.server.name).await?;
    let login = server.status.and_then(|status| status.login);
    ensure!(login.as_deref() == Some("Certificate role oidc-operator"), "{login:?}");
    stage.ready::<Scope>("proof", json!({})).await.map(drop)
}

async fn objects_are_created_in_the_vault_namespace(bed: &Bed) -> Result<()> {
    let bao = bed.bao().await?;
    if bao.call("LIST", "sys/namespaces", None).await?.1["errors"][0]
        .as_str()
        .is_some_and(|text| text.contains("unsupported"))
    {
        return Ok(()); // only the Enterprise edition of HashiCorp Vault has namespaces
    }
    let within = bao.root().namespace("team").await?.namespace("inner").await?;
    within
        .policy("oidc-operator", include_str!("../../../deploy/vault/policy.hcl"))
        .await?;
    let (role_id, secret_id) = within.approle("oidc-operator", "oidc-operator").await?;
    let secret_ref = json!({ "name": held(bed, &secret_id).await?, "key": "value" });
    let spec = json!({ "vault": { "namespace": "team/inner", "auth": {
        "kubernetes": null, "appRole": { "roleId": role_id, "secretRef": secret_ref },
    } } });
    let stage = Stage::new(bed, ServerOptions { spec, ..quiet() }).await?;
    stage.everything(super::stage::NOBODY).await?;
    let path = format!("identity/oidc/{}", stage.path("client", "app"));
    let object = within.must("GET", &path, None).await?;
    let (id, secret) = stage.space.credentials("app").await?;
    ensure!(object["data"]["client_id"] == id.as_str() && object["data"]["client_secret"] == secret.as_str());
    ensure!(
        bed.object(&stage.path("client", "app")).await?.is_none(),
        "it is in the root namespace too"
    );
    let issuer = stage
        .space
        .secret_data("app")
        .await?
        .remove("ISSUER")
        .unwrap_or_default();
    ensure!(issuer.contains("/v1/team/inner/identity/oidc/provider/"), "{issuer}");

    let message = "The Vault namespace in vault.namespace does not exist. Create it or correct the name.";
    let nowhere = json!({ "vault": { "namespace": "nowhere" } });
    let lost = bed
        .make_vault(
            &format!("{}-lost", stage.space.name()),
            ServerOptions {
                spec: nowhere,
                ..quiet()
            },
        )
        .await?;
    server_says(bed, &lost.name, Tone::Reconciling, "NamespaceNotFound", message).await?;
    stage.space.delete_namespace_and_wait().await
}

async fn a_revoked_token_is_replaced(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Scope>("before", json!({})).await?;
    let token = token_of(&stage)?;
    bed.bao()
        .await?
        .must("POST", "auth/token/revoke", Some(json!({ "token": token })))
        .await?;
    let mark = stage.server.admin.journal().mark();
    stage.ready::<Scope>("after", json!({})).await?;
    ensure!(logins(&stage, mark) == 1, "{} logins", logins(&stage, mark));
    ensure!(token_of(&stage)? != token);
    Ok(())
}

/// The token that was sent last.
fn token_of(stage: &Stage<'_>) -> Result<String> {
    let sent = stage.server.admin.journal().since(0);
    let mut tokens = sent
        .iter()
        .filter_map(|exchange| exchange.head.headers.get("x-vault-token"));
    let token = tokens.next_back().context("no token was sent")?;
    Ok(token.to_str()?.to_owned())
}

fn logins(stage: &Stage<'_>, mark: u64) -> usize {
    let since = stage.server.admin.journal().since(mark);
    since
        .iter()
        .filter(|exchange| exchange.head.path().ends_with("/login"))
        .count()
}

async fn a_token_is_renewed_before_it_expires(bed: &Bed) -> Result<()> {
    let role = AccountRole {
        name: "short",
        ttl: "6s",
        ..bed.vault_role()
    };
    bed.bao().await?.root().kubernetes_role(&role).await?;
    let spec = json!({ "vault": { "auth": { "kubernetes": { "role": "short" } } } });
    let stage = Stage::new(bed, ServerOptions { spec, ..quiet() }).await?;
    let renewals = || {
        let since = stage.server.admin.journal().since(0);
        since
            .iter()
            .filter(|exchange| exchange.head.path().ends_with("/renew-self"))
            .count()
    };
    wait::until("three renewals", LIMIT, async || Ok((renewals() >= 3).then_some(()))).await?;
    stage.ready::<Scope>("proof", json!({})).await?;
    ensure!(logins(&stage, 0) == 1, "{} logins", logins(&stage, 0));
    Ok(())
}

async fn a_changed_secret_is_used_for_the_next_login(bed: &Bed) -> Result<()> {
    let root = bed.bao().await?.root();
    let (role_id, secret_id) = root.approle("changing", "oidc-operator").await?;
    let name = held(bed, "not-a-secret-id").await?;
    let spec = json!({ "vault": { "auth": { "kubernetes": null, "appRole": {
        "roleId": role_id, "secretRef": { "name": name, "key": "value" },
    } } } });
    let server = bed
        .make_vault(&format!("vault-of-{name}"), ServerOptions { spec, ..quiet() })
        .await?;
    let message = "The operator cannot log in: there is no such role, or the secret id is not valid. Check vault.auth and the auth method on the server.";
    server_says(bed, &server.name, Tone::Reconciling, "LoginFailed", message).await?;
    bed.canary(&secret_id);
    bed.home().edit_secret(&name, json!({ "value": secret_id })).await?;
    bed.server_ready(&server.name).await?;
    Ok(())
}

async fn a_refused_login_is_reported_with_its_cause(bed: &Bed) -> Result<()> {
    let account = bed.installation().login_account();
    let kubernetes = |role: &str, name: &str, audience: &str| json!({ "kubernetes": { "role": role, "serviceAccount": { "name": name, "audiences": [audience] } } });
    let refused = "the login is refused; the auth method is not mounted at that path, or the role does not accept the ServiceAccount, its namespace or the audiences";
    let mut elsewhere = kubernetes("oidc-operator", account, "vault");
    elsewhere["kubernetes"]["path"] = json!("nowhere");
    let cases = [
        (
            kubernetes("nobody", account, "vault"),
            "there is no such role, or the secret id is not valid",
        ),
        (kubernetes("oidc-operator", account, "somebody-else"), refused),
        (elsewhere, refused),
        (
            kubernetes("oidc-operator", "default", "vault"),
            "the operator is not allowed to request tokens of the ServiceAccount; add it to vault.serviceAccounts of the chart",
        ),
    ];
    for (nth, (auth, problem)) in cases.into_iter().enumerate() {
        let spec = json!({ "vault": { "auth": auth } });
        let server = bed
            .make_vault(&format!("outside-{nth}"), ServerOptions { spec, ..quiet() })
            .await?;
        let message =
            format!("The operator cannot log in: {problem}. Check vault.auth and the auth method on the server.");
        server_says(bed, &server.name, Tone::Reconciling, "LoginFailed", &message).await?;
        bed.servers_api().delete(&server.name, &Default::default()).await?;
    }
    Ok(())
}

async fn only_the_prober_retries_a_failed_login(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let spec = stage.spec(json!({}));
    for nth in 0..20 {
        stage.space.make::<Scope>(&format!("scope-{nth}"), &spec).await?;
    }
    for nth in 0..20 {
        stage.space.until_ready::<Scope>(&format!("scope-{nth}")).await?;
    }
    // From now on every login fails.
    let is_login = |head: &testbed::proxy::RequestHead| head.path().ends_with("/login");
    let denied = Answer::json(403, &json!({ "errors": ["permission denied"] }));
    let fault = stage.server.admin.inject(Fault::new(is_login, Action::Answer(denied)));
    let token = token_of(&stage)?;
    bed.bao()
        .await?
        .must("POST", "auth/token/revoke", Some(json!({ "token": token })))
        .await?;
    let mark = stage.server.admin.journal().mark();
    for nth in 0..20 {
        stage
            .space
            .respecify::<Scope>(&format!("scope-{nth}"), json!({ "description": "changed" }))
            .await?;
    }
    bed.server_condition(&stage.server.name, "Ready", "False", "LoginFailed")
        .await?;
    let begun = std::time::Instant::now();
    wait::until("some more logins", LIMIT, async || {
        Ok((logins(&stage, mark) >= 3).then_some(()))
    })
    .await?;
    // Only the prober tries to log in, however many resources wait.
    let most = 6 + begun.elapsed().as_secs() as usize;
    ensure!(logins(&stage, mark) <= most, "{} logins", logins(&stage, mark));
    drop(fault);
    for nth in 0..20 {
        let changed = |scope: &Value| scope["description"] == "changed";
        bed.until_object(
            "its description",
            &stage.path("scope", &format!("scope-{nth}")),
            changed,
        )
        .await?;
    }
    Ok(())
}

async fn an_operator_revokes_its_token_when_it_stops(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Scope>("proof", json!({})).await?;
    let token = token_of(&stage)?;
    let operator = bed.operator();
    let ended = operator.terminate().await?;
    ensure!(ended.success(), "{ended}");
    let (status, answer) = bed
        .bao()
        .await?
        .call_as(&token, "GET", "auth/token/lookup-self", None)
        .await?;
    ensure!(status == 403, "the token is still valid: {status} {answer}");
    operator.start_again().await?;
    stage.ready::<Scope>("again", json!({})).await?;
    Ok(())
}
