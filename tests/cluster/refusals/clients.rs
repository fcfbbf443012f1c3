//! What the schema of OAuth2Client refuses, with the exact messages.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::bed::Bed;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(invalid_clients_are_refused_with_exact_messages),
        side.shared(invalid_secret_layouts_are_refused_with_exact_messages),
        side.shared(too_long_lists_are_refused),
        side.shared(changes_of_immutable_client_fields_are_refused_with_advice),
        side.shared(a_client_named_like_a_ledger_is_refused),
    ]
}

/// A spec, and the message that refuses it.
const SPECS: &[(&str, &str)] = &[
    (
        "{}",
        "spec.redirectUris: Invalid value: redirectUris: the grant types authorization_code (the default) and implicit need at least one; for a machine client set grantTypes: [client_credentials]",
    ),
    (
        "redirectUris: [not-a-uri]",
        r#"spec.redirectUris[0]: Invalid value: "not-a-uri": not an absolute URI; start it with a scheme, such as https://app.example.com/callback, and use no spaces or backslashes"#,
    ),
    (
        "redirectUris: ['https://app.example.com/cb#top']",
        "spec.redirectUris: Invalid value: redirectUris: a redirect URI must not have a fragment (#…)",
    ),
    (
        "redirectUris: ['JavaScript:alert(1)']",
        "spec.redirectUris: Invalid value: redirectUris: the schemes javascript, data, vbscript, about, blob and file are not allowed; use another scheme",
    ),
    (
        "redirectUris: ['data:text/html,x']",
        "spec.redirectUris: Invalid value: redirectUris: the schemes javascript, data, vbscript, about, blob and file are not allowed; use another scheme",
    ),
    (
        "{ redirectUris: [], grantTypes: [authorization_code] }",
        "spec.redirectUris: Invalid value: redirectUris: the grant types authorization_code (the default) and implicit need at least one; for a machine client set grantTypes: [client_credentials]",
    ),
    (
        "grantTypes: [client_credentials, implicit]",
        "spec.redirectUris: Invalid value: redirectUris: the grant types authorization_code (the default) and implicit need at least one; for a machine client set grantTypes: [client_credentials]",
    ),
    (
        "grantTypes: [password]",
        r#"spec.grantTypes[0]: Unsupported value: "password": supported values: "authorization_code", "refresh_token", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code""#,
    ),
    (
        "grantTypes: []",
        "spec.grantTypes: Invalid value: 0: spec.grantTypes in body should have at least 1 items",
    ),
    (
        "{ grantTypes: [client_credentials], responseTypes: [id] }",
        r#"spec.responseTypes[0]: Unsupported value: "id": supported values: "code", "token", "id_token", "code id_token", "code token", "id_token token", "code id_token token""#,
    ),
    (
        "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: client_secret_jwt }",
        r#"spec.tokenEndpointAuthMethod: Unsupported value: "client_secret_jwt": supported values: "client_secret_basic", "client_secret_post", "private_key_jwt", "none""#,
    ),
    (
        "{ grantTypes: [client_credentials], redirectUri: https://x.example.com }",
        "failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.redirectUri: field not declared in schema",
    ),
    (
        "{ grantTypes: [client_credentials], credentials: { name: x } }",
        "failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.credentials.name: field not declared in schema",
    ),
    (
        "{ grantTypes: [client_credentials], jwks: { keys: [{ kty: RSA, kid: a, n: AQ, e: AQAB }] }, jwksUri: https://app.example.com/jwks }",
        "spec.jwks: Invalid value: jwks: set jwks or jwksUri, not both",
    ),
    (
        "{ grantTypes: [client_credentials], jwks: { keys: [{ kty: RSA, kid: a, n: AQ, e: AQAB }] }, keySetRef: { name: keys } }",
        "spec.keySetRef: Invalid value: keySetRef: set only one of keySetRef, jwks and jwksUri",
    ),
    (
        "{ grantTypes: [client_credentials], jwksUri: https://app.example.com/jwks, keySetRef: { name: keys } }",
        "spec.keySetRef: Invalid value: keySetRef: set only one of keySetRef, jwks and jwksUri",
    ),
    (
        "{ grantTypes: [client_credentials], jwks: { keys: [{ kty: RSA, kid: a, n: AQ, e: AQAB, d: AQ }] } }",
        r#"failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.jwks.keys[kid="a"].d: field not declared in schema"#,
    ),
    (
        "{ grantTypes: [client_credentials], jwks: { keys: [{ kty: oct, kid: a, k: AQ }] } }",
        r#"failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.jwks.keys[kid="a"].k: field not declared in schema"#,
    ),
    (
        "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt }",
        "spec.tokenEndpointAuthMethod: Invalid value: tokenEndpointAuthMethod: private_key_jwt needs jwks, jwksUri or keySetRef",
    ),
    (
        "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: none }",
        "spec.tokenEndpointAuthMethod: Invalid value: tokenEndpointAuthMethod: none needs clientType: Public, and Public allows no other method; change one of the two",
    ),
    (
        "{ clientType: Public, redirectUris: [https://spa.example.com/], tokenEndpointAuthMethod: client_secret_post }",
        "spec.tokenEndpointAuthMethod: Invalid value: tokenEndpointAuthMethod: none needs clientType: Public, and Public allows no other method; change one of the two",
    ),
    (
        "{ clientType: Public, redirectUris: [https://spa.example.com/], clientSecretRef: { name: own, key: password } }",
        "spec.clientSecretRef: Invalid value: clientSecretRef: a public client has no secret; leave it out or set clientType: Confidential",
    ),
    (
        "{ clientType: Public, grantTypes: [client_credentials] }",
        "spec.grantTypes: Invalid value: grantTypes: a public client cannot use client_credentials, because it cannot authenticate; leave it out or set clientType: Confidential",
    ),
    (
        "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, jwksUri: https://app.example.com/jwks, clientSecretRef: { name: own, key: password } }",
        "spec.clientSecretRef: Invalid value: clientSecretRef: a client with private_key_jwt has no secret; leave it out",
    ),
    (
        "{ clientType: Public, redirectUris: [https://spa.example.com/], tokenEndpointAuthMethod: private_key_jwt }",
        "spec.tokenEndpointAuthMethod: Invalid value: tokenEndpointAuthMethod: none needs clientType: Public, and Public allows no other method; change one of the two",
    ),
    (
        "{ grantTypes: [client_credentials], clientSecretRef: { name: app, key: password } }",
        "spec.clientSecretRef: Invalid value: clientSecretRef: names the credentials Secret that the operator writes; keep your own secret in another Secret",
    ),
    (
        "{ grantTypes: [client_credentials], credentials: { secretName: login }, clientSecretRef: { name: login, key: password } }",
        "spec.clientSecretRef: Invalid value: clientSecretRef: names the credentials Secret that the operator writes; keep your own secret in another Secret",
    ),
    (
        "{ grantTypes: [client_credentials], clientSecretRef: { name: ../../kube-system/secrets/token, key: token } }",
        r#"spec.clientSecretRef.name: Invalid value: "../../kube-system/secrets/token": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "{ grantTypes: [client_credentials], clientSecretRef: { name: 'own?watch=true', key: token } }",
        r#"spec.clientSecretRef.name: Invalid value: "own?watch=true": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "{ grantTypes: [client_credentials], serverRef: { name: a/b } }",
        r#"spec.serverRef.name: Invalid value: "a/b": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "{ grantTypes: [client_credentials], clientId: 0A1b2C3d-0000-4000-8000-00000000abcd }",
        "spec.clientId: Invalid value: clientId: must not look like a UUID, because clients without clientId get UUIDs as ids; choose another id, or set adoption: Allow to adopt an existing client",
    ),
    (
        "{ grantTypes: [client_credentials], clientId: team/../app }",
        r#"spec.clientId: Invalid value: "team/../app": clientId: must not have `.` or `..` between slashes, because proxies change such URLs"#,
    ),
    (
        "{ grantTypes: [client_credentials], clientId: tëam }",
        r#"spec.clientId: Invalid value: "tëam": use only printable ASCII characters, and no space at the start or end"#,
    ),
    (
        "{ grantTypes: [client_credentials], metadata: { oidc-operator.dev: { uid: forged } } }",
        "spec.metadata: Invalid value: metadata: the key oidc-operator.dev is reserved for the operator; remove it",
    ),
    (
        "{ grantTypes: [client_credentials], scopes: ['read write'] }",
        r#"spec.scopes[0]: Invalid value: "read write": not one scope; list each scope as an item of its own, without spaces, quotation marks, backslashes and characters beyond ASCII"#,
    ),
    (
        "{ grantTypes: [client_credentials], scopes: [read, read] }",
        r#"failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.scopes: duplicate entries for key [="read"]"#,
    ),
    (
        "{ grantTypes: [client_credentials], accessTokenTtl: 1d }",
        r#"spec.accessTokenTtl: Invalid value: "1d": not a duration; write a number and a unit of ms, s, m or h, such as 90m; 90 days are 2160h"#,
    ),
    (
        "{ grantTypes: [client_credentials], allowedCorsOrigins: ['https://app.example.com/path'] }",
        r#"spec.allowedCorsOrigins[0]: Invalid value: "https://app.example.com/path": write scheme, host and port only, such as https://app.example.com:8443, without user name, path, query or fragment"#,
    ),
    (
        "{ grantTypes: [client_credentials], sectorIdentifierUri: http://app.example.com/sector }",
        r#"spec.sectorIdentifierUri: Invalid value: "http://app.example.com/sector": not a URL as needed here; start it with https://, and use no spaces"#,
    ),
    (
        "{ grantTypes: [client_credentials], clientUri: ftp://app.example.com }",
        r#"spec.clientUri: Invalid value: "ftp://app.example.com": not a URL as needed here; start it with https:// or http://, and use no spaces or backslashes"#,
    ),
    (
        "{ grantTypes: [client_credentials], hydra: { tokenLifespans: { clientCredentialsGrantAccessToken: soon } } }",
        r#"spec.hydra.tokenLifespans.clientCredentialsGrantAccessToken: Invalid value: "soon": not a duration; write a number and a unit of ms, s, m or h, such as 90m; 90 days are 2160h"#,
    ),
    (
        "{ grantTypes: [client_credentials], deletionPolicy: Keep }",
        r#"spec.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Orphan""#,
    ),
    (
        "{ grantTypes: [client_credentials], suspend: 'yes' }",
        "failed to create typed patch object (/app; oidc-operator.dev/v1alpha1, Kind=OAuth2Client): .spec.suspend: expected boolean, got &{yes}",
    ),
];

