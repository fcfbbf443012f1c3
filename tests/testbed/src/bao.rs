//! OpenBao, or HashiCorp Vault: a server with a configuration file, initialised and unsealed as in production.
//!
//! It stores its data with Raft, in a cluster of one: both programs support that, and OpenBao no longer writes to plain
//! files.

mod api;
mod setup;
mod sign_in;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

pub use self::api::Api;
pub use self::setup::{AccountRole, User};
pub use self::sign_in::{NONCE, Refused, SignIn, SignedIn, Step, sign_in};
use crate::pki::Pki;
use crate::process::{self, Child};
use crate::programs::Program;
use crate::run_dir::RunDir;
use crate::{http, ports, wait};

/// Longest wait for the server to listen, and then to become active; both take a second or so on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Longest wait for the server to stop, which takes about three seconds; after that it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Names within the run folder.
const CONFIG: &str = "bao.json";
const CERTIFICATE: &str = "bao.pem";
const KEY: &str = "bao.key";
const DATA: &str = "bao";
/// Prefixes of variables for the user's own servers, which would override the configuration file.
const PREFIXES: [&str; 2] = ["BAO_", "VAULT_"];

/// A running server, or a stopped one that can be started again. It is killed, and its data removed, when this value is
/// dropped.
pub struct Bao {
    process: Option<Child>, // before `run`: it is killed before its folder is removed
    settings: Settings,
    pki: Pki,
    root_token: String,
    unseal_key: String,
    run: RunDir,
}

impl Bao {
    /// Starts a server on free ports of 127.0.0.1, initialises it with one key share, unseals it, and returns when it
    /// is active. The program is fetched first if it is missing.
    ///
    /// # Errors
    /// When the program is not available or not ready in time; the message quotes the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_as(None).await
    }

    /// As [`Self::start`], with the URL that clients use (`api_addr`), for example that of a proxy.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_as(api_addr: Option<String>) -> Result<Self> {
        crate::init();
        let program = Program::Bao.path().await?;
        let run = RunDir::new()?;
        let pki = Pki::new()?;
        let (certificate, key) = pki.issue_server(&["127.0.0.1", "localhost"])?;
        run.write(CERTIFICATE, &certificate)?;
        run.write(KEY, &key)?;
        fs::create_dir(run.path().join(DATA))?;
        let (settings, process) = ports::with_free(async |ports| {
            let settings = Settings {
                program: program.clone(),
                ports,
                api_addr: api_addr.clone(),
            };
            run.write(CONFIG, &settings.config(run.path()).to_string())?;
            let process = settings.start(run.path()).await?;
            Ok((settings, process))
        })
        .await?;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let secrets = Api::new(&settings.address(), "")
            .must("POST", "sys/init", Some(shares))
            .await?;
        let bao = Self {
            process: Some(process),
            settings,
            pki,
            root_token: api::text(&secrets, "/root_token")?,
            unseal_key: api::text(&secrets, "/keys_base64/0")?,
            run,
        };
        bao.unseal().await?;
        Ok(bao)
    }

    /// URL of the plain listener, without a trailing slash; issuers of providers begin with it. It stays the same when
    /// the server is started again.
    #[must_use]
    pub fn address(&self) -> String {
        self.settings.address()
    }

    /// URL of the https listener, without a trailing slash. It requests a client certificate but does not require one.
    /// It stays the same when the server is started again.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("https://127.0.0.1:{}", self.settings.ports[1])
    }

    /// Certificate of the authority that signed the https listener's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// The authority, to issue certificates of clients.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The root token, which may do everything.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// The server's process; `None` while it is stopped.
    #[must_use]
    pub fn child(&self) -> Option<&Child> {
        self.process.as_ref()
    }

    /// The API with the root token.
    #[must_use]
    pub fn root(&self) -> Api {
        Api::new(&self.address(), &self.root_token)
    }

    /// [`Api::call`] with the root token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        self.root().call(method, path, body).await
    }

    /// [`Api::call`] with another token; an empty one for calls that need none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        Api::new(&self.address(), token).call(method, path, body).await
    }

    /// [`Api::must`] with the root token.
    ///
    /// # Errors
    /// When there is no answer or no success status; the message quotes the server.
    pub async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        self.root().must(method, path, body).await
    }

    /// Seals the server: it answers 503 to everything until it is unsealed.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn seal(&self) -> Result<()> {
        self.must("POST", "sys/seal", None).await.map(|_| ())
    }

    /// Unseals the server and returns when it is active. Does nothing if it is unsealed.
    ///
    /// # Errors
    /// When it is not active in time; the message quotes the end of the log.
    pub async fn unseal(&self) -> Result<()> {
        let key = json!({ "key": self.unseal_key });
        let anonymous = self.root().as_token("");
        anonymous.must("POST", "sys/unseal", Some(key)).await?;
        let health = format!("{}/v1/sys/health", self.address());
        let active = wait::until("the server to be active", START_LIMIT, async || {
            Ok(http::answers_ok(&health).await.then_some(()))
        })
        .await;
        active.map_err(|error| {
            let log = self.child().map(Child::log_tail).unwrap_or_default();
            anyhow!("{error:#}; it wrote:\n{log}")
        })
    }

    /// The whole state of the server (a snapshot of Raft), encrypted with a key that [`Self::unseal_key`] opens.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn snapshot(&self) -> Result<Vec<u8>> {
        let url = format!("{}/v1/sys/storage/raft/snapshot", self.address());
        let request = http::client().get(url).header("x-vault-token", &self.root_token);
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.bytes().await?.to_vec())
    }

    /// The key that unseals the server.
    #[must_use]
    pub fn unseal_key(&self) -> &str {
        &self.unseal_key
    }

    /// Replaces the state of the server by a snapshot, with the unseal key and the root token of its server.
    ///
    /// # Errors
    /// When the server refuses, or is not active in time.
    pub async fn restore(&mut self, snapshot: Vec<u8>, unseal_key: &str, root_token: &str) -> Result<()> {
        let url = format!("{}/v1/sys/storage/raft/snapshot-force", self.address());
        let request = http::client().post(url).header("x-vault-token", &self.root_token);
        request.body(snapshot).send().await?.error_for_status()?;
        self.unseal_key = unseal_key.to_owned();
        self.root_token = root_token.to_owned();
        self.stop().await;
        self.start_again().await
    }

    /// Stops the server; its ports and its data are kept. Requests under way are finished, for a few seconds at most.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A process that does not stop is killed when it is dropped, here.
            let _ = process.terminate(STOP_LIMIT).await;
        }
    }

    /// Kills the server at once; its ports and its data are kept.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server again on the same ports with the same data, unseals it, and returns when it is active. Does
    /// nothing if it runs.
    ///
    /// # Errors
    /// When it is not ready in time, or another process holds one of its ports for all that time.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.as_mut().is_some_and(Child::is_alive) {
            return Ok(());
        }
        let process = wait::until("the server's ports to be free", START_LIMIT, async || {
            match self.settings.start(self.run.path()).await {
                Err(error) if ports::is_address_in_use(&error) => Ok(None),
                result => result.map(Some),
            }
        })
        .await?;
        self.process = Some(process);
        self.unseal().await
    }
}

