//! Which requests go through a proxy of the environment.

use oidc_operator::proxies::{Proxies, Proxy};
use url::Url;

/// The proxies of these variables.
fn with(variables: &[(&str, &str)]) -> Proxies {
    Proxies::of(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn to(proxies: &Proxies, url: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    proxies.to(&url).map(|proxy| proxy.shown().to_owned())
}

#[test]
fn each_scheme_has_its_variable_in_capitals_or_not() {
    let (http, https) = ("http://hydra.test:4445", "https://hydra.test:4445");
    let proxy = Some("http://proxy:3128".to_owned());
    let table: [(&[(&str, &str)], _, _); 8] = [
        (&[], None, None),
        (&[("HTTPS_PROXY", "http://proxy:3128")], None, proxy.clone()),
        (&[("https_proxy", "http://proxy:3128")], None, proxy.clone()),
        (&[("HTTP_PROXY", "http://proxy:3128")], proxy.clone(), None),
        (&[("http_proxy", "http://proxy:3128/")], proxy.clone(), None),
        (&[("HTTPS_PROXY", "proxy:3128")], None, proxy.clone()),
        (
            &[("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")],
            None,
            proxy.clone(),
        ),
        (
            &[("HTTPS_PROXY", "proxy:3128"), ("https_proxy", "other:1")],
            None,
            proxy.clone(),
        ),
    ];
    for (variables, of_http, of_https) in table {
        let proxies = with(variables);
        assert_eq!(
            (to(&proxies, http), to(&proxies, https)),
            (of_http, of_https),
            "{variables:?}"
        );
        assert!(proxies.ignored().is_empty(), "{variables:?}");
    }
}

#[test]
fn no_proxy_has_its_usual_forms() {
    let table = [
        (".svc", "https://vault.vault.svc:8200", true),
        ("svc", "https://vault.vault.svc", true),
        (".svc", "https://vault.vault.svc.:8200", true),
        (".svc", "https://notsvc", false),
        ("example.com", "https://example.com", true),
        ("example.com", "https://id.EXAMPLE.com", true),
        ("Example.COM", "https://id.example.com", true),
        ("example.com", "https://notexample.com", false),
        ("*.example.com", "https://id.example.com", true),
        ("example.com:8200", "https://example.com:8200", true),
        ("example.com:8200", "https://example.com", false),
        ("example.com:443", "https://example.com", true),
        ("10.0.0.0/8", "https://10.1.2.3:8200", true),
        ("10.0.0.0/8", "https://11.1.2.3:8200", false),
        ("10.1.2.3", "https://10.1.2.3", true),
        ("10.1.2.3:8200", "https://10.1.2.3:8200", true),
        ("10.1.2.3:8200", "https://10.1.2.3", false),
        ("fd00::/8", "https://[fd00::1]:8200", true),
        ("fd00::1", "https://[fd00::1]:8200", true),
        ("[fd00::1]", "https://[fd00::1]:8200", true),
        ("[fd00::1]:8200", "https://[fd00::1]:8200", true),
        ("[fd00::1]:8200", "https://[fd00::1]", false),
        ("fd00::1", "https://[fd00::2]:8200", false),
        ("*", "https://hydra.test", true),
        ("a.test, .svc ,10.0.0.0/8", "https://x.svc", true),
        ("a.test .svc", "https://x.svc", true),
        (",,", "https://x.svc", false),
        (".", "https://x.svc", false),
        ("*.", "https://x.svc", false),
        ("x.svc:port", "https://x.svc", false),
        ("10.0.0.0/99", "https://10.0.0.1", false),
        ("", "https://x.svc", false),
        // This host cannot be meant by a proxy elsewhere.
        ("", "https://localhost:8200", true),
        ("", "https://vault.localhost:8200", true),
        ("", "https://127.0.0.1:8200", true),
        ("", "https://127.1.2.3:8200", true),
        ("", "https://[::1]:8200", true),
    ];
    for (except, url, is_direct) in table {
        for name in ["NO_PROXY", "no_proxy"] {
            let proxies = with(&[("HTTPS_PROXY", "http://proxy:3128"), (name, except)]);
            assert_eq!(to(&proxies, url).is_none(), is_direct, "{name}={except} {url}");
        }
    }
}

#[test]
fn what_is_not_an_http_proxy_is_ignored_and_named() {
    for value in [
        "socks5://proxy:1080",
        "https://proxy:3128",
        "http://",
        "proxy host:3128",
        "http://proxy:port",
        "://",
    ] {
        let proxies = with(&[("HTTPS_PROXY", value), ("HTTP_PROXY", "http://proxy:3128")]);
        assert_eq!(proxies.ignored(), ["HTTPS_PROXY"], "{value}");
        assert_eq!(to(&proxies, "https://hydra.test"), None, "{value}");
        assert!(to(&proxies, "http://hydra.test").is_some(), "{value}");
    }
}

#[test]
fn the_login_of_a_proxy_is_kept_and_not_shown() {
    for (value, url) in [
        ("http://user:geheim@proxy:3128", "http://user:geheim@proxy:3128/"),
        ("user:geheim@proxy", "http://user:geheim@proxy/"),
        ("http://geheim@[fd00::1]:3128/path", "http://geheim@[fd00::1]:3128/path"),
    ] {
        let proxy = Proxy::parse(value).expect("a proxy");
        assert_eq!(proxy.url().expose(), url);
        let proxies = with(&[("HTTPS_PROXY", value)]);
        let shown = format!("{} {proxies}", proxy.shown());
        assert!(!shown.contains("geheim") && !shown.contains("user"), "{shown}");
    }
    let shown = Proxy::parse("user:geheim@proxy").map(|proxy| proxy.shown().to_owned());
    assert_eq!(shown.as_deref(), Some("http://proxy:80"));
}