/// A layout under `credentials`, and the message that refuses it.
const LAYOUTS: &[(&str, &str)] = &[
    (
        "{ secretName: oac-01234567-89ab }",
        r#"spec.credentials.secretName: Invalid value: "oac-01234567-89ab": credentials.secretName: names that start like oac-01234567- are reserved for the operator's ledgers; choose another name"#,
    ),
    (
        "{ secretName: Login }",
        r#"spec.credentials.secretName: Invalid value: "Login": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "{ secretName: ../login }",
        r#"spec.credentials.secretName: Invalid value: "../login": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "{ keys: { clientId: ID, clientSecret: ID } }",
        "spec.credentials.keys: Invalid value: credentials.keys: clientId and clientSecret must be different keys",
    ),
    (
        "{ keys: { clientId: CLIENT_SECRET } }",
        "spec.credentials.keys: Invalid value: credentials.keys: clientId and clientSecret must be different keys",
    ),
    (
        "{ keys: { clientId: a/b } }",
        r#"spec.credentials.keys.clientId: Invalid value: "a/b": not a key of a Secret or ConfigMap; use only letters, digits, dashes, underscores and dots"#,
    ),
    (
        "{ data: { CLIENT_ID: x } }",
        "spec.credentials.data: Invalid value: credentials.data: keys must consist of letters, digits, dots, dashes and underscores, and must differ from those of the client id and secret",
    ),
    (
        "{ keys: { clientSecret: secret }, data: { secret: x } }",
        "spec.credentials.data: Invalid value: credentials.data: keys must consist of letters, digits, dots, dashes and underscores, and must differ from those of the client id and secret",
    ),
    (
        "{ data: { 'a b': x } }",
        "spec.credentials.data: Invalid value: credentials.data: keys must consist of letters, digits, dots, dashes and underscores, and must differ from those of the client id and secret",
    ),
    (
        "{ data: { config: 'url=$(tokenUrl)' } }",
        "spec.credentials.data: Invalid value: credentials.data: `$(` must start a variable; the variables are $(clientId), $(clientSecret), $(basicCredentials), $(scope), $(audience), $(keyId), $(privateKey), $(privateKeyJwk), $(issuer), $(discoveryUrl), $(authorizationEndpoint), $(deviceAuthorizationEndpoint), $(tokenEndpoint), $(userinfoEndpoint), $(jwksUri), $(revocationEndpoint) and $(endSessionEndpoint), and an encoding may follow: $(clientSecret|url), |base64 or |json",
    ),
    (
        "{ data: { config: '$(' } }",
        "spec.credentials.data: Invalid value: credentials.data: `$(` must start a variable; the variables are $(clientId), $(clientSecret), $(basicCredentials), $(scope), $(audience), $(keyId), $(privateKey), $(privateKeyJwk), $(issuer), $(discoveryUrl), $(authorizationEndpoint), $(deviceAuthorizationEndpoint), $(tokenEndpoint), $(userinfoEndpoint), $(jwksUri), $(revocationEndpoint) and $(endSessionEndpoint), and an encoding may follow: $(clientSecret|url), |base64 or |json",
    ),
    (
        "{ labels: { oidc-operator.dev/uid: x } }",
        "spec.credentials: Invalid value: credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them",
    ),
    (
        "{ labels: { kubernetes.io/metadata.name: x } }",
        "spec.credentials: Invalid value: credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them",
    ),
    (
        "{ annotations: { oidc-operator.dev/revision: x } }",
        "spec.credentials: Invalid value: credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them",
    ),
    (
        "{ annotations: { app.kubernetes.io/name: x } }",
        "spec.credentials: Invalid value: credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them",
    ),
];

