//! The command line: every flag has an environment variable, a default and a description.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::labels::{self, Labels};
use crate::manual::{self, Manual};
use crate::metrics::PerResource;
use crate::reach::{PodAccess, Reach, SecretAccess};

/// Name of the Lease of the operator without a class.
pub const LEASE: &str = "oidc-operator";
/// Namespace of the Lease.
pub const LEASE_NAMESPACE: &str = "kube-system";

/// Keeps OAuth 2.0 and OpenID Connect resources in step with an authorization server.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Check whether the cluster has what the operator needs with these flags: the CRDs, and the permissions of the
    /// current user.
    Check(Box<Run>),
    /// List the resources that could not be deleted without the operator that runs with these flags.
    UninstallCheck(Box<Run>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

/// Settings of a running operator.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Namespace of the operator: it holds the Secrets and ConfigMaps that AuthorizationServers name.
    #[arg(long, env = "OIDC_OPERATOR_NAMESPACE", default_value = "oidc-system")]
    pub namespace: String,
    /// ServiceAccount in the operator's namespace, without permissions. The operator requests tokens of it to learn
    /// which audiences the Kubernetes API accepts, before it sends a token from a Secret to a server. If unset, it
    /// sends no such token.
    #[arg(long, env = "OIDC_OPERATOR_LOGIN_SERVICE_ACCOUNT")]
    pub login_service_account: Option<String>,
    /// Id of this cluster in the markers on remote objects. If unset, the UID of the namespace kube-system. Never
    /// change it while clients exist.
    #[arg(long, env = "OIDC_OPERATOR_CLUSTER_ID")]
    pub cluster_id: Option<String>,
    /// Ids of clusters that this cluster replaces, separated by commas or given one by one. The operator takes over
    /// objects that carry the marker of one of them; it leaves the objects of all other clusters alone. Do not list a
    /// cluster that is still running.
    #[arg(long, env = "OIDC_OPERATOR_FORMER_CLUSTER_IDS", value_delimiter = ',')]
    pub former_cluster_ids: Vec<String>,
    /// Labels of every Secret and ConfigMap that the operator makes, as `key=value`, separated by commas or given one
    /// by one. Labels that a resource sets itself take precedence.
    #[arg(long, env = "OIDC_OPERATOR_OUTPUT_LABELS", value_delimiter = ',', value_parser = labels::parse)]
    pub output_labels: Vec<(String, String)>,
    /// URL of the published documentation, such as `https://docs.example.com/oidc-operator`. If set, each message of a
    /// condition that calls for action, and its event, ends with a link to the page of its reason.
    #[arg(long, env = "OIDC_OPERATOR_DOCS_URL", default_value = "", hide_default_value = true, value_parser = manual::parse)]
    pub docs_url: Manual,
    /// Namespaces whose resources the operator works on, separated by commas or given one by one. If unset, all. It
    /// reads and writes Secrets and ConfigMaps in these namespaces only, and in its own those that AuthorizationServers
    /// name.
    #[arg(long, env = "OIDC_OPERATOR_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Whether the operator watches Secrets, which needs the permission to list them. If false, the operator reads
    /// the Secrets of a resource in each pass, at least once per resyncInterval, and notices changes only then.
    #[arg(long, env = "OIDC_OPERATOR_WATCH_SECRETS", default_value_t = true, action = ArgAction::Set)]
    pub watch_secrets: bool,
    /// Whether the operator may list pods, for `rotation.overlap: UntilUnused` of an OAuth2Client.
    #[arg(long, env = "OIDC_OPERATOR_LIST_PODS", default_value_t = false, action = ArgAction::Set)]
    pub list_pods: bool,
    /// The operator works on AuthorizationServers with this spec.serverClass only. If unset, on those without one. Each
    /// class has its own operator.
    #[arg(long, env = "OIDC_OPERATOR_SERVER_CLASS")]
    pub server_class: Option<String>,
    /// Whether only the holder of a Lease works. Without it, two instances break nothing but do everything twice.
    #[arg(long, env = "OIDC_OPERATOR_LEADER_ELECTION", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,
    /// Namespace of the Lease. All operators of a cluster must use the same one, so that only one operator of each class
    /// works. Only administrators should have access to it.
    #[arg(long, env = "OIDC_OPERATOR_LEASE_NAMESPACE", default_value = LEASE_NAMESPACE)]
    pub lease_namespace: String,
    /// Name of the Lease. If unset, `oidc-operator`, followed by `-` and the server class if there is one.
    #[arg(long, env = "OIDC_OPERATOR_LEASE_NAME")]
    pub lease_name: Option<String>,
    /// Name of this instance in the Lease and in events. If unset, a random name.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Address of /livez, /readyz and /metrics. `[::]` means all addresses, of IPv4 and IPv6.
    #[arg(long, env = "OIDC_OPERATOR_LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// Maximum age of the text of /metrics, as a duration such as `1s`: with many resources it takes a while to render.
    #[arg(long, env = "OIDC_OPERATOR_METRICS_MAX_AGE", default_value = "1s", value_parser = age)]
    pub metrics_max_age: Duration,
    /// Whether /metrics also has series for each resource: its condition Ready and its rotations. Their number grows with
    /// the number of resources.
    #[arg(long, env = "OIDC_OPERATOR_METRICS_PER_RESOURCE", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub metrics_per_resource: bool,
    /// Base URL of an OpenTelemetry collector that receives traces by OTLP over HTTP, for example
    /// `http://collector.monitoring:4318`. If unset, the operator records no traces. The environment variable
    /// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT takes precedence; it is the whole URL. OTEL_EXPORTER_OTLP_HEADERS may hold a login.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Part of the passes whose traces are recorded, from 0 to 1.
    #[arg(long, env = "OIDC_OPERATOR_TRACE_SAMPLE_RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub trace_sample_ratio: f64,
    /// Format of log lines.
    #[arg(long, env = "OIDC_OPERATOR_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// Log level, or a filter such as `info,oidc_operator=debug`.
    #[arg(long, env = "OIDC_OPERATOR_LOG", default_value = "info")]
    pub log: String,
}

