//! Servers behind a forward proxy.

use std::net::SocketAddr;

use oidc_operator::admin::http::{BadSettings, Failure, Http, Settings};
use oidc_operator::error::Error;
use oidc_operator::leader::Fence;
use oidc_operator::proxies::Proxies;
use serde_json::json;
use testbed::forward::{ForwardProxy, Rules, Seen};
use testbed::pki::{Pki, ServerCertificate};
use url::Url;
use wiremock::MockServer;

use crate::tls::{at, serve, trusting};
use crate::{always, json_reply};

/// Base64 of `user:geheim`.
const LOGIN: &str = "Basic dXNlcjpnZWhlaW0=";

/// The address in a URL.
fn address(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("a URL");
    let addresses = url.socket_addrs(|| None).expect("an address");
    addresses[0]
}

/// The proxies of a process with these variables.
fn variables(variables: &[(&str, String)]) -> Proxies {
    Proxies::of(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    })
}

/// Both schemes through this proxy.
fn through(proxy: &str) -> Proxies {
    variables(&[("HTTP_PROXY", proxy.to_owned()), ("HTTPS_PROXY", proxy.to_owned())])
}

async fn said(url: &str, settings: &Settings) -> String {
    match at(url, settings).get_client("shop").await {
        Ok(_) => String::new(),
        Err(Failure::Outage(outage)) => Error::Unavailable(outage).to_string(),
        Err(other) => format!("{other:?}"),
    }
}

fn sentence(clause: &str) -> String {
    format!("The server cannot be used now: {clause}. The operator keeps trying.")
}

/// A server over plain http whose name only the proxy knows.
async fn http_server() -> (MockServer, Rules) {
    let (server, _) = always(json_reply(200, &json!({ "client_id": "shop" }))).await;
    let rules = Rules {
        hosts: vec![("hydra.test:4445".to_owned(), *server.address())],
        ..Rules::default()
    };
    (server, rules)
}

/// A server over https whose name only the proxy knows, and its CA.
async fn https_server(name: &str) -> (Pki, Rules) {
    let pki = Pki::new().expect("a CA");
    let url = serve(&pki.issue(ServerCertificate::of(&[name])).expect("a certificate")).await;
    let rules = Rules {
        hosts: vec![("hydra.test:4445".to_owned(), address(&url))],
        ..Rules::default()
    };
    (pki, rules)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_http_through_whole_urls() {
    let (_server, rules) = http_server().await;
    let proxy = ForwardProxy::start(rules).await.expect("a proxy");
    let settings = Settings {
        proxies: through(&format!("http://{}", proxy.address())),
        ..Settings::default()
    };
    assert_eq!(said("http://hydra.test:4445", &settings).await, "");
    let seen = |request: &str| Seen {
        request: request.to_owned(),
        login: None,
        host: Some("hydra.test:4445".to_owned()),
    };
    assert_eq!(proxy.seen(), [seen("GET http://hydra.test:4445/admin/clients/shop")]);

    let (pki, rules) = https_server("hydra.test").await;
    let proxy = ForwardProxy::start(rules).await.expect("a proxy");
    let settings = Settings {
        proxies: through(&proxy.address().to_string()),
        ..trusting(&pki.ca_pem())
    };
    assert_eq!(said("https://hydra.test:4445", &settings).await, "");
    assert_eq!(proxy.seen(), [seen("CONNECT hydra.test:4445")]);
}

#[tokio::test]
async fn no_proxy_leads_past_it() {
    let (server, _) = http_server().await;
    let proxy = ForwardProxy::start(Rules::default()).await.expect("a proxy");
    let of = |except: &str| Settings {
        proxies: variables(&[
            ("HTTP_PROXY", format!("http://{}", proxy.address())),
            ("NO_PROXY", except.to_owned()),
        ]),
        ..Settings::default()
    };
    // Without a proxy, nobody knows the name.
    let unreachable =
        sentence("the host name in `http://hydra.test:4445` cannot be resolved (check the name and the cluster's DNS)");
    for except in [".test", "hydra.test", "hydra.test:4445", "*"] {
        assert_eq!(
            said("http://hydra.test:4445", &of(except)).await,
            unreachable,
            "{except}"
        );
    }
    // This host is never meant.
    assert_eq!(said(&server.uri(), &of("")).await, "");
    assert_eq!(proxy.seen(), []);
}

#[tokio::test]
async fn a_login_in_the_url_reaches_the_proxy_and_no_message() {
    for scheme in ["http", "https"] {
        let (pki, rules) = https_server("hydra.test").await;
        let (_server, of_http) = http_server().await;
        let rules = if scheme == "https" { rules } else { of_http };
        let proxy = ForwardProxy::start(Rules {
            login: Some(LOGIN.to_owned()),
            ..rules
        });
        let proxy = proxy.await.expect("a proxy");
        let of = |login: &str| Settings {
            proxies: through(&format!("http://{login}{}", proxy.address())),
            ..trusting(&pki.ca_pem())
        };
        let url = format!("{scheme}://hydra.test:4445");
        assert_eq!(said(&url, &of("user:geheim@")).await, "");
        assert_eq!(said(&url, &of("user:%67eheim@")).await, "");
        let wanted = format!(
            "the proxy `http://{}` requires a login (put user and password into its URL in the operator's environment)",
            proxy.address()
        );
        for login in ["", "user:wrong@"] {
            assert_eq!(said(&url, &of(login)).await, sentence(&wanted), "{scheme} {login}");
        }
        let logins: Vec<_> = proxy.seen().into_iter().map(|seen| seen.login).collect();
        assert_eq!(logins[..2], [Some(LOGIN.to_owned()), Some(LOGIN.to_owned())]);
    }
}

#[tokio::test]
async fn trouble_with_the_proxy_names_the_proxy() {
    for status in [403, 502, 503] {
        let proxy = ForwardProxy::start(Rules {
            refuses: Some(status),
            ..Rules::default()
        });
        let proxy = proxy.await.expect("a proxy");
        let settings = Settings {
            proxies: through(&format!("http://user:geheim@{}", proxy.address())),
            ..Settings::default()
        };
        let refuses = format!(
            "the proxy `http://{}` does not connect the operator to it (check the proxy's rules, or add the server to NO_PROXY)",
            proxy.address()
        );
        assert_eq!(
            said("https://hydra.test:4445", &settings).await,
            sentence(&refuses),
            "{status}"
        );
    }
    // Nobody listens there.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let settings = Settings {
        proxies: through(&format!("http://user:geheim@{address}")),
        ..Settings::default()
    };
    let unreachable = format!(
        "no connection to the proxy `http://{address}`: it refuses the connection (check HTTPS_PROXY, HTTP_PROXY and NO_PROXY)"
    );
    for url in ["https://hydra.test:4445", "http://hydra.test:4445"] {
        assert_eq!(said(url, &settings).await, sentence(&unreachable), "{url}");
    }
}

