//! Which tokens may be sent to a server as a login, and which of them the Kubernetes API would accept.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use oidc_operator::api::condition::Reason;
use oidc_operator::error::{Class, Error, LoginFault, Untold};
use oidc_operator::login::{Accepted, Told, Unsafe, judge_account, judge_token, judge_type, tokens_in};
use serde_json::{Value, json};

/// The API's name for the operator.
const OPERATOR: &str = "system:serviceaccount:oidc-system:oidc-operator";
/// Audiences that the API accepts.
const API: [&str; 2] = ["https://kubernetes.default.svc", "https://api.example.com"];

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().copied().map(str::to_owned).collect()
}

/// A token with these claims and a fake signature.
fn jwt(claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = r#"{"alg":"RS256","kid":"k"}"#;
    format!("{}.{}.{}", part(header), part(&claims.to_string()), part("signature"))
}

/// The verdict on a value.
fn judged(value: &str, operator: &str) -> Result<(), Unsafe> {
    let accepted = texts(&API);
    let told = Told {
        operator,
        accepted: &accepted,
    };
    tokens_in(value)?
        .iter()
        .try_for_each(|claims| judge_token(claims, &told))
}

/// The claims of a bound token of a ServiceAccount.
fn account(name: &str, audiences: Value) -> Value {
    json!({
        "aud": audiences, "exp": 1, "iat": 1, "iss": "https://kubernetes.default.svc", "jti": "j",
        "kubernetes.io": { "namespace": "oidc-system", "serviceaccount": { "name": name, "uid": "u" } },
        "nbf": 1, "sub": format!("system:serviceaccount:oidc-system:{name}"),
    })
}

#[test]
fn the_operators_own_service_account_and_the_apis_audiences_are_refused_for_a_login() {
    let cases: [(&str, &str, &[&str], _); 8] = [
        ("oidc-system", "oidc-operator-login", &["vault"], Ok(())),
        ("oidc-system", "oidc-operator", &["vault"], Err(Unsafe::OwnAccount)),
        ("oidc-system", "oidc-operator", &[API[0]], Err(Unsafe::OwnAccount)),
        ("elsewhere", "oidc-operator", &["vault"], Ok(())),
        (
            "oidc-system",
            "oidc-operator-login",
            &[API[0]],
            Err(Unsafe::ApiAudience),
        ),
        // One accepted audience among others is enough, and every audience that the API accepts counts.
        ("oidc-system", "vault", &["vault", API[1]], Err(Unsafe::ApiAudience)),
        // Audiences are compared as the API compares them.
        ("oidc-system", "vault", &["https://kubernetes.default.svc/"], Ok(())),
        ("oidc-system", "vault", &["HTTPS://kubernetes.default.svc"], Ok(())),
    ];
    for (namespace, name, audiences, expected) in cases {
        let accepted = texts(&API);
        let told = Told {
            operator: OPERATOR,
            accepted: &accepted,
        };
        let found = judge_account(namespace, name, &texts(audiences), &told);
        assert_eq!(found, expected, "{namespace}/{name} for {audiences:?}");
    }
}

#[test]
fn a_token_that_the_api_accepts_is_recognized_by_its_claims() {
    let legacy = json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:team-a:robot",
        "kubernetes.io/serviceaccount/namespace": "team-a", "kubernetes.io/serviceaccount/secret.name": "robot-token",
    });
    let without_audience = account("robot", Value::Null);
    let cases = [
        (account("robot", json!(["vault"])), Ok(())),
        (account("robot", json!("vault")), Ok(())),
        (account("robot", json!([API[0]])), Err(Unsafe::ApiAudience)),
        (account("robot", json!(API[1])), Err(Unsafe::ApiAudience)),
        (account("robot", json!(["vault", API[0]])), Err(Unsafe::ApiAudience)),
        (account("oidc-operator", json!(["vault"])), Err(Unsafe::OwnAccount)),
        (account("oidc-operator", json!([API[0]])), Err(Unsafe::OwnAccount)),
        (legacy, Err(Unsafe::AnyAudience)),
        (without_audience, Err(Unsafe::AnyAudience)),
        (account("robot", json!([])), Err(Unsafe::AnyAudience)),
        (account("robot", json!({ "vault": true })), Err(Unsafe::AnyAudience)),
        (account("robot", json!([7, null])), Err(Unsafe::AnyAudience)),
        (json!({ "iss": "kubernetes/serviceaccount" }), Err(Unsafe::AnyAudience)),
        (json!({ "sub": "system:serviceaccount:a:b" }), Err(Unsafe::AnyAudience)),
        (json!({ "kubernetes.io": null, "sub": "x" }), Ok(())),
        (json!({ "kubernetes.io": {}, "sub": "x" }), Err(Unsafe::AnyAudience)),
        // The issuer does not matter: the API may trust other issuers too.
        (
            json!({ "iss": "https://id.example.com", "sub": "alice", "aud": API[0] }),
            Err(Unsafe::ApiAudience),
        ),
        (
            json!({ "iss": "https://id.example.com", "sub": "alice", "aud": "foulkon" }),
            Ok(()),
        ),
        (json!({ "iss": "https://id.example.com", "sub": "alice" }), Ok(())),
        (
            json!({ "iss": 7, "sub": ["system:serviceaccount:a:b"], "aud": 7 }),
            Err(Unsafe::AnyAudience),
        ),
    ];
    for (claims, expected) in cases {
        assert_eq!(judged(&jwt(&claims), OPERATOR), expected, "{claims}");
    }
}

