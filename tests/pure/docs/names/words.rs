//! What the documentation names that is not of this project.

/// Kinds, values and reasons of Kubernetes and of other programs.
pub(super) const FOREIGN_WORDS: [&str; 3] = ["OOMKilled", "Pending", "Terminating"];

/// Fields and settings of Kubernetes and of other programs.
pub(super) const FOREIGN_FIELDS: [&str; 21] = [
    // Kubernetes and Terraform.
    "envFrom",
    "terraform.tfstate",
    "metadata.generation",
    "resourceVersion",
    // Argo CD, Flux and the Prometheus Operator.
    "configs.cm",
    "dependsOn",
    "healthCheckExprs",
    "healthChecks",
    "honorLabels",
    "ruleSelector",
    "serviceMonitorSelector",
    // Charts of applications, and the SecurityPolicy of Envoy Gateway.
    "clientIDRef",
    "config.existingSecret",
    "envFromSecret",
    "oidc.config",
    "spec.oidc.clientIDRef",
    "spec.oidc.clientSecret",
    // Hydra's configuration.
    "serve.public.cors.enabled",
    // hydra-maester.
    "hydraAdmin",
    "scopeArray",
    // Entry of a Secret.
    "clientID",
];

/// The label and annotation of the policy in `deploy`, which the operator does not read.
pub(super) const PROTECTION: [&str; 1] = ["oidc-operator.dev/deletion-protection"];

/// Beginnings of code within sentences that is a command.
pub(super) const COMMANDS: [&str; 4] = ["kubectl ", "helm ", "make ", "oidc-operator "];

/// Flags of other programs that the documentation uses.
pub(super) const FLAGS: [(&str, &[&str]); 10] = [
    (
        "kubectl",
        &[
            "--all-namespaces",
            "--dry-run",
            "--filename",
            "--for",
            "--namespace",
            "--output",
            "--overwrite",
            "--all",
            "--patch",
            "--manifest-url",
            "--patch-file",
            "--server-side",
            "--show-managed-fields",
            "--timeout",
            "--type",
            "--watch",
            "--selector",
            "--previous",
            "--kustomize",
            "--field-selector",
            "--tail",
            "--field-manager",
            "--raw",
        ],
    ),
    (
        "helm",
        &[
            "--create-namespace",
            "--logs",
            "--namespace",
            "--no-hooks",
            "--reset-then-reuse-values",
            "--set",
            "--values",
            "--version",
            "--wait",
        ],
    ),
    (
        "curl",
        &[
            "--data",
            "--user",
            "--silent",
            "--fail",
            "--cacert",
            "--show-error",
            "--config",
        ],
    ),
    ("cargo", &["--bin", "--locked", "--release", "--test", "--workspace"]),
    ("testbed", &["--admin", "--with"]),
    ("base64", &["--decode"]),
    ("date", &[]),
    ("docker", &["--file", "--tag"]),
    ("velero", &["--include-cluster-resources"]),
    ("oauth2-proxy", &["--whitelist-domain"]),
];

/// Kinds of Kubernetes and of other programs in commands.
pub(super) const KUBERNETES: [&str; 20] = [
    "namespace",
    "namespaces",
    "secret",
    "secrets",
    "configmap",
    "pods",
    "pod",
    "events",
    "deployment",
    "lease",
    "oauth2clients.hydra.ory.sh",
    "serviceaccount",
    "crds",
    "crd",
    "clusterrole",
    "servicemonitor",
    "prometheusrule",
    "nodes",
    "prometheus",
    "KIND",
];
