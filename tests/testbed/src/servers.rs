//! A set of servers for work by hand, and the variables with their addresses.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::bao::Bao;
use crate::control_plane::ControlPlane;
use crate::foulkon::{self, Foulkon};
use crate::go_build;
use crate::hydra::{Hydra, HydraMajor, HydraOptions};
use crate::node::Node;
use crate::process::Child;
use crate::programs::{self, Program};

/// Parts besides the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A running Ory Hydra, version 1.
    Hydra1,
    /// A running Ory Hydra, version 2.
    Hydra2,
    /// A running OpenBao, initialised and unsealed, and its program on the PATH.
    Bao,
    /// A running Foulkon worker, or its stand-in.
    Foulkon,
    /// The program `helm` on the PATH.
    Helm,
    /// The program `actionlint`.
    Actionlint,
    /// A node that runs pods on this machine; as root on Linux only.
    Node,
}

impl Part {
    /// All parts that the plain tests need. A node takes long to build, and a story of its own uses it.
    #[must_use]
    pub fn plain() -> Vec<Self> {
        let mut all = Self::value_variants().to_vec();
        all.retain(|part| *part != Self::Node);
        all
    }

    /// The programs that must be built or fetched for it.
    fn programs(self) -> &'static [Program] {
        match self {
            Self::Hydra1 => &[Program::Hydra1],
            Self::Hydra2 => &[Program::Hydra2],
            Self::Bao => &[Program::Bao],
            Self::Foulkon => &[],
            Self::Helm => &[Program::Helm],
            Self::Actionlint => &[Program::Actionlint],
            Self::Node => &[
                Program::Kubelet,
                Program::KubeScheduler,
                Program::Containerd,
                Program::Ctr,
            ],
        }
    }
}

/// Running servers. They stop when this value is dropped.
pub struct Servers {
    /// Kubernetes.
    pub control_plane: ControlPlane,
    /// Ory Hydra 1, if requested.
    pub hydra1: Option<Hydra>,
    /// Ory Hydra 2, if requested.
    pub hydra2: Option<Hydra>,
    /// OpenBao, if requested.
    pub bao: Option<Bao>,
    /// Foulkon, if requested.
    pub foulkon: Option<Foulkon>,
    /// The node, if requested.
    pub node: Option<Node>,
    /// Programs to run by hand, besides `kubectl`.
    programs: Vec<PathBuf>,
}

impl Servers {
    /// Makes sure that the programs of the control plane and of `parts` exist; builds missing ones.
    ///
    /// # Errors
    /// When a program is not available.
    pub async fn build(parts: &[Part]) -> Result<Vec<PathBuf>> {
        let control_plane = [
            Program::Etcd,
            Program::KubeApiserver,
            Program::KubeControllerManager,
            Program::Kubectl,
        ];
        let _compiled = go_build::Compiled::keep(&programs::cache_folder()?)?; // the programs share packages
        let mut paths = Vec::new();
        for program in control_plane
            .into_iter()
            .chain(parts.iter().flat_map(|part| part.programs()).copied())
        {
            paths.push(program.path().await?);
        }
        Ok(paths)
    }

    /// Starts the control plane and `parts` and returns when all are ready.
    ///
    /// # Errors
    /// When a program is not available, or a server is not ready in time.
    pub async fn start(parts: &[Part]) -> Result<Self> {
        Self::build(parts).await?; // one after the other, so that their reports do not mix
        let hydra = async |part: Part, major: HydraMajor| match parts.contains(&part) {
            true => Hydra::start(HydraOptions::of(major)).await.map(Some),
            false => Ok(None),
        };
        let bao = async || match parts.contains(&Part::Bao) {
            true => Bao::start().await.map(Some),
            false => Ok(None),
        };
        let foulkon = async || match parts.contains(&Part::Foulkon) {
            true => Foulkon::start().await.map(Some),
            false => Ok(None),
        };
        let (control_plane, hydra1, hydra2, bao, foulkon) = tokio::try_join!(
            ControlPlane::start(),
            hydra(Part::Hydra1, HydraMajor::V1),
            hydra(Part::Hydra2, HydraMajor::V2),
            bao(),
            foulkon()
        )?;
        let node = match parts.contains(&Part::Node) {
            true => Some(Node::start(&control_plane).await?),
            false => None,
        };
        let mut programs = Vec::new();
        let wanted = [Part::Helm, Part::Bao].into_iter().filter(|part| parts.contains(part));
        for program in wanted.flat_map(Part::programs) {
            programs.push(program.path().await?);
        }
        Ok(Self {
            control_plane,
            hydra1,
            hydra2,
            bao,
            foulkon,
            node,
            programs,
        })
    }

    /// The variables (name, value) with which programs find the servers, and a PATH that begins with the servers'
    /// programs. Variables of OpenBao have the names of HashiCorp Vault's, whose program can replace it: OpenBao reads
    /// them too.
    ///
    /// # Errors
    /// When a path cannot be a part of PATH, or is no text.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let text = |path: PathBuf| {
            path.into_os_string()
                .into_string()
                .ok()
                .context("a path that is no text")
        };
        let mut environment = vec![("KUBECONFIG", text(self.control_plane.kubeconfig_path().to_owned())?)];
        for (hydra, admin, public) in [
            (&self.hydra1, "HYDRA1_ADMIN_URL", "HYDRA1_PUBLIC_URL"),
            (&self.hydra2, "HYDRA_ADMIN_URL", "HYDRA_PUBLIC_URL"),
        ] {
            if let Some(hydra) = hydra {
                environment.extend([(admin, hydra.admin_url()), (public, hydra.public_url())]);
            }
        }
        if let Some(bao) = &self.bao {
            environment.extend([
                ("VAULT_ADDR", bao.address()),
                ("VAULT_TOKEN", bao.root_token().to_owned()),
            ]);
        }
        if let Some(foulkon) = &self.foulkon {
            let (user, password) = foulkon.admin();
            environment.extend([
                (foulkon::URL_VARIABLE, foulkon.address().to_owned()),
                (foulkon::ADMIN_VARIABLE, format!("{user}:{password}")),
            ]);
        }
        let programs = [self.control_plane.kubectl_path()].into_iter();
        let programs = programs.chain(self.programs.iter().map(PathBuf::as_path));
        let folders = programs.filter_map(|program| program.parent()).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)))?;
        environment.push(("PATH", text(path.into())?));
        Ok(environment)
    }

    /// The processes of all servers.
    pub fn children(&self) -> impl Iterator<Item = &Child> {
        let hydras = [&self.hydra1, &self.hydra2].into_iter().flatten();
        self.control_plane
            .children()
            .iter()
            .chain(hydras.filter_map(Hydra::child))
            .chain(self.bao.iter().filter_map(Bao::child))
            .chain(self.node.iter().flat_map(Node::children))
    }
}
