//! The limit on hosts of URIs.

use serde_json::json;

use crate::access::{check, limited, violation};

/// A new URI field that nobody checks would be a way around `uriHosts`.
#[test]
fn every_uri_field_of_the_spec_is_limited() {
    let crd = serde_json::to_value(oidc_operator::api::crds()).expect("CRDs");
    let client = crd
        .as_array()
        .into_iter()
        .flatten()
        .find(|crd| crd["spec"]["names"]["kind"] == "OAuth2Client")
        .expect("OAuth2Client");
    let properties = &client["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let limits = limited(json!({ "uriHosts": [] }));
    let mut checked = 0;
    for (field, schema) in properties.as_object().expect("properties") {
        if !["Uri", "Uris", "Url", "Origins"].iter().any(|end| field.ends_with(end)) {
            continue;
        }
        let uri = json!("https://app.example.com");
        let value = if schema["type"] == "array" { json!([uri]) } else { uri };
        let spec = json!({ "grantTypes": ["client_credentials"], field: value });
        assert_eq!(
            violation(&limits, spec),
            format!("uriHosts: {field}: https://app.example.com")
        );
        checked += 1;
    }
    assert_eq!(checked, 12, "fields with URIs");
}

fn host_is_allowed(pattern: &str, uri: &str) -> bool {
    let spec = json!({ "redirectUris": [uri] });
    check(&limited(json!({ "uriHosts": [pattern] })), spec).is_ok()
}

#[test]
fn hosts_are_compared_whole_and_a_wildcard_stands_for_hosts_below() {
    let cases = [
        ("app.example.com", "https://app.example.com/cb", true),
        ("app.example.com", "http://app.example.com", true),
        ("app.example.com", "https://app.example.com:8443/cb", true), // the port does not matter
        ("app.example.com", "https://APP.Example.COM/cb", true),
        ("APP.example.com", "https://app.example.com/cb", true),
        ("app.example.com", "https://example.com/cb", false),
        ("app.example.com", "https://x.app.example.com/cb", false),
        ("app.example.com", "https://app.example.com.evil.org/cb", false),
        ("app.example.com", "https://app-example.com/cb", false),
        ("*.example.com", "https://a.example.com/cb", true),
        ("*.example.com", "https://a.b.example.com:8443/cb", true),
        ("*.example.com", "https://A.EXAMPLE.com/cb", true),
        ("*.EXAMPLE.com", "https://a.example.com/cb", true),
        ("*.example.com", "https://example.com/cb", false),
        ("*.example.com", "https://.example.com/cb", false),
        ("*.example.com", "https://evilexample.com/cb", false),
        ("*.example.com", "https://example.com.evil.org/cb", false),
        ("*.example.com", "https://a.example.com.evil.org/cb", false),
        ("*.example.com", "https://evil.org/a.example.com", false),
        ("*.example.com", "https://evil.org/?a.example.com", false),
        ("*.example.com", "https://evil.org/#a.example.com", false),
        ("[::1]", "http://[::1]:8080/cb", true),
        ("127.0.0.1", "http://127.0.0.1:8080/cb", true),
        ("127.0.0.1", "http://2130706433/cb", true), // another spelling of the same address
    ];
    for (pattern, uri, expected) in cases {
        assert_eq!(host_is_allowed(pattern, uri), expected, "{pattern} {uri}");
    }
}

#[test]
fn tricks_with_user_info_slashes_and_encodings_lead_to_the_real_host() {
    for uri in [
        "https://app.example.com@evil.org/cb",
        "https://app.example.com:443@evil.org/cb",
        "https://app.example.com%40evil.org/cb",
        r"https://evil.org\@app.example.com/cb",
        r"https:\\evil.org/@app.example.com",
        "https://evil.org/@app.example.com",
        "https://evil.org#@app.example.com",
        "https://evil.org?@app.example.com",
        "https:////evil.org/app.example.com",
        "https://app.example.com%2eevil.org/cb",
        "https://app.example.com%00.evil.org/cb",
        "https://app.example.com。evil.org/cb",
        "https://xn--app-example-com.org/cb",
    ] {
        assert!(!host_is_allowed("app.example.com", uri), "{uri}");
        assert!(!host_is_allowed("*.example.com", uri), "{uri}");
    }
    // What follows the @ is the host; who is named before it does not matter.
    assert!(host_is_allowed(
        "app.example.com",
        "https://evil.org@app.example.com/cb"
    ));
}

#[test]
fn a_uri_without_a_host_is_refused_under_a_limit_on_hosts() {
    for uri in [
        "com.example.app:/callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "mailto:a@app.example.com",
        "app.example.com",
        "app.example.com:443",
        "/callback",
        "//app.example.com/cb",
        "https://",
        "",
    ] {
        assert!(!host_is_allowed("app.example.com", uri), "{uri:?}");
    }
    let anything = limited(json!({}));
    assert_eq!(
        violation(&anything, json!({ "redirectUris": ["com.example.app:/callback"] })),
        ""
    );
}

/// A custom scheme goes to whatever program has registered it on the device: the host in such a URI is only text.
#[test]
fn a_custom_scheme_is_refused_under_a_limit_on_hosts_even_with_an_allowed_host() {
    for uri in [
        "com.evil.app://app.example.com/cb",
        "evil://app.example.com",
        "ftp://app.example.com/",
    ] {
        assert!(!host_is_allowed("app.example.com", uri), "{uri}");
    }
}
