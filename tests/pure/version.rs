//! Versions of Hydra: which API they speak and what they can do.

use oidc_operator::admin::hydra::mapping::unsupported;
use oidc_operator::admin::hydra::version::{Dialect, Unsupported, Version};
use oidc_operator::api::authorization_server::{Capability, HydraVersion};
use oidc_operator::api::oauth2_client::OAuth2ClientSpec;
use serde_json::{Value, json};

#[test]
fn the_version_determines_the_api_and_whether_it_is_supported() {
    use Dialect::{V1, V2};
    use HydraVersion::Auto;
    let old = Err(Unsupported::TooOld);
    let no_ids = Err(Unsupported::NoChosenIds);
    let table = [
        ("v1.11.10", Auto, Some((V1, Ok(())))),
        ("v1.11.0", Auto, Some((V1, Ok(())))),
        ("1.11.8+build", Auto, Some((V1, Ok(())))),
        ("v1.10.7", Auto, Some((V1, old))),
        ("v0.9", Auto, Some((V1, old))),
        ("v2.0.0", Auto, Some((V2, no_ids))),
        ("v2.1.0-rc.1", Auto, Some((V2, no_ids))),
        ("v2.2.0", Auto, Some((V2, Ok(())))),
        ("v2.3.0", Auto, Some((V2, Ok(())))),
        ("v26.2.0", Auto, Some((V2, Ok(())))),
        ("master", Auto, None),
        ("v", Auto, None),
        ("v2.x", Auto, None),
        ("master", HydraVersion::V1, Some((V1, Ok(())))),
        ("master", HydraVersion::V2, Some((V2, Ok(())))),
        // The setting wins: a proxy may answer for another server.
        ("v2.0.0", HydraVersion::V1, Some((V1, Ok(())))),
        ("v1.9.0", HydraVersion::V2, Some((V2, Ok(())))),
    ];
    for (text, setting, expected) in table {
        let found = Version::of(text, setting);
        let is_of_another_api = setting != Auto && text != "master";
        let shown = (!is_of_another_api).then_some(text);
        assert!(
            found.iter().all(|version| version.as_str() == shown),
            "{text} {setting:?}"
        );
        let found = found.map(|version| (version.dialect(), version.check()));
        assert_eq!(found, expected, "{text} {setting:?}");
    }
}

#[test]
fn a_promised_api_ignores_replies_that_are_no_version_of_it() {
    use Dialect::{V1, V2};
    let table = [
        (V2, Some("v2.3.0"), Some("v2.3.0"), Ok(())),
        (V2, Some("v26.2.0"), Some("v26.2.0"), Ok(())),
        (V2, Some("v2.1.0"), Some("v2.1.0"), Err(Unsupported::NoChosenIds)),
        (V2, Some("master"), Some("master"), Ok(())),
        (V2, Some("v1.3.0"), None, Ok(())),
        (V2, Some("v1.9.0"), None, Ok(())),
        (V2, Some("nightly"), None, Ok(())),
        (V2, Some(""), None, Ok(())),
        (V2, None, None, Ok(())),
        (V1, Some("v1.11.10"), Some("v1.11.10"), Ok(())),
        (V1, Some("v1.10.7"), Some("v1.10.7"), Err(Unsupported::TooOld)),
        (V1, Some("v2.3.0"), None, Ok(())),
        (V1, None, None, Ok(())),
    ];
    let of = |dialect, shown: Option<&str>| match shown.and_then(|text| Version::of(text, HydraVersion::Auto)) {
        Some(release) => release.capabilities(),
        None => {
            let mut newest = Version::built_from_source("master", dialect).capabilities();
            newest.retain(|capability| shown.is_some() || *capability != Capability::SlashesInClientIds);
            newest
        }
    };
    for (dialect, reported, shown, check) in table {
        let version = Version::promised(dialect, reported);
        let found = (version.dialect(), version.as_str(), version.check());
        assert_eq!(found, (dialect, shown, check), "{reported:?}");
        if check.is_ok() {
            assert_eq!(version.capabilities(), of(dialect, shown), "{reported:?}");
        }
    }
}

