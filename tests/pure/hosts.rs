//! Limits on the hosts of URIs that browsers, or the server itself, open.

use serde_json::json;

use crate::access::{check, limited, violation};

/// Fields with URIs that the server fetches or calls.
const OF_SERVER: [&str; 4] = ["jwksUri", "sectorIdentifierUri", "requestUris", "backchannelLogoutUri"];

/// A new URI field without a check would bypass the limits.
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
    let mut checked = 0;
    for (field, schema) in properties.as_object().expect("properties") {
        if !["Uri", "Uris", "Url", "Origins"].iter().any(|end| field.ends_with(end)) {
            continue;
        }
        let (limit, other) = match OF_SERVER.contains(&field.as_str()) {
            true => ("serverUriHosts", "uriHosts"),
            false => ("uriHosts", "serverUriHosts"),
        };
        let uri = json!("https://app.example.com");
        let value = if schema["type"] == "array" { json!([uri]) } else { uri };
        let spec = json!({ "grantTypes": ["client_credentials"], field: value });
        let limits = limited(json!({ limit: [], other: ["app.example.com"] }));
        let expected = format!("{limit}: {field}: https://app.example.com");
        assert_eq!(violation(&limits, spec.clone()), expected);
        let limits = limited(json!({ limit: ["app.example.com"], other: [] }));
        assert_eq!(violation(&limits, spec), "", "{field} is limited by {other} too");
        checked += 1;
    }
    assert_eq!(checked, 12, "fields with URIs");
}

/// Unlike the other limits, this one denies when it is left out: the server sends these requests from within its own
/// network.
#[test]
fn without_a_list_no_uri_for_the_server_is_allowed() {
    let spec = |field: &str| {
        let uri = json!("https://app.example.com/x");
        let value = if field == "requestUris" { json!([uri]) } else { uri };
        json!({ "grantTypes": ["client_credentials"], field: value })
    };
    for field in OF_SERVER {
        for limits in [
            json!({}),
            json!({ "uriHosts": ["*.example.com"] }),
            json!({ "serverUriHosts": [] }),
        ] {
            let expected = format!("serverUriHosts: {field}: https://app.example.com/x");
            assert_eq!(violation(&limited(limits), spec(field)), expected);
        }
        let no_limits = crate::access::rules(json!([
            { "namespaces": crate::access::all(), "kinds": ["OAuth2Client"] }
        ]));
        assert!(check(&no_limits, spec(field)).is_err(), "{field}");
    }
}

fn server_is_allowed(entry: &str, uri: &str) -> bool {
    let spec = json!({ "grantTypes": ["client_credentials"], "backchannelLogoutUri": uri });
    check(&limited(json!({ "serverUriHosts": [entry] })), spec).is_ok()
}

#[test]
fn uris_for_the_server_need_https_and_the_default_port_unless_the_entry_says_otherwise() {
    let cases = [
        ("app.example.com", "https://app.example.com/out", true),
        ("app.example.com", "https://app.example.com:443/out", true),
        ("app.example.com", "https://app.example.com:22/out", false),
        ("app.example.com", "http://app.example.com/out", false),
        ("app.example.com", "http://app.example.com:443/out", false),
        ("app.shop.svc:8443", "https://app.shop.svc:8443/out", true),
        ("app.shop.svc:8443", "https://app.shop.svc/out", false),
        ("app.shop.svc:8443", "http://app.shop.svc:8443/out", false),
        ("http://app.shop.svc:8080", "http://app.shop.svc:8080/out", true),
        ("http://app.shop.svc:8080", "https://app.shop.svc:8080/out", false),
        ("http://app.shop.svc:8080", "http://app.shop.svc/out", false),
        ("http://app.shop.svc", "http://app.shop.svc/out", true),
        ("http://app.shop.svc", "http://app.shop.svc:80/out", true),
        ("http://*.shop.svc", "http://app.shop.svc/out", true),
        ("http://*.shop.svc", "http://shop.svc/out", false),
        ("*.example.com:8443", "https://a.example.com:8443/out", true),
        ("*.example.com:8443", "https://a.example.com/out", false),
        ("[fd00::1]:8443", "https://[FD00:0::1]:8443/out", true),
        ("com.example.app:", "com.example.app:/out", false),
        ("app.example.com", "ftp://app.example.com/out", false),
        ("app.example.com", "https://169.254.169.254/latest", false),
        ("app.example.com", "https://app.example.com@169.254.169.254/", false),
        ("app.example.com", "https://me@app.example.com/", false),
    ];
    for (entry, uri, expected) in cases {
        assert_eq!(server_is_allowed(entry, uri), expected, "{entry} {uri}");
    }
}

fn host_is_allowed(pattern: &str, uri: &str) -> bool {
    let spec = json!({ "redirectUris": [uri] });
    check(&limited(json!({ "uriHosts": [pattern] })), spec).is_ok()
}

