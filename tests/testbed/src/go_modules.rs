//! The Go modules of the servers: versions, packages and flags.
//!
//! Each module is a `go.mod` and `go.sum` under this package, one per program because their dependencies clash. Both
//! are embedded here.

use std::env::consts::{ARCH, OS};

use crate::programs::short_digest;

/// A Go module and the programs built from it.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// Name and text of a source file of our own, for a program that uses the module as a library.
    pub(crate) source: Option<(&'static str, &'static str)>,
    pub(crate) steps: &'static [Step],
    /// Folders (module, path in it) whose files lie beside the programs when they are built.
    pub(crate) folders: &'static [(&'static str, &'static str)],
}

/// One run of `go build`.
pub(crate) struct Step {
    /// File name of the program; empty if there are several, each named after its package.
    pub(crate) output: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Compile with a C compiler.
    pub(crate) cgo: bool,
    pub(crate) tags: &'static str,
    /// Linker flags; versions have to be set here, or clients refuse to parse them.
    pub(crate) ldflags: &'static str,
}

impl Step {
    /// A step without C and without tags.
    const fn go(output: &'static str, packages: &'static [&'static str], ldflags: &'static str) -> Self {
        Self {
            output,
            packages,
            cgo: false,
            tags: "",
            ldflags,
        }
    }
}

/// Linker flags of Kubernetes' programs. With the same flags they share what is compiled.
const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36 \
    -X k8s.io/component-base/version.gitTreeState=clean \
    -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z \
    -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3";

/// etcd, kube-apiserver, kube-controller-manager and kubectl.
pub(crate) static CONTROL_PLANE: Module = Module {
    name: "controlplane",
    version: "1.36.3",
    go_mod: include_str!("../controlplane/go.mod"),
    go_sum: include_str!("../controlplane/go.sum"),
    source: None,
    steps: &[
        Step::go(
            "",
            &[
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kubectl",
            ],
            KUBERNETES_FLAGS,
        ),
        Step::go("etcd", &["go.etcd.io/etcd/server/v3"], "-s -w"),
    ],
    folders: &[],
};

/// Ory Hydra with SQLite, which is written in C.
pub(crate) static HYDRA2: Module = Module {
    name: "hydra2",
    version: "2.3.0",
    go_mod: include_str!("../hydra2/go.mod"),
    go_sum: include_str!("../hydra2/go.sum"),
    source: None,
    steps: &[Step {
        output: "hydra",
        packages: &["github.com/ory/hydra/v2"],
        cgo: true,
        tags: "sqlite,sqlite_omit_load_extension",
        ldflags: "-s -w -X github.com/ory/hydra/v2/driver/config.Version=v2.3.0",
    }],
    folders: &[],
};

/// Ory Hydra 1, with SQLite too.
pub(crate) static HYDRA1: Module = Module {
    name: "hydra1",
    version: "1.11.10",
    go_mod: include_str!("../hydra1/go.mod"),
    go_sum: include_str!("../hydra1/go.sum"),
    source: None,
    steps: &[Step {
        output: "hydra",
        packages: &["github.com/ory/hydra"],
        cgo: true,
        tags: "sqlite",
        ldflags: "-s -w -X github.com/ory/hydra/driver/config.Version=v1.11.10",
    }],
    folders: &[],
};

/// The linter of the workflows.
pub(crate) static ACTIONLINT: Module = Module {
    name: "actionlint",
    version: "1.7.12",
    go_mod: include_str!("../actionlint/go.mod"),
    go_sum: include_str!("../actionlint/go.sum"),
    source: None,
    steps: &[Step::go(
        "actionlint",
        &["github.com/rhysd/actionlint/cmd/actionlint"],
        "-s -w",
    )],
    folders: &[],
};

/// Helm.
pub(crate) static HELM: Module = Module {
    name: "helm",
    version: "4.3.1",
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
    source: None,
    steps: &[Step::go(
        "helm",
        &["helm.sh/helm/v4/cmd/helm"],
        "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1",
    )],
    folders: &[],
};

/// OAuth2 Proxy, an application that signs people in.
pub(crate) static OAUTH2_PROXY: Module = Module {
    name: "oauth2proxy",
    version: "7.15.6",
    go_mod: include_str!("../oauth2proxy/go.mod"),
    go_sum: include_str!("../oauth2proxy/go.sum"),
    source: None,
    steps: &[Step::go(
        "oauth2-proxy",
        &["github.com/oauth2-proxy/oauth2-proxy/v7"],
        "-s -w -X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v7.15.6",
    )],
    folders: &[],
};

/// The kubelet and the scheduler of a node.
pub(crate) static KUBELET: Module = Module {
    name: "kubelet",
    version: "1.36.3",
    go_mod: include_str!("../node/kubelet/go.mod"),
    go_sum: include_str!("../node/kubelet/go.sum"),
    source: None,
    steps: &[Step::go(
        "",
        &["k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kube-scheduler"],
        KUBERNETES_FLAGS,
    )],
    folders: &[],
};

/// The container runtime of a node.
pub(crate) static CONTAINERD: Module = Module {
    name: "containerd",
    version: "2.4.2",
    go_mod: include_str!("../node/containerd/go.mod"),
    go_sum: include_str!("../node/containerd/go.sum"),
    source: None,
    steps: &[Step::go(
        "",
        &[
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
        "-s -w",
    )],
    folders: &[],
};

/// Flux: what fetches a Git repository, and what applies it, with their custom resource definitions. These are the
/// newest versions for this version of Go.
pub(crate) static FLUX: Module = Module {
    name: "flux",
    version: "1.9.6",
    go_mod: include_str!("../flux/go.mod"),
    go_sum: include_str!("../flux/go.sum"),
    source: None,
    steps: &[Step::go(
        "",
        &[
            "github.com/fluxcd/source-controller",
            "github.com/fluxcd/kustomize-controller",
        ],
        "-s -w",
    )],
    folders: &[
        ("github.com/fluxcd/source-controller", "config/crd/bases"),
        ("github.com/fluxcd/kustomize-controller", "config/crd/bases"),
    ],
};

/// The engine of Argo CD's scripts, at the version that Argo CD uses.
pub(crate) static ARGO: Module = Module {
    name: "argo",
    version: "1.1.2",
    go_mod: include_str!("../argo/go.mod"),
    go_sum: include_str!("../argo/go.sum"),
    source: Some(("main.go", include_str!("../argo/main.go"))),
    steps: &[Step::go("argo-lua", &["."], "-s -w")],
    folders: &[],
};

/// hydra-maester, another operator for Ory Hydra, with its custom resource definition.
pub(crate) static HYDRA_MAESTER: Module = Module {
    name: "hydra-maester",
    version: "0.0.42",
    go_mod: include_str!("../hydra-maester/go.mod"),
    go_sum: include_str!("../hydra-maester/go.sum"),
    source: None,
    steps: &[Step::go("hydra-maester", &["github.com/ory/hydra-maester"], "-s -w")],
    folders: &[("github.com/ory/hydra-maester", "config/crd/bases")],
};

impl Module {
    /// Name of the module's folder in the cache: version, and a digest of all that decides what is built.
    pub(crate) fn cache_name(&self) -> String {
        let mut parts = vec![self.go_mod, self.go_sum, OS, ARCH];
        parts.extend(self.source.map(|(_, text)| text));
        for step in self.steps {
            let cgo = if step.cgo { "cgo" } else { "" };
            parts.extend([step.output, step.tags, step.ldflags, cgo]);
            parts.extend(step.packages);
        }
        for (module, folder) in self.folders {
            parts.extend([*module, *folder]);
        }
        let digest = short_digest(&parts);
        format!("{}-{}-{digest}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_names_and_linker_flags_match_the_go_mod() {
        for (module, package) in [
            (&CONTROL_PLANE, "k8s.io/kubernetes"),
            (&HYDRA2, "github.com/ory/hydra/v2"),
            (&HYDRA1, "github.com/ory/hydra"),
            (&ACTIONLINT, "github.com/rhysd/actionlint"),
            (&HELM, "helm.sh/helm/v4"),
            (&OAUTH2_PROXY, "github.com/oauth2-proxy/oauth2-proxy/v7"),
            (&KUBELET, "k8s.io/kubernetes"),
            (&CONTAINERD, "github.com/containerd/containerd/v2"),
            (&FLUX, "github.com/fluxcd/kustomize-controller"),
            (&FLUX, "github.com/fluxcd/source-controller"),
            (&ARGO, "github.com/yuin/gopher-lua"),
            (&HYDRA_MAESTER, "github.com/ory/hydra-maester"),
        ] {
            let required = format!("{package} v{}", module.version);
            assert!(
                module
                    .go_mod
                    .lines()
                    .any(|line| line.trim_start_matches("require ").trim().starts_with(&required)),
                "{required}"
            );
            for flag in module.steps.iter().flat_map(|step| step.ldflags.split_whitespace()) {
                if let Some((name, value)) = flag.split_once("ersion=v").or_else(|| flag.split_once("VERSION=v")) {
                    assert_eq!(value, module.version, "{name}");
                }
            }
        }
    }

    #[test]
    fn the_cache_name_changes_with_the_flags() {
        let other = Module { steps: &[], ..HYDRA2 };
        assert_eq!(HYDRA2.cache_name(), HYDRA2.cache_name());
        assert_ne!(HYDRA2.cache_name(), other.cache_name());
    }
}