/// What stays the same from one start to the next.
struct Settings {
    program: PathBuf,
    /// Ports of the plain and of the https listener, then the cluster port of each.
    ports: [u16; 4],
    /// The URL that clients use. None: that of the plain listener.
    api_addr: Option<String>,
}

impl Settings {
    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The configuration, which both programs also accept as JSON.
    fn config(&self, run: &Path) -> Value {
        let [port, tls_port, cluster_port, tls_cluster_port] = self.ports;
        let local = |port: u16| format!("127.0.0.1:{port}");
        let file = |name: &str| run.join(name).to_string_lossy().into_owned();
        json!({
            "storage": { "raft": {
                "path": file(DATA),
                "node_id": "testbed",
                "performance_multiplier": "1", // with the default it takes seconds to become active
            } },
            "listener": [
                { "tcp": {
                    "address": local(port),
                    "cluster_address": local(cluster_port),
                    "tls_disable": true,
                } },
                { "tcp": {
                    "address": local(tls_port),
                    "cluster_address": local(tls_cluster_port),
                    "tls_cert_file": file(CERTIFICATE),
                    "tls_key_file": file(KEY),
                } },
            ],
            "api_addr": self.api_addr.clone().unwrap_or_else(|| self.address()),
            "cluster_addr": format!("https://{}", local(cluster_port)),
            "disable_mlock": true, // Vault requires it with Raft; OpenBao warns that it is unknown
            "ui": true, // the page on which a person signs in to an application
        })
    }

    /// Starts the server and returns when it listens; it is sealed then.
    async fn start(&self, run: &Path) -> Result<Child> {
        let mut command = process::command(&self.program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if PREFIXES.iter().any(|prefix| text.starts_with(*prefix)) {
                command.env_remove(&name);
            }
        }
        command
            .args(["server", "-log-level=warn"])
            .arg(format!("-config={}", run.join(CONFIG).display()));
        let mut child = Child::spawn("bao", command, &run.join("bao.log"))?;
        let health = format!(
            "{}/v1/sys/health?uninitcode=200&sealedcode=200&standbyok=true",
            self.address()
        );
        child
            .wait_ready(START_LIMIT, async || http::answers_ok(&health).await)
            .await?;
        Ok(child)
    }
}
