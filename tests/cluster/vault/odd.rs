//! Values that the server may store in another form than they were sent: each is written once and then left alone.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use kube::CustomResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::condition::{READY, STALLED, is_true};
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, Namespaced, conditions};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(odd_values_are_written_once)]
}

/// Objects whose members are fields of their own.
const GROUPS: [&str; 5] = ["vault", "generate", "rotation", "credentials", "publish"];

/// Fields for the operator alone, fields that this server does not have, and fields without freedom.
const NOT_SENT: [(&str, &str); 5] = [
    (
        "OAuth2Client",
        "serverRef clientId clientIdFrom clientName postLogoutRedirectUris scopes scopeRefs audience contacts clientUri logoUri policyUri \
         tosUri jwks jwksUri sectorIdentifierUri tokenEndpointAuthSigningAlg requestObjectSigningAlg \
         userinfoSignedResponseAlg requestUris frontchannelLogoutUri frontchannelLogoutSessionRequired \
         backchannelLogoutUri backchannelLogoutSessionRequired allowedCorsOrigins refreshTokenTtl hydra \
         clientSecretRef onSecretMismatch credentials.preset credentials.type credentials.secretName credentials.keys credentials.data credentials.labels \
         credentials.annotations rotation.period rotation.overlap rotation.longestOverlap rotation.windows rotation.withoutOverlap suspend managementPolicy keySetRef",
    ),
    (
        "JsonWebKeySet",
        "serverRef import rotation.prePublish privateKey publish.configMapName publish.secretName adoption deletionPolicy \
         suspend managementPolicy",
    ),
    ("Scope", "serverRef adoption deletionPolicy suspend managementPolicy"),
    (
        "Assignment",
        "serverRef adoption deletionPolicy suspend managementPolicy",
    ),
    (
        "OidcProvider",
        "serverRef issuerRef foulkon allowedNamespaces publish.configMapName publish.labels publish.annotations \
         adoption deletionPolicy suspend managementPolicy",
    ),
];

/// What the values of a stage are made of.
struct Parts {
    namespace: String,
    /// Id of an entity, and the name of the entity, of its alias and of its group.
    entity: String,
    group: String,
    group_id: String,
    alias: String,
    address: String,
}

fn texts<const N: usize>(values: [&str; N]) -> Vec<Value> {
    values.map(Value::from).to_vec()
}

fn durations() -> Vec<Value> {
    texts([
        "0s",
        "90m",
        "5400s",
        "1h0m0s",
        "1.5h",
        "5400500ms",
        "1500ms",
        "1ms",
        "00001h",
        "1h1h",
    ])
}

