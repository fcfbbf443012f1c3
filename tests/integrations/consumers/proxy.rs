//! OAuth2 Proxy, started as a pod of the sample's Deployment would be.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::Client;
use testbed::process::{self, Child};
use testbed::programs::Program;
use testbed::{http, install};

use super::pod::Container;
use crate::stage::LIMIT;

/// Addresses in the samples.
const PUBLIC_URL: &str = "https://app.example.com";
const LISTEN: &str = "0.0.0.0:4180";
const UPSTREAM: &str = "http://app:8080";
const SIGN_OUT_HOST: &str = "id.example.com";

/// The cookie with the session of the person who is signed in.
pub const SESSION: &str = "_oauth2_proxy";

/// The application of a sample, with the addresses of this machine.
pub struct Application {
    program: PathBuf,
    /// URL at which people open the application, without a trailing slash.
    pub url: String,
    /// Its manifests.
    pub manifests: String,
    /// Its namespace.
    pub namespace: &'static str,
}

impl Application {
    /// The application of a sample, on this port, in front of `upstream`.
    pub async fn of(sample: &str, namespace: &'static str, port: u16, upstream: &str) -> Result<Self> {
        let url = format!("http://127.0.0.1:{port}");
        let manifests = sample
            .replace(PUBLIC_URL, &url)
            .replace(LISTEN, &format!("127.0.0.1:{port}"))
            .replace(UPSTREAM, upstream)
            .replace(SIGN_OUT_HOST, "127.0.0.1:*");
        Ok(Self {
            program: Program::OAuth2Proxy.path().await?,
            url,
            manifests,
            namespace,
        })
    }

    /// Starts the proxy with what Secret and ConfigMap hold now, and nothing else of this process's environment.
    pub async fn start(&self, client: &Client, log: &Path) -> Result<Child> {
        let manifests = install::manifests(&self.manifests)?;
        let container = Container::of(client, self.namespace, &manifests).await?;
        let mut command = process::command(&self.program);
        command
            .env_clear()
            .envs(container.environment)
            .args(container.arguments);
        command.arg("--cookie-secure=false"); // there is no TLS here
        let mut child = Child::spawn("oauth2-proxy", command, log)?;
        let ready = format!("{}/ready", self.url);
        child.wait_ready(LIMIT, async || http::answers_ok(&ready).await).await?;
        Ok(child)
    }
}
