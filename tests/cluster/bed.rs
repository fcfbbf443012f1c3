//! A bed for tests: a control plane with the operator's chart installed, Hydra, fault proxies in front of both, and
//! operators that run as the chart's ServiceAccount with exactly its rights.

mod admin;
mod foulkon;
mod kinds;
mod kubectl;
mod lab;
mod operator;
mod paths;
mod remote;
mod server;
mod space;
mod vault;
mod watching;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use testbed::install::{self, Installation};
use testbed::proxy::{Identity, Proxy, Upstream};
use testbed::run_dir::RunDir;
use testbed::{Bao, ControlPlane, Foulkon, Hydra, HydraMajor, HydraOptions};

use crate::evidence::Evidence;

pub use admin::{admin_of, settled};
pub use foulkon::PROVIDERS;
pub use kinds::{Namespaced, conditions};
pub use lab::Lab;
pub use operator::{Operator, OperatorOptions};
pub use paths::{is_create, is_list, is_of_clients};
pub use remote::token_by_assertion;
pub use server::{Server, ServerOptions, everything, merge};
pub use space::{Space, client_id_of, ledger_of, text_of, uid_of};

/// Longest wait for anything that the operator has to do. With eight tests on two cores this is far more than any test
/// needs alone.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How far the operators of a bed reach: the chart's values, and with them its roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// All namespaces, with a watch of Secrets: the chart's default.
    #[default]
    Everywhere,
    /// The namespaces of the tests only.
    Namespaces,
    /// All namespaces, without a watch of Secrets.
    NoSecretWatch,
}

/// Number of namespaces that exist before the operator is installed, where it has to name them.
const NAMED_SPACES: u32 = 100;

impl Reach {
    /// Prefix of the names of its tests, unless it is the default.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Reach::Everywhere => None,
            Reach::Namespaces => Some("namespaces"),
            Reach::NoSecretWatch => Some("no_secret_watch"),
        }
    }

    /// Settings of the chart.
    fn settings(self) -> Vec<String> {
        let mut settings = vec!["login.serviceAccount.create=true".to_owned()];
        match self {
            Reach::Everywhere => settings.push("rbac.pods.list=true".to_owned()),
            Reach::Namespaces => settings.push(format!("watchNamespaces={{{}}}", self.namespaces().join(","))),
            Reach::NoSecretWatch => settings.push("rbac.secrets.watch=false".to_owned()),
        }
        settings
    }

    /// The namespaces that the operator has to know before it is installed.
    fn namespaces(self) -> Vec<String> {
        let named = if self == Reach::Namespaces { NAMED_SPACES } else { 0 };
        (1..=named).map(|nth| format!("space-{nth}")).collect()
    }
}

/// Options of a bed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The operator that runs from the start, or none.
    pub operator: Option<OperatorOptions>,
    /// The AuthorizationServer `default`, or none.
    pub server: Option<ServerOptions>,
    /// Version of Hydra.
    pub major: HydraMajor,
    /// How far the operators reach.
    pub reach: Reach,
}

impl Options {
    /// No operator and no AuthorizationServer: the test makes its own.
    pub fn bare() -> Self {
        Self {
            operator: None,
            server: None,
            ..Self::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            operator: Some(OperatorOptions::default()),
            server: Some(ServerOptions::default()),
            major: HydraMajor::default(),
            reach: Reach::default(),
        }
    }
}

/// A control plane, Hydra, and operators. All of them stop when the bed is dropped.
pub struct Bed {
    operators: Mutex<Vec<Arc<Operator>>>, // first: they stop before the servers that they use
    servers: Mutex<Vec<Arc<Server>>>,
    canaries: Mutex<BTreeSet<String>>,
    /// What programs printed for people: where, and the text.
    printed: Mutex<Vec<(String, String)>>,
    named: AtomicU32,
    installation: Installation,
    token: String,
    hydra: tokio::sync::Mutex<Hydra>,
    bao: tokio::sync::OnceCell<Bao>,
    hydra_urls: HydraUrls,
    major: HydraMajor,
    reach: Reach,
    /// Number of namespaces that the tests have.
    spaces: AtomicU32,
    plane: ControlPlane,
    run: RunDir,
}

/// URLs of Hydra itself, without a proxy. They stay the same after a restart.
struct HydraUrls {
    admin: String,
    /// URL of the admin API, with the path prefix of its version.
    prefixed: String,
    public: String,
}

impl Bed {
    /// Starts everything and returns when the operator and the AuthorizationServer `default` are ready.
    pub async fn start(options: Options) -> Result<Self> {
        let hydra = Hydra::start(HydraOptions::of(options.major));
        let (plane, hydra) = tokio::try_join!(ControlPlane::start(), hydra)?;
        for name in options.reach.namespaces() {
            install::make_namespace(&plane, &name).await?;
        }
        let settings = options.reach.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let installation = install::install(&plane, &settings)
            .await
            .context("installing the chart")?;
        let token = installation.token(&plane).await?;
        let bed = Self {
            operators: Mutex::default(),
            servers: Mutex::default(),
            printed: Mutex::default(),
            canaries: Mutex::new([token.clone()].into()),
            named: AtomicU32::new(0),
            installation,
            token,
            hydra_urls: HydraUrls {
                admin: hydra.admin_url(),
                prefixed: hydra.prefixed_admin_url(),
                public: hydra.public_url(),
            },
            major: options.major,
            reach: options.reach,
            spaces: AtomicU32::new(0),
            hydra: tokio::sync::Mutex::new(hydra),
            bao: tokio::sync::OnceCell::new(),
            plane,
            run: RunDir::new()?,
        };
        let with_operator = options.operator.is_some();
        if let Some(operator) = options.operator {
            bed.start_operator(operator).await?;
        }
        if let Some(server) = options.server {
            let server = bed.make_server("default", server).await?;
            if with_operator {
                bed.server_ready(&server.name).await?;
            }
        }
        Ok(bed)
    }