/// Odd values of a field that is sent.
fn odd(kind: &str, field: &str, parts: &Parts) -> Option<Vec<Value>> {
    let named = |rest: &str| json!(format!("{}.{rest}", parts.namespace));
    let names = || vec![named("Odd-Name_1"), named("a.b--c"), named("_")];
    let upper = parts.entity.to_uppercase();
    Some(match (kind, field) {
        ("OAuth2Client", "redirectUris") => vec![
            json!(["https://b.example.com/", REDIRECT]),
            json!(["https://App.Example.COM:443/CB/", "HTTPS://app.example.com"]),
            json!([
                "https://app.example.com/cb?x=%c3%bc&y=a%2fb",
                "https://app.example.com/a,b|c",
                "https://app.example.com/<x>"
            ]),
            json!(["https://münchen.example/ü", "https://xn--mnchen-3ya.example/"]),
            json!(["com.example.app:/cb", "http://[::1]:8080/cb", "http://127.0.0.1:080"]),
            (0..300)
                .map(|number| json!(format!("https://t{number}.example.com/cb")))
                .collect(),
        ],
        ("OAuth2Client", "accessTokenTtl" | "idTokenTtl") => durations(),
        ("OAuth2Client", "clientType") => texts(["Confidential"]),
        ("OAuth2Client", "grantTypes") => vec![
            json!(["client_credentials", "authorization_code"]),
            json!(["client_credentials"]),
        ],
        ("OAuth2Client", "responseTypes") => vec![json!(["code"]), json!([])],
        ("OAuth2Client", "subjectType") => texts(["public"]),
        ("OAuth2Client", "tokenEndpointAuthMethod") => texts(["client_secret_post", "client_secret_basic"]),
        ("OAuth2Client", "assignmentRefs") => vec![json!([{ "name": "b" }, { "name": "a" }])],
        ("OAuth2Client", "providerRefs") => {
            vec![json!([{ "name": "main", "namespace": parts.namespace }, { "name": "main" }])]
        }
        ("OAuth2Client", "metadata") => vec![json!({})],
        ("OAuth2Client", "adoption") => texts(["Never"]),
        ("OAuth2Client", "deletionPolicy") => texts(["Orphan", "Delete"]),
        ("OAuth2Client" | "Assignment" | "OidcProvider", "vault.name") | ("JsonWebKeySet", "setName") => names(),
        ("Scope", "name") => [names(), vec![named("a:b")]].concat(),
        ("JsonWebKeySet", "generate.algorithm") => texts(["RS512", "ES384", "EdDSA"]),
        ("JsonWebKeySet", "generate.by") => texts(["Server"]),
        ("JsonWebKeySet", "rotation.period" | "rotation.overlap") => durations(),
        ("Scope", "description") => texts(["", " a ", "☂ é\u{2028}", "a\nb\t", "0", "null", "<&>\\u0041", "a,b"]),
        ("Scope", "template") => texts([
            "{}",
            " { } ",
            "{\"a\": 1.0, \"b\": 12345678901234567890, \"a\": 1e21}\n",
            "{\"ü\": \"<&>\u{2028}\", \"x\": [{}, [], null, \"\"]}",
            "{\"groups\": {{identity.entity.groups.names}}, \"n\": {{ identity.entity.name }} }",
            "e30=",
            "{\"a\": \"{{identity.entity.name}}\"}",
        ]),
        ("Assignment", "subjects") => vec![
            json!([upper, parts.entity]),
            json!([format!(" {} ", parts.entity), "ü", "0", "b", "A", "a,b", "%2f"]),
            json!([" ", "\u{a0}x\u{a0}"]),
            json!(["ẞ", "İ"]),
        ],
        ("Assignment", "groups") => vec![
            json!([{ "name": parts.group }]),
            json!([{ "name": parts.group.to_uppercase() }]),
        ],
        ("Assignment", "vault.entities") => vec![
            json!([{ "id": upper }, { "id": parts.entity }, { "alias": { "name": parts.alias, "mountPath": "userpass/" } }]),
            json!([{ "id": "not-an-id" }]),
        ],
        ("Assignment", "vault.groups") => vec![
            json!([{ "id": parts.group_id.to_uppercase() }, { "name": parts.group }]),
            json!([{ "id": "A.B" }]),
        ],
        ("OidcProvider", "issuer") => [
            parts.address.clone(),
            format!("{}/", parts.address),
            parts.address.to_uppercase(),
            parts.address.replace("127.0.0.1", "LocalHost"),
            "https://id.example.com:443".to_owned(),
            "https://münchen.example".to_owned(),
        ]
        .map(Value::from)
        .to_vec(),
        ("OidcProvider", "scopes") => vec![json!([named("b"), "openid", named("a")]), json!(["openid"])],
        ("OidcProvider", "scopeRefs") => vec![json!([{ "name": "b" }, { "name": "a" }])],
        ("OidcProvider", "allowedClients") => vec![
            json!([{ "clientId": "*" }, { "name": "app" }]),
            json!([{ "name": "app" }, { "clientId": "ABCabc" }, { "clientId": "abcABC" }]),
            json!([]),
        ],
        _ => return None,
    })
}

/// Fields of a kind's spec.
fn fields<K: CustomResourceExt>() -> Result<Vec<String>> {
    let crd = serde_json::to_value(K::crd())?;
    let properties = |schema: &Value| schema["properties"].as_object().cloned().context("no properties");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    for (name, field) in properties(spec)? {
        match GROUPS.contains(&name.as_str()) {
            true => found.extend(properties(&field)?.keys().map(|member| format!("{name}.{member}"))),
            false => found.push(name),
        }
    }
    Ok(found)
}

/// A spec in which a field of a group, or a field, has this value.
fn set(mut spec: Value, field: &str, value: Value) -> Value {
    match field.split_once('.') {
        Some((group, member)) => spec[group][member] = value,
        None => spec[field] = value,
    }
    spec
}