#[test]
fn hosts_match_exactly_and_a_wildcard_matches_subdomains() {
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
        ("127.0.0.1", "http://127.0.0.1:51004/cb", true), // RFC 8252, section 7.3: the port is known only at run time
        ("[::1]", "http://[0:0:0:0:0:0:0:1]:51004/cb", true), // another spelling of the same address
        ("127.0.0.1", "http://2130706433/cb", false),     // a spelling that not every parser accepts
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/cb", false),
        ("localhost:8080", "http://localhost:8080/cb", true),
        ("localhost:8080", "http://localhost:8081/cb", false),
        ("localhost:8080", "http://localhost/cb", false),
        ("app.example.com:443", "https://app.example.com/cb", true),
        ("app.example.com:443", "http://app.example.com/cb", false),
        ("app.example.com:80", "http://app.example.com/cb", true),
        ("[::1]:3000", "http://[::1]:3000/cb", true),
        ("[::1]:3000", "http://[::1]:3001/cb", false),
        ("[::1]:3000", "http://[::1]/cb", false),
        ("*.example.com:8443", "https://a.example.com:8443/cb", true),
        ("*.example.com:8443", "https://a.example.com/cb", false),
        ("*.example.com:8443", "https://example.com:8443/cb", false),
        ("app.example.com", "https://app.example.com./cb", false), // another origin to a browser
        ("*.example.com", "https://a.example.com./cb", false),
        ("*.example.com", "https://a..example.com/cb", false),
    ];
    for (pattern, uri, expected) in cases {
        assert_eq!(host_is_allowed(pattern, uri), expected, "{pattern} {uri}");
    }
}

#[test]
fn tricks_with_user_info_slashes_and_encodings_are_refused() {
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
        // URIs that parsers read differently are refused, even if one of the readings would be allowed.
        "https://evil.org@app.example.com/cb",
        "https://@app.example.com/cb",
        r"https:\\app.example.com/cb",
        r"https:/\app.example.com/cb",
        "https:app.example.com/cb",
        "https:/app.example.com/cb",
        "https:///app.example.com/cb",
        " https://app.example.com/cb",
        "https://app.example.com\t/cb",
        "https://app.exam\nple.com/cb",
        r"https://app.example.com\.evil.org/cb",
        "https://app%2eexample.com/cb",
        "https://%61pp.example.com/cb",
        "https://ａｐｐ.example.com/cb",
        "https://app。example.com/cb",
        "https://app.example.com:/cb",
        "https://app.example.com:0/cb",
        "https://app.example.com:65536/cb",
        "https://app.example.com:+443/cb",
        "https://app.example.com:44 3/cb",
        "https://app.example.com:80:443/cb",
        "https://[app.example.com]/cb",
    ] {
        assert!(!host_is_allowed("app.example.com", uri), "{uri}");
        assert!(!host_is_allowed("*.example.com", uri), "{uri}");
    }
    for uri in [
        "http://[::1%25eth0]/",
        "http://[::1%eth0]/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[]/",
    ] {
        assert!(!host_is_allowed("[::1]", uri), "{uri}");
    }
    assert!(
        host_is_allowed("app.example.com", "HTTPS://App.Example.Com:00443/a b\\@c"),
        "anything may follow the host"
    );
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

#[test]
fn a_scheme_entry_allows_exactly_that_custom_scheme() {
    let cases = [
        ("com.example.app:", "com.example.app:/callback", true),
        ("com.example.app:", "com.example.app://anything/callback", true),
        ("com.example.app:", "COM.Example.App:/callback", true),
        ("Com.example.App:", "com.example.app:/callback", true),
        ("com.example.app:", "com.example.app2:/callback", false),
        ("com.example.app:", "com.example.ap:/callback", false),
        ("com.example.app:", "https://com.example.app/callback", false),
        ("com.example.app:", "com.evil.app:/com.example.app:", false),
        ("com.example.app:", "com.example.app", false),
        ("com.example.app", "com.example.app:/callback", false), // a host, not a scheme
        ("com.example.app:443", "com.example.app:443", false),
    ];
    for (entry, uri, expected) in cases {
        assert_eq!(host_is_allowed(entry, uri), expected, "{entry} {uri}");
    }
}

/// A rule that allowed `javascript:`, bypassing the schema, would let a script run in the origin of the login page.
#[test]
fn schemes_that_belong_to_no_app_cannot_be_allowed() {
    for scheme in [
        "javascript",
        "data",
        "file",
        "blob",
        "vbscript",
        "about",
        "http",
        "https",
        "myapp",
    ] {
        assert!(
            !host_is_allowed(&format!("{scheme}:"), &format!("{scheme}://x/y")),
            "{scheme}"
        );
        assert!(
            !host_is_allowed(&format!("{scheme}:"), &format!("{scheme}:alert(1)")),
            "{scheme}"
        );
    }
}

/// The device opens a custom scheme with the program that has registered it; the host in such a URI is only text.
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
