//! The command line: every flag has an environment variable, a default and a description.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Keeps OAuth 2.0 and OpenID Connect resources in step with an authorization server.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

/// Settings of a running operator.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The operator's own namespace: Secrets and ConfigMaps that an AuthorizationServer refers to are read there, and the Lease is kept there.
    #[arg(long, env = "OIDC_OPERATOR_NAMESPACE", default_value = "oidc-system")]
    pub namespace: String,
    /// ServiceAccount in the operator's own namespace through which it asks which audiences the Kubernetes API accepts, before a token from a Secret leaves for
    /// a server. It needs no rights. Left out: such a token leaves for none.
    #[arg(long, env = "OIDC_OPERATOR_LOGIN_SERVICE_ACCOUNT")]
    pub login_service_account: Option<String>,
    /// Id of this cluster in the marks on remote objects. Left out: the UID of the namespace kube-system. Never change it while clients exist.
    #[arg(long, env = "OIDC_OPERATOR_CLUSTER_ID")]
    pub cluster_id: Option<String>,
    /// Ids of clusters whose place this one takes, separated by commas or given one by one: what bears the mark of one of them is taken over. Anything that
    /// bears the mark of yet another cluster is somebody else's. List none that is still at work.
    #[arg(long, env = "OIDC_OPERATOR_FORMER_CLUSTER_IDS", value_delimiter = ',')]
    pub former_cluster_ids: Vec<String>,
    /// Whether only the holder of a Lease works. Without it nothing breaks if two run, but they do everything twice.
    #[arg(long, env = "OIDC_OPERATOR_LEADER_ELECTION", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,
    /// Name of the Lease.
    #[arg(long, env = "OIDC_OPERATOR_LEASE_NAME", default_value = "oidc-operator")]
    pub lease_name: String,
    /// Name of this instance in the Lease and in events. Left out: a random one.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "OIDC_OPERATOR_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// How old the text of /metrics may be, as a duration such as `1s`: with many resources it takes a while to make.
    #[arg(long, env = "OIDC_OPERATOR_METRICS_MAX_AGE", default_value = "1s", value_parser = age)]
    pub metrics_max_age: Duration,
    /// Form of log lines.
    #[arg(long, env = "OIDC_OPERATOR_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// What is logged: a level, or a filter such as `info,oidc_operator=debug`.
    #[arg(long, env = "OIDC_OPERATOR_LOG", default_value = "info")]
    pub log: String,
}

impl Run {
    /// Ids of clusters whose marks are taken over. What is left of an empty list names none.
    pub fn former_clusters(&self) -> Vec<String> {
        let ids = self.former_cluster_ids.iter().map(|id| id.trim());
        ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

fn age(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text).ok_or_else(|| "not a duration such as 1s or 500ms".to_owned())
}
