//! A server behind a proxy, and a client that talks to the proxy.

use std::time::Duration;

use reqwest::{Certificate, Client};
use testbed::proxy::{Exchange, Outcome, Proxy};

use crate::server::{Pki, Server};

/// More than any step takes; reached only on failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Bed {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) client: Client,
}

impl Bed {
    pub(crate) async fn http() -> Self {
        let server = Server::http().await;
        let proxy = Proxy::start("test", server.upstream(), None).await.unwrap();
        Self::new(server, proxy, None)
    }

    pub(crate) async fn https() -> Self {
        testbed::init();
        let (behind, before) = (Pki::new(), Pki::new());
        let server = Server::https(&behind).await;
        let proxy = Proxy::start("test", server.upstream(), Some(before.identity()))
            .await
            .unwrap();
        Self::new(server, proxy, Some(&before.ca_pem))
    }

    fn new(server: Server, proxy: Proxy, ca_pem: Option<&str>) -> Self {
        testbed::init();
        let roots = ca_pem.map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap());
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only(roots)
            .user_agent("tester/1")
            .build()
            .unwrap();
        Self { server, proxy, client }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.proxy.url())
    }

    pub(crate) async fn get(&self, target: &str) -> reqwest::Result<String> {
        let send = self.client.get(self.url(target)).send();
        let text = async { send.await?.text().await };
        tokio::time::timeout(LIMIT, text).await.expect("an end")
    }

    /// Starts a request that is not expected to end before something else happens.
    pub(crate) fn spawn_get(&self, target: &str) -> tokio::task::JoinHandle<reqwest::Result<String>> {
        let request = self.client.get(self.url(target));
        tokio::spawn(async { request.send().await?.text().await })
    }

    /// Waits for the first request that a fault of this name strikes.
    pub(crate) async fn recorded(&self, fault: &'static str) -> Exchange {
        let journal = self.proxy.journal();
        let struck = journal.wait_for(|exchange| exchange.fault == Some(fault), LIMIT);
        struck.await.unwrap()
    }

    /// Waits until an exchange is over, one way or the other.
    pub(crate) async fn ended(&self, seq: u64) -> Exchange {
        let ended = self.proxy.journal().wait_for(
            |exchange| exchange.seq == seq && exchange.outcome != Outcome::Open,
            LIMIT,
        );
        ended.await.unwrap()
    }
}
