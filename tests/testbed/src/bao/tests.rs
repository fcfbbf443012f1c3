//! A real server does what the operator's tests need.

use anyhow::Context;
use reqwest::{Certificate, Client, Identity};

use super::*;

const POLICY: &str = r#"path "identity/oidc/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
const KEY_PATH: &str = "identity/oidc/key/kept";
const REDIRECT_URI: &str = "https://app.example.com/callback?x=1";

#[tokio::test]
async fn data_outlives_seal_kill_and_stop() -> Result<()> {
    let mut bao = Bao::start().await?;
    bao.must("POST", KEY_PATH, Some(json!({}))).await?;
    bao.seal().await?;
    let (status, body) = bao.call("GET", KEY_PATH, None).await?;
    assert_eq!((status, body), (503, json!({ "errors": ["Vault is sealed"] })));
    bao.unseal().await?;
    bao.unseal().await?;
    bao.must("GET", KEY_PATH, None).await?;
    bao.kill();
    assert!(bao.call("GET", KEY_PATH, None).await.is_err());
    bao.start_again().await?;
    bao.must("GET", KEY_PATH, None).await?;
    bao.stop().await;
    bao.start_again().await?;
    bao.must("GET", KEY_PATH, None).await?;
    Ok(())
}

#[tokio::test]
async fn users_and_programs_can_log_in() -> Result<()> {
    let bao = Bao::start().await?;
    let root = bao.root();
    root.policy("operator", POLICY).await?;
    root.must("POST", KEY_PATH, Some(json!({ "allowed_client_ids": ["*"] })))
        .await?;
    an_approle_and_a_token_have_their_policy(&bao).await?;
    a_certificate_logs_in(&bao).await?;
    // Vault reports whether it is the edition with namespaces. OpenBao always has them and reports nothing.
    if root.must("GET", "sys/health", None).await?["enterprise"] != false {
        namespaces_are_apart(&root).await?;
    }
    sign_ins_are_decided(&root, &bao.address()).await
}

async fn an_approle_and_a_token_have_their_policy(bao: &Bao) -> Result<()> {
    let root = bao.root();
    let (first, _) = root.approle("operator", "operator").await?;
    let (role_id, secret_id) = root.approle("operator", "operator").await?;
    assert_eq!(first, role_id);
    let credentials = json!({ "role_id": role_id, "secret_id": secret_id });
    let login = bao.call_as("", "POST", "auth/approle/login", Some(credentials)).await?;
    let tokens = [
        api::text(&login.1, "/auth/client_token")?,
        root.token("operator", "1h").await?,
    ];
    for token in tokens {
        assert_eq!(bao.call_as(&token, "GET", KEY_PATH, None).await?.0, 200);
        let refused = root.as_token(&token).must("GET", "sys/auth", None).await;
        let error = refused.expect_err("the policy does not allow it").to_string();
        assert!(
            error.contains("answered 403") && error.contains("permission denied"),
            "{error}"
        );
    }
    Ok(())
}

async fn a_certificate_logs_in(bao: &Bao) -> Result<()> {
    bao.root().cert_auth("operator", &bao.ca_pem(), "operator").await?;
    let (certificate, key) = bao.pki().issue_client("operator", None)?;
    let client = |identity: Option<Identity>| {
        let roots = Certificate::from_pem_bundle(bao.ca_pem().as_bytes())?;
        let builder = Client::builder().no_proxy().tls_certs_only(roots);
        match identity {
            Some(identity) => builder.identity(identity).build(),
            None => builder.build(),
        }
    };
    let url = format!("{}/v1/auth/cert/login", bao.tls_address());
    let identity = Identity::from_pem((certificate + &key).as_bytes())?;
    let answer = client(Some(identity))?.post(&url).send().await?;
    assert_eq!(answer.status(), 200);
    let answer = client(None)?.post(&url).send().await?;
    assert_eq!(answer.status(), 400);
    Ok(())
}

async fn namespaces_are_apart(root: &Api) -> Result<()> {
    let team = root.namespace("team").await?;
    root.namespace("team").await?;
    let (status, body) = team.call("GET", KEY_PATH, None).await?;
    assert_eq!((status, body), (404, json!({ "errors": [] })));
    team.must("GET", "identity/oidc/key/default", None).await?;
    Ok(())
}

async fn sign_ins_are_decided(root: &Api, address: &str) -> Result<()> {
    let user = root.userpass("alice", "a password").await?;
    assert_eq!(root.userpass("alice", "a password").await?.entity_id, user.entity_id);
    let group = root.group("developers", &[&user.entity_id]).await?;
    assert_eq!(root.group("developers", &[&user.entity_id]).await?, group);
    let template = json!({ "template": r#"{"groups": {{identity.entity.groups.names}}}"# });
    root.must("POST", "identity/oidc/scope/groups", Some(template)).await?;
    let members = json!({ "group_ids": [group] });
    root.must("POST", "identity/oidc/assignment/members", Some(members))
        .await?;
    root.must("POST", "identity/oidc/assignment/nobody", Some(json!({})))
        .await?;
    let provider = json!({ "allowed_client_ids": ["*"], "scopes_supported": ["groups"] });
    root.must("POST", "identity/oidc/provider/shop", Some(provider)).await?;
    let issuer = format!("{address}/v1/identity/oidc/provider/shop");

    for (name, kind, assignment) in [
        ("web", "confidential", "members"),
        ("phone", "public", "members"),
        ("closed", "confidential", "nobody"),
    ] {
        let path = format!("identity/oidc/client/{name}");
        let client = json!({
            "key": "kept",
            "client_type": kind,
            "assignments": [assignment],
            "redirect_uris": [REDIRECT_URI],
        });
        root.must("POST", &path, Some(client)).await?;
        let client = root.must("GET", &path, None).await?;
        let client_id = api::text(&client, "/data/client_id")?;
        let wanted = SignIn {
            issuer: &issuer,
            ca_pem: None,
            client_id: &client_id,
            client_secret: client["data"]["client_secret"].as_str(),
            redirect_uri: REDIRECT_URI,
            scope: "openid groups",
            user_token: &user.token,
        };
        let outcome = sign_in(&wanted).await.with_context(|| format!("client {name}"))?;
        if assignment == "nobody" {
            let refused = outcome.expect_err("no user is assigned");
            assert_eq!(
                (refused.step, refused.status, refused.error.as_str()),
                (Step::Authorize, 400, "access_denied")
            );
        } else {
            let signed_in = outcome?;
            assert_eq!(signed_in.userinfo["sub"], json!(user.entity_id));
            assert_eq!(signed_in.userinfo["groups"], json!(["developers"]));
        }
    }
    Ok(())
}