#[test]
fn each_version_has_its_capabilities() {
    use Capability::{
        AccessTokenStrategy, DeviceAuthorizationGrant, FlushTokens, KeyPrePublication, LongSecrets, SkipConsent,
        SlashesInClientIds, TokenLifespans,
    };
    let newer = vec![
        TokenLifespans,
        SkipConsent,
        AccessTokenStrategy,
        LongSecrets,
        KeyPrePublication,
    ];
    let newest = [newer.as_slice(), &[SlashesInClientIds, DeviceAuthorizationGrant]].concat();
    let table = [
        ("v1.11.8", vec![FlushTokens]),
        ("v1.11.9", vec![TokenLifespans, FlushTokens]),
        ("v1.11.10", vec![TokenLifespans, FlushTokens]),
        ("v2.2.0", newer.clone()),
        ("v2.3.0", newer.clone()),
        ("v25.3.9", newer),
        ("v25.4.0", newest.clone()),
        ("v26.2.0", newest),
    ];
    for (text, expected) in table {
        let version = Version::of(text, HydraVersion::Auto).expect("a release");
        assert_eq!(version.capabilities(), expected, "{text}");
    }
    let source = Version::built_from_source("master", Dialect::V1);
    assert_eq!(source.capabilities(), [TokenLifespans, FlushTokens]);
}

#[test]
fn what_hydra_25_4_added_is_refused_by_name_before_it() {
    let grant = json!({ "grantTypes": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"] });
    let lifespan = |name: &str| json!({ "hydra": { "tokenLifespans": { name: "30m" } } });
    let table = [
        (grant, "grantTypes (urn:ietf:params:oauth:grant-type:device_code)"),
        (json!({ "clientId": "https://a.example/id" }), "clientId (a slash)"),
        (
            lifespan("deviceAuthorizationGrantAccessToken"),
            "hydra.tokenLifespans.deviceAuthorizationGrantAccessToken",
        ),
        (
            lifespan("deviceAuthorizationGrantIdToken"),
            "hydra.tokenLifespans.deviceAuthorizationGrantIdToken",
        ),
        (
            lifespan("deviceAuthorizationGrantRefreshToken"),
            "hydra.tokenLifespans.deviceAuthorizationGrantRefreshToken",
        ),
    ];
    for (spec, named) in table {
        let spec: OAuth2ClientSpec = serde_json::from_value(spec).expect("a spec");
        let of = |version: &str| {
            let version = Version::of(version, HydraVersion::Auto).expect("a release");
            unsupported(&spec, &version.capabilities())
        };
        assert_eq!(of("v2.3.0"), [named]);
        assert!(of("v25.4.0").is_empty(), "{named}");
    }
}

#[test]
fn fields_that_a_version_would_drop_are_named() {
    let table: [(Value, &[&str], &[&str]); 8] = [
        (json!({}), &[], &[]),
        (json!({ "accessTokenTtl": "1h" }), &["accessTokenTtl"], &[]),
        (
            json!({ "idTokenTtl": "1h", "refreshTokenTtl": "2h" }),
            &["idTokenTtl", "refreshTokenTtl"],
            &[],
        ),
        (
            json!({ "hydra": { "tokenLifespans": { "implicitGrantIdToken": "1h" } } }),
            &["hydra.tokenLifespans"],
            &[],
        ),
        (json!({ "hydra": { "skipConsent": false } }), &[], &[]),
        (
            json!({ "hydra": { "skipConsent": true } }),
            &["hydra.skipConsent"],
            &["hydra.skipConsent"],
        ),
        (
            json!({ "hydra": { "skipLogoutConsent": false } }),
            &["hydra.skipLogoutConsent"],
            &["hydra.skipLogoutConsent"],
        ),
        (
            json!({ "hydra": { "accessTokenStrategy": "jwt" } }),
            &["hydra.accessTokenStrategy"],
            &["hydra.accessTokenStrategy"],
        ),
    ];
    for (spec, by_none, by_v1) in table {
        let parsed: OAuth2ClientSpec = serde_json::from_value(spec.clone()).expect("a spec");
        assert_eq!(unsupported(&parsed, &[]), by_none, "{spec}");
        assert_eq!(unsupported(&parsed, &[Capability::TokenLifespans]), by_v1, "{spec}");
        let all = Version::of("v2.3.0", HydraVersion::Auto).expect("a release");
        assert!(unsupported(&parsed, &all.capabilities()).is_empty(), "{spec}");
    }
}
