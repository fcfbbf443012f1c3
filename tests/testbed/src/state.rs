//! What an operator leaves in a cluster and on its servers, kept in files, so that a later version can take it over.
//!
//! The servers are behind proxies at addresses that never change, because URLs are part of what is kept.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control_plane::{ControlPlane, Stored};
use crate::demo::start_operator;
use crate::install::{self, NAMESPACE};
use crate::proxy::{Proxy, Upstream};
use crate::run_dir::RunDir;
use crate::{Bao, Foulkon, Hydra, HydraMajor, HydraOptions};

mod objects;

pub use objects::writes;

/// The resources, and the namespace with applications.
const RESOURCES: &str = include_str!("state/resources.yaml");
/// Namespace of the applications.
pub const APPLICATIONS: &str = "shop";
/// Administrator of the Foulkon.
const FOULKON_ADMIN: &str = "admin:a-password-of-the-testbed";
/// The policy that is shipped with the operator.
const POLICY: &str = include_str!("../../../deploy/vault/policy.hcl");
/// Name of the role and of the policy with which the operator logs in.
const ROLE: &str = "oidc-operator";
/// The id of that role in the resources.
const ROLE_ID: &str = "role-of-the-operator";
/// Longest time until all resources are ready.
const READY: &str = "120s";
/// Longest time until the operator has ended.
const END: Duration = Duration::from_secs(30);
/// Names of the files.
const KUBERNETES: &str = "kubernetes.json";
const CRDS: &str = "crds.yaml";
const HYDRA1: &str = "hydra1.sqlite";
const HYDRA2: &str = "hydra2.sqlite";
const BAO: &str = "bao.snapshot";
const BAO_KEYS: &str = "bao.json";
const FOULKON: &str = "foulkon.json";

/// Where the operator finds a server.
const fn at(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 71, 0, 1)), port)
}

/// A cluster, its servers, and the proxies between the operator and each of them.
pub struct Scene {
    /// The cluster.
    pub plane: ControlPlane,
    /// The Hydras, version 1 and version 2.
    pub hydras: [Hydra; 2],
    /// The OpenBao.
    pub bao: Bao,
    /// The Foulkon.
    pub foulkon: Foulkon,
    /// The proxies in front of the admin APIs, by the name of the AuthorizationServer.
    pub admins: Vec<(&'static str, Proxy)>,
    _publics: Vec<Proxy>,
}

/// What opens the OpenBao of a snapshot.
#[derive(Deserialize, Serialize)]
struct Keys {
    unseal_key: String,
    root_token: String,
}

impl Scene {
    /// Starts everything without any content but what an administrator sets up before the operator is installed.
    ///
    /// # Errors
    /// When something does not start, or another scene runs on this machine.
    pub async fn empty() -> Result<Self> {
        let scene = Self::start(None).await?;
        let root = scene.bao.root();
        root.policy(ROLE, POLICY).await?;
        root.enable_auth("approle", "approle").await?;
        let (_, secret_id) = root.approle(ROLE, ROLE).await?;
        let role_id = serde_json::json!({ "role_id": ROLE_ID });
        root.must("POST", &format!("auth/approle/role/{ROLE}/role-id"), Some(role_id))
            .await?;
        let user = root.userpass("alice", "a-password-of-the-testbed").await?;
        root.group("staff", &[&user.entity_id]).await?;
        let (name, password) = scene.foulkon.admin();
        install::make_namespace(&scene.plane, NAMESPACE).await?;
        install::make_namespace(&scene.plane, APPLICATIONS).await?;
        let secrets = objects::logins(&secret_id, name, password);
        install::apply(&scene.plane, &secrets).await?;
        Ok(scene)
    }

    /// Starts everything as it was stored in a folder.
    ///
    /// # Errors
    /// As [`Self::empty`], and when a file is missing.
    pub async fn restore(folder: &Path) -> Result<Self> {
        Self::start(Some(folder)).await
    }

