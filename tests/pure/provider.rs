//! When an issuer, its discovery document and its keys are valid.

use oidc_operator::admin::discovery::{Discovery, Keys};
use oidc_operator::api::authorization_server::Endpoints;
use oidc_operator::api::condition::Reason;
use oidc_operator::controller::common::judge;
use oidc_operator::controller::common::judge::Expected;
use oidc_operator::error::{Class, Error};

use crate::errors::s;

const URL: &str = "https://id.example.com";

/// A discovery document with this issuer and all required endpoints.
fn document(issuer: &str) -> Discovery {
    let at = |path: &str| Some(format!("{URL}/{path}"));
    Discovery {
        endpoints: Endpoints {
            issuer: s(issuer),
            authorization_endpoint: at("oauth2/auth"),
            token_endpoint: at("oauth2/token"),
            jwks_uri: at(".well-known/jwks.json"),
            ..Endpoints::default()
        },
        ..Discovery::default()
    }
}

#[test]
fn an_issuer_must_match_exactly_or_the_public_url_up_to_a_slash() {
    use Expected::{At, Exactly};
    let cases = [
        (Exactly("https://id.example.com"), "https://id.example.com", true),
        (Exactly("https://id.example.com/"), "https://id.example.com/", true),
        (Exactly("https://id.example.com"), "https://id.example.com/", false),
        (Exactly("https://id.example.com/"), "https://id.example.com", false),
        (Exactly("https://id.example.com"), "https://ID.example.com", false),
        (Exactly("https://id.example.com"), "http://id.example.com", false),
        (Exactly("https://id.example.com"), "https://id.example.com:443", false),
        (Exactly("https://id.example.com/a"), "https://id.example.com/A", false),
        (At("https://id.example.com"), "https://id.example.com", true),
        (At("https://id.example.com"), "https://id.example.com/", true),
        (At("https://id.example.com/"), "https://id.example.com", true),
        (At("https://id.example.com/a"), "https://id.example.com/a/", true),
        (At("https://id.example.com"), "https://id.example.com/a", false),
        (At("https://id.example.com"), "https://ID.example.com", false),
        (At("https://id.example.com"), "https://id.example.com.evil.org", false),
    ];
    for (expected, issuer, good) in cases {
        let judged = judge::document("default", "hydra.publicUrl", expected, &document(issuer));
        assert_eq!(judged.is_ok(), good, "{expected:?} {issuer}");
        if let Err(error) = judged {
            assert_eq!(error.class(), (Class::Blocked, Reason::IssuerMismatch));
            let text = error.to_string();
            assert!(text.contains(&format!("names the issuer `{issuer}`")), "{text}");
        }
    }
}

#[test]
fn a_document_must_name_the_endpoints_for_a_login() {
    type Take = fn(&mut Endpoints);
    let required: [(Take, &str); 3] = [
        (|e| e.authorization_endpoint = None, "names no authorization_endpoint"),
        (|e| e.token_endpoint = None, "names no token_endpoint"),
        (|e| e.jwks_uri = None, "names no jwks_uri"),
    ];
    for (take, problem) in required {
        let mut found = document(URL);
        take(&mut found.endpoints);
        let error = judge::document("default", "hydra.publicUrl", Expected::At(URL), &found).expect_err(problem);
        assert_eq!(error.class(), (Class::Transient, Reason::ServerNotRecognized));
        assert!(error.to_string().contains(problem), "{error}");
    }
    // The issuer is checked first: another server's document says nothing about this server's endpoints.
    let judged = judge::document(
        "default",
        "hydra.publicUrl",
        Expected::Exactly("https://other"),
        &document(URL),
    );
    assert_eq!(judged.map_err(|error| error.class().1), Err(Reason::IssuerMismatch));
}

#[test]
fn keys_must_include_a_signing_key_and_show_no_private_key() {
    let keys = |signing, shows_private| Keys {
        signing,
        ids: Vec::new(),
        shows_private,
    };
    for (found, good) in [
        (keys(1, false), true),
        (keys(40, false), true),
        (keys(0, false), false),
        (keys(1, true), false),
        (keys(0, true), false),
    ] {
        let judged = judge::keys("default", &found).map_err(Error::Issuer);
        assert_eq!(judged.is_ok(), good, "{found:?}");
        if let Err(error) = judged {
            assert_eq!(error.class(), (Class::Blocked, Reason::InvalidKeys));
        }
    }
    let worst = judge::keys("default", &keys(0, true)).map_err(|error| error.to_string());
    assert!(worst.is_err_and(|text| text.contains("publishes a private key")));
}