#[tokio::test]
async fn a_silent_proxy_is_named_too() {
    let (port, _held) = testbed::tarpit::start().await.expect("a port");
    let settings = Settings {
        proxies: through(&format!("http://user:geheim@127.0.0.1:{port}")),
        ..Settings::default()
    };
    let silent = format!(
        "no connection through the proxy `http://127.0.0.1:{port}` within the deadline (check that the proxy works and reaches the server)"
    );
    assert_eq!(said("https://hydra.test:4445", &settings).await, sentence(&silent));
}

/// The proxy resolves the URL's host, and the certificate is compared with `tls.serverName`.
#[tokio::test]
async fn a_server_name_changes_what_is_verified_and_not_where_the_proxy_connects_to() {
    let (pki, rules) = https_server("hydra.internal").await;
    let proxy = ForwardProxy::start(rules).await.expect("a proxy");
    let of = |name: Option<&str>| Settings {
        proxies: through(&format!("http://{}", proxy.address())),
        server_name: name.map(str::to_owned),
        ..trusting(&pki.ca_pem())
    };
    let url = "https://hydra.test:4445";
    assert_eq!(said(url, &of(Some("hydra.internal"))).await, "");
    for (name, expected) in [(None, "hydra.test"), (Some("other.internal"), "other.internal")] {
        let wrong = format!(
            "its certificate is for `hydra.internal`, not for `{expected}` (correct the URL or set tls.serverName)"
        );
        assert_eq!(said(url, &of(name)).await, sentence(&wrong));
    }
    let requests: Vec<_> = proxy.seen().into_iter().map(|seen| seen.request).collect();
    assert_eq!(requests, vec!["CONNECT hydra.test:4445"; 3]);
}

/// reqwest cannot do that.
#[test]
fn an_ipv6_address_over_https_behind_a_proxy_is_refused_at_once() {
    let settings = Settings {
        proxies: through("proxy:3128"),
        ..Settings::default()
    };
    for (url, expected) in [
        ("https://[fd00::1]:4445", Some(BadSettings::Ipv6ThroughProxy)),
        ("http://[fd00::1]:4445", None),
        ("https://[::1]:4445", None),
        ("https://10.0.0.1:4445", None),
    ] {
        let made = Http::new("default", url, &settings, Fence::open(), Default::default());
        assert_eq!(made.err(), expected, "{url}");
    }
}