#[test]
fn an_operator_without_a_service_account_has_no_own_token_to_refuse() {
    let claims = json!({ "iss": "https://id.example.com", "sub": "alice", "aud": "foulkon" });
    assert_eq!(judged(&jwt(&claims), "alice"), Ok(()));
    assert_eq!(
        judge_account(
            "a",
            "alice",
            &texts(&["vault"]),
            &Told {
                operator: "alice",
                accepted: &[]
            }
        ),
        Ok(())
    );
}

#[test]
fn a_token_is_found_anywhere_in_a_value() {
    let token = jwt(&account("robot", json!([API[0]])));
    let halves = token.split_at(token.len() / 2);
    let padded = {
        let mut parts = token.split('.').map(str::to_owned).collect::<Vec<_>>();
        parts[1] = URL_SAFE.encode(account("robot", json!([API[0]])).to_string());
        parts.join(".")
    };
    let unsigned = format!("{}.", token.rsplit_once('.').expect("three parts").0);
    let values = [
        token.clone(),
        format!("Bearer {token}"),
        format!("{token}\n"),
        format!("{}\n  {}", halves.0, halves.1),
        format!(r#"{{"users":[{{"user":{{"token":"{token}"}}}}]}}"#),
        format!("first.second.third {token}"),
        format!("https://x.example.com/?token={token}&y=z"),
        padded,
        unsigned,
    ];
    for value in values {
        assert_eq!(judged(&value, OPERATOR), Err(Unsafe::ApiAudience), "{value}");
    }
}

#[test]
fn a_value_without_a_token_needs_no_check() {
    let payload = URL_SAFE_NO_PAD.encode(account("robot", json!([API[0]])).to_string());
    let values = [
        String::new(),
        ".".to_owned(),
        "...".to_owned(),
        "s.CAESIJ7".to_owned(),
        "hvs.CAESIJ7.root".to_owned(),
        "a password with spaces. And full stops. And more.".to_owned(),
        format!("a.{payload}"),
        format!("a.{}.c", URL_SAFE_NO_PAD.encode("[1,2]")),
        format!("a.{}.c", URL_SAFE_NO_PAD.encode([0xff, 0xfe, b'{'])),
        format!("a.{}.c", URL_SAFE_NO_PAD.encode(r#"{"aud":"#)),
        format!(
            "a.{}.c",
            URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":{}"#, "[".repeat(40_000)))
        ),
        format!("a.{}.c", "x".repeat(1 << 20)),
        "ü.ä.ö".to_owned(),
        ".".repeat(1 << 20),
    ];
    for value in values {
        let found = tokens_in(&value).expect("nothing too large");
        assert!(found.is_empty(), "{}", value.chars().take(80).collect::<String>());
    }
}

#[test]
fn an_oversized_payload_is_refused_unread() {
    let claims = json!({ "aud": API[0], "pad": "x".repeat(1 << 20) });
    assert_eq!(judged(&jwt(&claims), OPERATOR), Err(Unsafe::TooLarge));
    let spaced = format!(
        "a.{}.c",
        URL_SAFE_NO_PAD.encode(format!("\n{}{{}}", " ".repeat(1 << 20)))
    );
    assert_eq!(judged(&spaced, OPERATOR), Err(Unsafe::TooLarge));
    // A token with as many audiences as a real one can have is read.
    let many: Vec<String> = (0..500)
        .map(|nth| format!("https://audience-{nth}.example.com"))
        .collect();
    let mut claims = account("robot", json!(many));
    assert_eq!(judged(&jwt(&claims), OPERATOR), Ok(()));
    claims["aud"][499] = json!(API[1]);
    assert_eq!(judged(&jwt(&claims), OPERATOR), Err(Unsafe::ApiAudience));
}

#[test]
fn a_secret_with_the_type_of_an_api_token_is_refused_whatever_it_holds() {
    for (type_, expected) in [
        (None, Ok(())),
        (Some("Opaque"), Ok(())),
        (Some("kubernetes.io/basic-auth"), Ok(())),
        (Some("kubernetes.io/tls"), Ok(())),
        (Some("kubernetes.io/service-account-token"), Err(Unsafe::TokenSecret)),
        (Some("bootstrap.kubernetes.io/token"), Err(Unsafe::TokenSecret)),
    ] {
        assert_eq!(judge_type(type_), expected, "{type_:?}");
    }
}

#[test]
fn accepted_audiences_are_cached_for_ten_minutes() {
    let now = Instant::now();
    let answer = Accepted::new(texts(&API), now);
    for (seconds, expected) in [(0, true), (599, true), (600, false), (6000, false)] {
        let at = now + Duration::from_secs(seconds);
        assert_eq!(answer.at(at).is_some(), expected, "after {seconds} s");
    }
}

#[test]
fn each_refusal_says_what_is_wrong_and_what_to_do() {
    let secret = |why| LoginFault::Secret {
        secret: "mine".to_owned(),
        key: "token".to_owned(),
        why,
    };
    let untold = |why| LoginFault::SecretUntold {
        secret: "mine".to_owned(),
        key: "token".to_owned(),
        why,
    };
    let spec = (Class::Invalid, Reason::UnsafeToken);
    let blocked = (Class::Blocked, Reason::UnsafeToken);
    let failed = (Class::ServerRefused, Reason::LoginFailed);
    let waits = (Class::Blocked, Reason::LoginFailed);
    let cases = [
        (
            LoginFault::Account(Unsafe::OwnAccount),
            "vault.auth names the operator's own ServiceAccount, whose tokens the operator does not send to a server. Name a ServiceAccount without rights, such as login.serviceAccount of the chart.",
            spec,
            true,
        ),
        (
            LoginFault::Account(Unsafe::ApiAudience),
            "vault.auth asks for a token with an audience that the Kubernetes API accepts, and the operator does not send such a token to a server. Remove that audience, and give the Kubernetes auth method its own token_reviewer_jwt, or use the JWT auth method.",
            spec,
            true,
        ),
        (
            secret(Unsafe::ApiAudience),
            "Secret `mine`, key `token`: the value is a token with an audience that the Kubernetes API accepts, so the operator does not send it to a server. Use a token that only that server accepts.",
            blocked,
            false,
        ),
        (
            secret(Unsafe::AnyAudience),
            "Secret `mine`, key `token`: the value is a ServiceAccount token for any audience, so the operator does not send it to a server. Use a token that only that server accepts.",
            blocked,
            false,
        ),
        (
            secret(Unsafe::TokenSecret),
            "Secret `mine`, key `token`: the value is in a Secret whose type is for tokens of the Kubernetes API, so the operator does not send it to a server. Use a token that only that server accepts.",
            blocked,
            false,
        ),
        (
            secret(Unsafe::TooLarge),
            "Secret `mine`, key `token`: the value looks like a token but is too large to be checked, so the operator does not send it to a server. Use a token that only that server accepts.",
            blocked,
            false,
        ),
        (
            LoginFault::Untold(Untold::NotGranted),
            "The operator cannot log in: the operator is not allowed to request tokens of the ServiceAccount; add it to vault.serviceAccounts of the chart. Check vault.auth and the auth method on the server.",
            failed,
            true,
        ),
        (
            untold(Untold::NoAccount),
            "Secret `mine`, key `token`: the value is a JSON Web Token, which the operator does not send to a server until it knows whether the Kubernetes API accepts it: the operator has no ServiceAccount for logins, or is not allowed to request its tokens; set login.serviceAccount.create in the values of the chart.",
            waits,
            false,
        ),
    ];
    for (fault, message, class, is_outage) in cases {
        let error = Error::from(fault);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.class(), class, "{message}");
        assert_eq!(error.is_outage(), is_outage, "{message}");
    }
}