impl Run {
    /// Whether there are series for each resource.
    pub fn per_resource(&self) -> PerResource {
        match self.metrics_per_resource {
            true => PerResource::Yes,
            false => PerResource::No,
        }
    }

    /// Ids of clusters whose markers are taken over. Empty ids, as an empty list leaves, are dropped.
    pub fn former_clusters(&self) -> Vec<String> {
        filled(&self.former_cluster_ids).collect()
    }

    /// Labels of every Secret and ConfigMap.
    pub fn output_labels(&self) -> Labels {
        let labels = self.output_labels.iter().cloned();
        labels.filter(|(key, _)| !key.is_empty()).collect()
    }

    /// Which resources this operator works on.
    pub fn reach(&self) -> Reach {
        let namespaces: BTreeSet<String> = filled(&self.watch_namespaces).collect();
        Reach {
            namespaces: (!namespaces.is_empty()).then_some(namespaces),
            class: self.server_class.clone().filter(|class| !class.is_empty()),
            secrets: match self.watch_secrets {
                true => SecretAccess::Watched,
                false => SecretAccess::Read,
            },
            pods: match self.list_pods {
                true => PodAccess::Listed,
                false => PodAccess::None,
            },
        }
    }

    /// Name of the Lease.
    pub fn lease(&self) -> String {
        let name = self.lease_name.clone().filter(|name| !name.is_empty());
        name.unwrap_or_else(|| match self.reach().class {
            Some(class) => format!("oidc-operator-{class}"),
            None => LEASE.to_owned(),
        })
    }
}

/// The elements of a list without empty ones, which an empty variable leaves.
fn filled(list: &[String]) -> impl Iterator<Item = String> {
    let elements = list.iter().map(|element| element.trim());
    elements.filter(|element| !element.is_empty()).map(str::to_owned)
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text.
    Text,
}

fn age(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text).ok_or_else(|| "not a duration such as 1s or 500ms".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "not a number from 0 to 1".to_owned())
}
