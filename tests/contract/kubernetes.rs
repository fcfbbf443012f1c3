//! The client of the Kubernetes API: behind a proxy, and without CA certificates.

use std::path::Path;

use kube::Config;
use oidc_operator::kubernetes;
use oidc_operator::proxies::Proxy;
use serde_json::{Value, json};
use testbed::forward::{ForwardProxy, Rules, Seen};

use crate::{always, json_reply};

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    })
}

#[tokio::test]
async fn requests_go_through_the_proxy_with_its_login() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _) = always(json_reply(200, &version())).await;
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

/// Environment variables.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// What `oidc-operator check` prints with this cluster in the kubeconfig and these variables, on both streams.
async fn check(name: &str, cluster: &Value, variables: Variables<'_>) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "c", "cluster": cluster }],
        "contexts": [{ "name": "c", "context": { "cluster": "c" } }],
        "current-context": "c",
    });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).expect("a file");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_oidc-operator"));
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    let output = command
        .arg("check")
        .env("KUBECONFIG", &path)
        .envs(variables.iter().copied())
        .output();
    let output = output.await.expect("a process");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn the_program_starts_whatever_the_variables_of_proxies_are() {
    let (server, _) = always(json_reply(200, &version())).await;
    let forward = ForwardProxy::start(Rules {
        hosts: vec![("kube.test:6443".to_owned(), *server.address())],
        ..Rules::default()
    });
    let forward = forward.await.expect("a proxy");
    let proxy = format!("http://user:geheim@{}", forward.address());
    let local = json!({ "server": server.uri() });
    let far = json!({ "server": "http://kube.test:6443" });
    let own = json!({ "server": "http://kube.test:6443", "proxy-url": proxy });
    let socks = json!({ "server": "http://kube.test:6443", "proxy-url": "socks5://user:geheim@nowhere" });
    let answers = "The Kubernetes API answers (version v1.36.3)";
    let bare = ("SSL_CERT_FILE", "/nonexistent");
    let no_folder = ("SSL_CERT_DIR", "/nonexistent");
    let odd = "socks 5://user:geheim@nowhere";
    let table: [(_, Variables<'_>, _, _); 7] = [
        (&local, &[bare, no_folder], answers, false),
        (&local, &[("HTTPS_PROXY", "http://127.0.0.1:9")], answers, false),
        (
            &local,
            &[("HTTPS_PROXY", odd), ("NO_PROXY", "a,,*.b, *")],
            answers,
            false,
        ),
        (&far, &[("HTTP_PROXY", &proxy)], answers, true),
        (&own, &[], answers, true),
        (
            &own,
            &[("HTTPS_PROXY", odd), ("NO_PROXY", "*"), bare, no_folder],
            answers,
            true,
        ),
        (
            &socks,
            &[],
            "proxy-url in the kubeconfig is not the URL of an HTTP proxy",
            false,
        ),
    ];
    for (nth, (cluster, variables, expected, proxied)) in table.into_iter().enumerate() {
        let before = forward.seen().len();
        let printed = check(&format!("proxies-{nth}"), cluster, variables).await;
        assert!(printed.contains(expected), "{cluster} {variables:?}: {printed}");
        assert!(!printed.contains("geheim"), "{printed}");
        assert_eq!(forward.seen().len() > before, proxied, "{cluster} {variables:?}");
    }
}