async fn invalid_clients_are_refused_with_exact_messages(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let mut wrong = Vec::new();
    for (spec, expected) in SPECS {
        let said = space.client_refusal("app", spec).await?;
        compare(&mut wrong, spec, &said, expected);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(
        space.clients().get_opt("app").await?.is_none(),
        "an invalid client was stored"
    );
    Ok(())
}

async fn invalid_secret_layouts_are_refused_with_exact_messages(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let mut wrong = Vec::new();
    for (layout, expected) in LAYOUTS {
        let spec = format!("{{ grantTypes: [client_credentials], credentials: {layout} }}");
        let said = space.client_refusal("app", &spec).await?;
        compare(&mut wrong, layout, &said, expected);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn too_long_lists_are_refused(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let uris = |path: &str, count: usize| -> String {
        let uris: Vec<String> = (0..count)
            .map(|n| format!("https://app.example.com/{path}{n}"))
            .collect();
        uris.join(",")
    };
    let words = |count: usize| (0..count).map(|n| format!("w{n}")).collect::<Vec<_>>().join(",");
    let lists = [
        ("redirectUris", uris("cb", 1001), 1000),
        ("postLogoutRedirectUris", uris("out", 1001), 1000),
        ("requestUris", uris("request", 65), 64),
        ("scopes", words(129), 128),
        ("audience", words(1001), 1000),
        ("contacts", words(33), 32),
    ];
    for (field, list, most) in lists {
        let spec = format!("{{ grantTypes: [client_credentials], {field}: [{list}] }}");
        let said = space.client_refusal("app", &spec).await?;
        let expected = format!("spec.{field}: Too many: {}: must have at most {most} items", most + 1);
        ensure!(said.contains(&expected), "{said}");
    }
    let long = "x".repeat(2048);
    let said = space
        .client_refusal("app", &format!("redirectUris: ['https://app.example.com/{long}']"))
        .await?;
    ensure!(
        said.contains("spec.redirectUris[0]: Too long: may not be more than 2048 bytes"),
        "{said}"
    );
    Ok(())
}

async fn changes_of_immutable_client_fields_are_refused_with_advice(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let chosen = format!("{}.app", space.name());
    let bare = "{ grantTypes: [client_credentials] }".to_owned();
    let server = |name: &str| format!("{{ grantTypes: [client_credentials], serverRef: {{ name: {name} }} }}");
    let id = |id: &str| format!("{{ grantTypes: [client_credentials], clientId: {id} }}");
    let way_out = |field: &str, wanted: &str| {
        format!(
            "spec.{field}: Invalid value: {field} is immutable: {wanted}, and set deletionPolicy: Orphan on this one if its client should stay"
        )
    };
    let of_server = way_out("serverRef", "create a new OAuth2Client for the other server");
    let of_id = way_out("clientId", "create a new OAuth2Client with the other id");
    let cases = [
        ("other-server", server("default"), server("other"), &of_server),
        ("set-server", bare.clone(), server("other"), &of_server),
        ("other-id", id(&format!("{chosen}.1")), id(&chosen), &of_id),
        ("set-id", bare.clone(), id(&chosen), &of_id),
        ("unset-id", id(&format!("{chosen}.2")), bare.clone(), &of_id),
    ];
    for (name, before, after, expected) in cases {
        space.ready_client(name, &before).await?;
        let said = space.client_refusal(name, &after).await?;
        // The value in the message is the whole object.
        let said = without_value(&said);
        ensure!(
            said.ends_with(expected.as_str()),
            "{name}: {said}\ninstead of\n{expected}"
        );
        space.wait_ready(name).await?;
    }
    Ok(())
}

async fn a_client_named_like_a_ledger_is_refused(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = "oac-01234567-89ab-4000-8000-000000000000";
    let said = space.client_refusal(name, "grantTypes: [client_credentials]").await?;
    let expected = "metadata.name: names that start like oac-01234567- are reserved for the operator's ledgers; choose another name";
    ensure!(said.ends_with(expected), "{said}");
    space
        .ready_client("oac-app", "grantTypes: [client_credentials]")
        .await?;
    Ok(())
}

fn compare(wrong: &mut Vec<String>, given: &str, said: &str, expected: &str) {
    let said = bare(said);
    if said != expected {
        wrong.push(format!("GIVEN {given}\nSAID  {said}"));
    }
}

/// A refusal without the name of the object, and without the note that further rules could not be checked.
pub(super) fn bare(said: &str) -> &str {
    let said = said.split_once("\" is invalid: ").map_or(said, |(_, said)| said);
    let first = said
        .strip_prefix('[')
        .and_then(|said| said.split_once(", <nil>: Invalid value: null: some validation rules"));
    first.map_or(said, |(first, _)| first)
}

/// `Invalid value: {…}: message` without the value.
fn without_value(said: &str) -> String {
    match (said.find("Invalid value: "), said.rfind("}: ")) {
        (Some(start), Some(end)) if start < end => format!("{}Invalid value: {}", &said[..start], &said[end + 3..]),
        _ => said.to_owned(),
    }
}