    async fn start(stored: Option<&Path>) -> Result<Self> {
        let objects: Vec<Stored> = match stored {
            Some(folder) => read(folder, KUBERNETES)?,
            None => Vec::new(),
        };
        let hydra = |major: HydraMajor, public: u16, file: &str| HydraOptions {
            env: vec![("URLS_SELF_ISSUER".to_owned(), format!("http://{}", at(public)))],
            database: stored.map(|folder| folder.join(file)),
            ..HydraOptions::of(major)
        };
        let (plane, hydra1, hydra2, bao, foulkon) = tokio::try_join!(
            ControlPlane::start_with(&objects),
            Hydra::start(hydra(HydraMajor::V1, 4144, HYDRA1)),
            Hydra::start(hydra(HydraMajor::V2, 4244, HYDRA2)),
            Bao::start_as(Some(format!("http://{}", at(8200)))),
            Foulkon::at(SocketAddr::from(([127, 0, 0, 1], 0)), FOULKON_ADMIN),
        )?;
        let mut bao = bao;
        if let Some(folder) = stored {
            let keys: Keys = read(folder, BAO_KEYS)?;
            bao.restore(fs::read(folder.join(BAO))?, &keys.unseal_key, &keys.root_token)
                .await?;
            foulkon.restore(read(folder, FOULKON)?)?;
        }
        let front = async |name, port, url: &str| Proxy::start_at(name, at(port), Upstream::http(url)).await;
        Ok(Self {
            admins: vec![
                ("hydra1", front("hydra1", 4145, &hydra1.admin_url()).await?),
                ("default", front("hydra2", 4245, &hydra2.admin_url()).await?),
                ("openbao", front("openbao", 8200, &bao.address()).await?),
                ("foulkon", front("foulkon", 8000, foulkon.address()).await?),
            ],
            _publics: vec![
                front("hydra1, public", 4144, &hydra1.public_url()).await?,
                front("hydra2, public", 4244, &hydra2.public_url()).await?,
            ],
            plane,
            hydras: [hydra1, hydra2],
            bao,
            foulkon,
        })
    }

    async fn store(&self, folder: &Path) -> Result<()> {
        write(folder, KUBERNETES, &objects::of(&self.plane).await?)?;
        fs::copy(install::repository().join("deploy").join(CRDS), folder.join(CRDS))?;
        self.hydras[0].store(&folder.join(HYDRA1))?;
        self.hydras[1].store(&folder.join(HYDRA2))?;
        fs::write(folder.join(BAO), self.bao.snapshot().await?)?;
        let keys = Keys {
            unseal_key: self.bao.unseal_key().to_owned(),
            root_token: self.bao.root_token().to_owned(),
        };
        write(folder, BAO_KEYS, &keys)?;
        write(folder, FOULKON, &self.foulkon.providers().await?)
    }
}

/// Lets the operator that was built along with this program register one resource of every sort on every server, stops
/// it, and stores what it leaves in a new folder.
///
/// # Errors
/// When the folder exists, something does not start, or a resource does not become ready.
pub async fn export(folder: &Path) -> Result<()> {
    ensure!(!folder.exists(), "{} exists already", folder.display());
    let scene = Scene::empty().await?;
    let installation = install::install(&scene.plane, &[]).await?;
    let run = RunDir::new()?;
    let (mut operator, _) = start_operator(&scene.plane, &installation, &run).await?;
    install::apply_into(&scene.plane, APPLICATIONS, RESOURCES).await?;
    let mut kubectl = scene.plane.kubectl();
    kubectl.args([
        "wait",
        "--for=condition=Ready",
        "--all",
        "--timeout",
        READY,
        "--all-namespaces",
    ]);
    kubectl.arg("oac,jwks,oidcscope,oidcassign,oidcp");
    let ready = crate::process::output("kubectl wait", kubectl).await;
    if let Err(error) = ready {
        let mut kubectl = scene.plane.kubectl();
        kubectl.args(["get", "oidc", "--all-namespaces", "-o", "wide"]);
        let all = crate::process::output("kubectl get", kubectl).await?;
        return Err(error.context(format!("{all}\n{}", operator.log_tail())));
    }
    scene.until_quiet().await?;
    let ended = operator.terminate(END).await?;
    ensure!(ended.success(), "the operator ended with {ended}");
    fs::create_dir_all(folder)?;
    scene.store(folder).await
}

impl Scene {
    /// Waits until the operator has compared everything with every server twice and has written nothing.
    ///
    /// # Errors
    /// When it does not come to rest.
    pub async fn until_quiet(&self) -> Result<()> {
        let limit = Duration::from_secs(120);
        crate::wait::until("two sweeps without a write", limit, async || {
            let marks: Vec<u64> = self.admins.iter().map(|(_, proxy)| proxy.journal().mark()).collect();
            for ((name, proxy), mark) in self.admins.iter().zip(&marks) {
                let what = format!("two sweeps of {name}");
                crate::wait::until(&what, limit, async || {
                    Ok((objects::sweeps(&proxy.journal().since(*mark)) > 2).then_some(()))
                })
                .await?;
            }
            let mut writes = self.admins.iter().zip(&marks);
            let is_quiet = writes.all(|((_, proxy), mark)| objects::writes(&proxy.journal().since(*mark)).is_empty());
            Ok(is_quiet.then_some(()))
        })
        .await
    }
}

fn read<T: for<'de> Deserialize<'de>>(folder: &Path, name: &str) -> Result<T> {
    let text = fs::read_to_string(folder.join(name)).with_context(|| format!("reading {name}"))?;
    serde_json::from_str(&text).with_context(|| format!("{name} is incomplete"))
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let value: Value = serde_json::to_value(value)?;
    Ok(fs::write(
        folder.join(name),
        serde_json::to_string_pretty(&value)? + "\n",
    )?)
}