    /// Starts another operator and waits until it reports ready.
    pub async fn start_operator(&self, options: OperatorOptions) -> Result<Arc<Operator>> {
        let name = self.new_name("operator");
        let operator = Arc::new(Operator::start(self, &name, options).await?);
        lock(&self.operators).push(Arc::clone(&operator));
        Ok(operator)
    }

    /// The operator that was started first.
    pub fn operator(&self) -> Arc<Operator> {
        let first = lock(&self.operators).first().cloned();
        first.expect("a bed whose options name an operator")
    }

    /// All operators that were started, running or stopped.
    pub fn operators(&self) -> Vec<Arc<Operator>> {
        lock(&self.operators).clone()
    }

    /// A new namespace.
    pub async fn space(&self) -> Result<Space<'_>> {
        if self.reach == Reach::Namespaces {
            let nth = self.spaces.fetch_add(1, Ordering::Relaxed) + 1;
            ensure!(
                nth <= NAMED_SPACES,
                "the tests need more than {NAMED_SPACES} namespaces"
            );
            return Ok(Space::new(self, format!("space-{nth}")));
        }
        self.unnamed_space().await
    }

    /// A new namespace that the operator has not been told of.
    pub async fn unnamed_space(&self) -> Result<Space<'_>> {
        let name = self.new_name(if self.reach == Reach::Namespaces {
            "outside"
        } else {
            "space"
        });
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        let namespaces: Api<Namespace> = Api::all(self.client());
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(Space::new(self, name))
    }

    /// How far its operators reach.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The operator's own namespace, where references of an AuthorizationServer resolve. All tests of the bed share it.
    pub fn home(&self) -> Space<'_> {
        Space::new(self, install::NAMESPACE.to_owned())
    }

    /// Version of this bed's Hydra.
    pub fn major(&self) -> HydraMajor {
        self.major
    }

    /// A Kubernetes client with all rights, without a proxy.
    pub fn client(&self) -> kube::Client {
        self.plane.client()
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Hydra's process, to stop, kill or reset it. Do so only on a bed that no other test shares.
    pub fn hydra(&self) -> &tokio::sync::Mutex<Hydra> {
        &self.hydra
    }

    /// The installed chart.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Registers a secret value: the run fails if the operator exposes it anywhere.
    pub fn canary(&self, value: impl Into<String>) {
        lock(&self.canaries).insert(value.into());
    }

    /// Registers what a program printed: the run fails if a secret is in it.
    pub fn printed(&self, by: &str, text: &str) {
        lock(&self.printed).push((by.to_owned(), text.to_owned()));
    }

    /// The evidence for the closing trials.
    pub async fn evidence(&self) -> Result<Evidence> {
        self.secrets_of_bao().await?;
        let canaries = lock(&self.canaries).clone();
        let mut evidence = Evidence::of(self, canaries).await?;
        evidence.texts.extend(lock(&self.printed).iter().cloned());
        Ok(evidence)
    }

    /// All AuthorizationServers made by [`Bed::make_server`].
    pub fn servers(&self) -> Vec<Arc<Server>> {
        lock(&self.servers).clone()
    }

    /// A name that is unique on this bed, and among all beds if they share a real Foulkon.
    fn new_name(&self, kind: &str) -> String {
        let nth = self.named.fetch_add(1, Ordering::Relaxed) + 1;
        match Foulkon::is_real() {
            true => format!(
                "{kind}-{}-{nth}",
                self.plane.url().rsplit(':').next().unwrap_or_default()
            ),
            false => format!("{kind}-{nth}"),
        }
    }

    /// The last lines that the operators have logged about any of these names (about anything, if there are none), for
    /// messages of failed waits.
    pub fn last_words(&self, about: &[&str]) -> String {
        let mut words = String::new();
        for operator in self.operators() {
            words += &format!("{} wrote:\n{}\n", operator.name(), operator.log_tail(about));
        }
        words
    }

    async fn proxy_to(&self, name: &str, url: &str, https: bool) -> Result<Proxy> {
        let identity = if https { Some(self.identity()?) } else { None };
        Proxy::start(name, Upstream::http(url), identity).await
    }

    /// A certificate for 127.0.0.1, issued by the control plane's CA.
    fn identity(&self) -> Result<Identity> {
        let (certificate_pem, key_pem) = self.plane.pki().issue_server(&["127.0.0.1"])?;
        Ok(Identity {
            certificate_pem,
            key_pem,
        })
    }
}

/// Locks even after a panic in another test: one failed test must not fail all others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
