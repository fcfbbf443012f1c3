//! The client of the Kubernetes API: in a pod that of its ServiceAccount, elsewhere that of a kubeconfig.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use hyper::{Request, Response, Uri};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioExecutor;
use kube::api::ListParams;
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Config};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use url::Url;

use crate::decode::{Decode, Item};
use crate::proxies::{Proxies, Proxy};

mod stream;

pub use stream::{at_once, fold};

/// Stands in a kubeconfig for "no proxy". Otherwise kube takes `HTTPS_PROXY`, and fails if it does not understand it.
const NO_PROXY: &str = "http://no-proxy.invalid";

/// Sends requests to the Kubernetes API.
pub type Sender = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client of the Kubernetes API, to which layers can be added.
///
/// # Errors
/// If there is no configuration, or an unusable one.
pub async fn client(proxies: &Proxies) -> Result<ClientBuilder<Sender>> {
    let (config, proxy) = configuration(proxies).await?;
    built(config, proxy.as_ref())
}

/// A client of the cluster of a kubeconfig's current context.
///
/// # Errors
/// If there is no such context, or it cannot be used.
pub async fn client_of(kubeconfig: Kubeconfig, proxies: &Proxies) -> Result<ClientBuilder<Sender>> {
    let (config, own) = configured(kubeconfig).await?;
    let proxy = proxy_to(&config, own, proxies)?;
    built(config, proxy.as_ref())
}

/// All objects of an API, page by page.
///
/// # Errors
/// If a page cannot be read.
pub async fn all<K: Decode + Debug>(api: Api<Item<K>>, mut parameters: ListParams) -> kube::Result<Vec<K>> {
    let mut all = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        all.extend(page.items.into_iter().map(|Item(found)| found));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn built(mut config: Config, proxy: Option<&Proxy>) -> Result<ClientBuilder<Sender>> {
    // A retried POST could act twice. The operator retries whole passes instead.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    // Above the 290 s of a watch: a connection that is silent for longer is dead.
    config.read_timeout = Some(Duration::from_secs(300));
    if let Some(proxy) = proxy {
        tracing::info!(proxy = proxy.shown(), "the Kubernetes API is reached through a proxy");
    }
    builder(config, proxy).context("the configuration of the Kubernetes client is not usable")
}

/// Where the Kubernetes API is, and through which proxy: that of the kubeconfig, or else that of the environment. The
/// Kubernetes API of the pod's own cluster is always reached directly.
async fn configuration(proxies: &Proxies) -> Result<(Config, Option<Proxy>)> {
    if let Ok(kubeconfig) = Kubeconfig::read()
        && let Ok((config, own)) = configured(kubeconfig).await
    {
        let proxy = proxy_to(&config, own, proxies)?;
        return Ok((config, proxy));
    }
    let inferred = Config::infer().await;
    let config = inferred.context("no usable configuration of the Kubernetes client was found")?;
    Ok((config, None))
}

/// The configuration of a kubeconfig's current context, and its `proxy-url`.
async fn configured(mut kubeconfig: Kubeconfig) -> Result<(Config, Option<String>), KubeconfigError> {
    let own = own_proxy(&mut kubeconfig);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok((config, own))
}

fn proxy_to(config: &Config, own: Option<String>, proxies: &Proxies) -> Result<Option<Proxy>> {
    if let Some(text) = own {
        let proxy = Proxy::parse(&text).context("proxy-url in the kubeconfig is not the URL of an HTTP proxy")?;
        return Ok(Some(proxy));
    }
    let url = Url::parse(&config.cluster_url.to_string()).ok();
    Ok(url.and_then(|url| proxies.to(&url).cloned()))
}

/// The `proxy-url` of the current context's cluster, which is replaced by [`NO_PROXY`].
fn own_proxy(kubeconfig: &mut Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_ref();
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|context| Some(&context.name) == current)?;
    let name = context.context.as_ref()?.cluster.clone();
    let mut clusters = kubeconfig.clusters.iter_mut();
    let cluster = clusters.find(|cluster| cluster.name == name)?.cluster.as_mut()?;
    let own = cluster.proxy_url.replace(NO_PROXY.to_owned());
    own.filter(|text| !text.is_empty())
}

/// As kube's own, with a tunnel if there is a proxy.
///
/// # Errors
/// If the configuration cannot be used.
pub fn builder(mut config: Config, proxy: Option<&Proxy>) -> Result<ClientBuilder<Sender>> {
    let is_verified = config.cluster_url.scheme_str() == Some("https") && !config.accept_invalid_certs;
    if !is_verified && config.root_cert.is_none() {
        config.root_cert = Some(Vec::new()); // else kube fails in an image without CA certificates
    }
    let Some(proxy) = proxy else {
        return Ok(ClientBuilder::try_from(config)?);
    };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let tunnel = tunnel(proxy, http).context("the URL of the proxy is not usable")?;
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tunnel)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let sender = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Client::builder(TokioExecutor::new()).build(connector));
    let sender = sender.map_response(|response: Response<hyper::body::Incoming>| {
        response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
    });
    Ok(ClientBuilder::new(sender.boxed(), config.default_namespace.clone()))
}

fn tunnel(proxy: &Proxy, connector: HttpConnector) -> Option<Tunnel<HttpConnector>> {
    let everything = Matcher::builder().all(proxy.url().expose()).build();
    let found = everything.intercept(&Uri::from_static("https://any.invalid"))?;
    let tunnel = Tunnel::new(found.uri().clone(), connector);
    Some(match found.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(proxy: &str) -> Kubeconfig {
        let text = format!(
            "{{current-context: b, contexts: [{{name: a, context: {{cluster: x}}}}, {{name: b, context: {{cluster: y}}}}], \
             clusters: [{{name: x, cluster: {{server: 'https://x.test', proxy-url: 'http://other:1'}}}}, \
             {{name: y, cluster: {{server: 'https://y.test'{proxy}}}}}]}}"
        );
        Kubeconfig::from_yaml(&text).expect("a kubeconfig")
    }

    #[test]
    fn the_proxy_is_that_of_the_current_cluster() {
        for (proxy, expected) in [
            ("", None),
            (", proxy-url: ''", None),
            (", proxy-url: 'http://proxy:3128'", Some("http://proxy:3128")),
        ] {
            let mut kubeconfig = kubeconfig(proxy);
            assert_eq!(own_proxy(&mut kubeconfig).as_deref(), expected);
            let cluster = kubeconfig.clusters[1].cluster.as_ref().expect("a cluster");
            assert_eq!(
                cluster.proxy_url.as_deref(),
                Some(NO_PROXY),
                "kube must not read HTTPS_PROXY"
            );
        }
    }
}