/// Whether a resource is ready, or refused for its value.
fn is_settled<K: Namespaced>(resource: &K) -> bool {
    const REFUSED: [&str; 5] = [
        "NotAllowed",
        "ReferenceNotFound",
        "ReferenceNotReady",
        "IssuerMismatch",
        "InvalidSpec",
    ];
    let all = conditions(resource);
    let is_refused = all.iter().any(|condition| REFUSED.contains(&condition.reason.as_str()));
    is_refused || is_true(&all, READY) || is_true(&all, STALLED)
}

/// Applies a resource for each odd value of each field, and waits until each is ready or refused.
async fn make<K: Namespaced + CustomResourceExt>(
    stage: &Stage<'_>,
    base: Value,
    parts: &Parts,
) -> Result<(usize, usize)> {
    let known = NOT_SENT.iter().find(|(kind, _)| *kind == K::KIND);
    let not_sent: BTreeSet<&str> = known.context("no such kind")?.1.split_whitespace().collect();
    let all = fields::<K>()?;
    let gone: Vec<_> = not_sent
        .iter()
        .filter(|field| !all.iter().any(|known| known == *field))
        .collect();
    ensure!(gone.is_empty(), "{} has no {gone:?}", K::KIND);
    let mut made: Vec<(String, String)> = Vec::new();
    for field in all.iter().filter(|field| !not_sent.contains(field.as_str())) {
        let values = odd(K::KIND, field, parts).with_context(|| format!("{field} of {} has no row", K::KIND))?;
        for value in values {
            let name = format!("odd-{}", made.len());
            let what = format!("{field} of a {} is {value:.200}", K::KIND);
            let mut base = base.clone();
            if field == "rotation.overlap" {
                base = set(base, "rotation.period", json!("2h"));
            }
            // The schema may refuse it, with a message of its own.
            let refused = stage.make::<K>(&name, set(base, field, value)).await.err();
            if refused.is_none() {
                made.push((name, what));
            }
        }
    }
    let settled = made.iter().map(|(name, what)| async move {
        let done = stage.space.until::<K>("it to be ready or refused", name, is_settled);
        let done = done.await.with_context(|| what.clone())?;
        Ok::<_, anyhow::Error>(is_true(&conditions(&done), READY))
    });
    let settled = join_all(settled).await;
    let (settled, failed): (Vec<_>, Vec<_>) = settled.into_iter().partition(Result::is_ok);
    ensure!(failed.is_empty(), "{failed:#?}");
    let ready = settled.into_iter().flatten().filter(|is_ready| *is_ready).count();
    Ok((ready, made.len()))
}

async fn odd_values_are_written_once(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    let root = bed.bao().await?.root();
    let alias = format!("{}-dora", space.name());
    let dora = root.userpass(&alias, "of-dora").await?;
    let group = format!("{}-Team", space.name());
    let parts = Parts {
        namespace: space.name().to_owned(),
        group_id: root.group(&group, &[&dora.entity_id]).await?,
        entity: dora.entity_id,
        group,
        alias,
        address: bed.bao().await?.address(),
    };
    for name in ["a", "b"] {
        stage.ready::<Scope>(name, json!({})).await?;
        stage.ready::<Assignment>(name, json!({ "subjects": [NOBODY] })).await?;
    }
    let client = json!({ "redirectUris": [REDIRECT] });
    stage.ready::<OAuth2Client>("app", client.clone()).await?;
    let provider = json!({ "allowedClients": [{ "name": "app" }] });
    stage.ready::<OidcProvider>("main", provider.clone()).await?;

    let key = json!({ "generate": { "algorithm": "ES256" } });
    let made = [
        make::<JsonWebKeySet>(&stage, key, &parts).await?,
        make::<Scope>(&stage, json!({}), &parts).await?,
        make::<Assignment>(&stage, json!({ "subjects": [NOBODY] }), &parts).await?,
        make::<OAuth2Client>(&stage, client, &parts).await?,
        make::<OidcProvider>(&stage, provider, &parts).await?,
    ];
    let (ready, all) = made
        .iter()
        .fold((0, 0), |sum, (ready, all)| (sum.0 + ready, sum.1 + all));
    ensure!(all > 80 && ready > 65, "{ready} of {all} are ready");
    // The lists of providers and keys follow their clients.
    stage.swept().await?;
    let mark = stage.server.admin.journal().mark();
    stage.swept().await?;
    let writes = stage.writes(mark);
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}
