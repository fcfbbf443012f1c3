//! The client of the Kubernetes API: behind a proxy, and without CA certificates.

use kube::Config;
use oidc_operator::kubernetes;
use oidc_operator::proxies::Proxy;
use serde_json::json;
use testbed::forward::{ForwardProxy, Rules, Seen};

use crate::{always, json_reply};

#[tokio::test]
async fn requests_go_through_the_proxy_with_its_login() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let version = json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    });
    let (server, _) = always(json_reply(200, &version)).await;
    let rules = Rules {
        hosts: vec![("kube.test:6443".to_owned(), *server.address())],
        login: Some("Basic dXNlcjpnZWhlaW0=".to_owned()),
        ..Rules::default()
    };
    let forward = ForwardProxy::start(rules).await.expect("a proxy");
    let config = || Config::new("http://kube.test:6443".parse().expect("a URL"));
    let proxy = |login: &str| Proxy::parse(&format!("http://{login}{}", forward.address()));
    let through = |proxy: Option<Proxy>| kubernetes::builder(config(), proxy.as_ref()).map(|builder| builder.build());
    let client = through(proxy("user:geheim@")).expect("a client");
    let found = client.apiserver_version().await.expect("a version");
    assert_eq!(found.git_version, "v1.36.3");
    assert_eq!(
        forward.seen(),
        [Seen {
            request: "CONNECT kube.test:6443".to_owned(),
            login: Some("Basic dXNlcjpnZWhlaW0=".to_owned()),
            host: Some("kube.test:6443".to_owned()),
        }]
    );
    let refused = through(proxy("user:wrong@"))
        .expect("a client")
        .apiserver_version()
        .await;
    assert!(!format!("{:?}", refused.expect_err("no login")).contains("wrong"));
    let direct = through(None).expect("a client").apiserver_version().await;
    direct.expect_err("nobody knows the name");
}
