//! The command line of `kubectl oidc`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shows and changes the resources of the OIDC operator, with your rights in the cluster.
#[derive(Debug, Parser)]
#[command(
    name = super::NAME,
    bin_name = "kubectl oidc",
    version,
    about,
    after_help = "Exit codes: 0 if all is well, 1 if something is not ready, 2 if there is no answer.",
    disable_help_subcommand = true
)]
pub struct Plugin {
    /// Which cluster, and which namespace.
    #[command(flatten)]
    pub access: Access,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which cluster, and which namespace.
#[derive(Clone, Debug, Args)]
pub struct Access {
    /// Namespace of the resources. By default, that of the kubeconfig's context.
    #[arg(long, short, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig. By default, the current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig. By default, what KUBECONFIG names, or ~/.kube/config.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show servers, providers, clients and what they use as a tree, and what is wrong with those that are not ready.
    ///
    /// A resource that several others use is shown with each of them, but with what it uses only once.
    Status(Status),
    /// Replace a client secret or a key now.
    ///
    /// A client must say in `spec.rotation.overlap` for how long both secrets are valid, or accept in
    /// `spec.rotation.withoutOverlap` that the server rejects the old one at once. The next key of a key set is published first and signs later. If the server has a
    /// minimum time between rotations, the request waits for its end.
    Rotate(Change),
    /// Compare resources with their server now.
    Reconcile(Change),
    /// Let the operator leave resources and their objects on the server alone, except for deletion and revoked access.
    Suspend(Targets),
    /// Let the operator work on suspended resources again.
    Resume(Targets),
    /// Look for what keeps the operator or you from working: version and clock of the cluster, CRDs, your rights, whether an
    /// operator runs, and what it says about each server.
    ///
    /// It is of use before an installation and in trouble, changes nothing, and reports what you may not see.
    Check(Check),
    /// List what an uninstallation would leave behind: resources that only the operator can clean up.
    ///
    /// It needs the right to list the resources of all namespaces. Exit code 1 means that there are some.
    UninstallCheck(UninstallCheck),
    /// Say what a resource wants, what its server has, what differs, and who wrote last.
    ///
    /// It asks the server itself, with the login that the AuthorizationServer names, which you must be allowed to read. It
    /// changes nothing.
    Explain(Explain),
    /// Print resources for the objects that a server has and no resource manages: clients, key sets, providers, scopes and
    /// assignments.
    ///
    /// Apply them to let the operator adopt the objects; an access rule must allow it (`adopt`). It asks the server itself,
    /// with the login that the AuthorizationServer names, which you must be allowed to read. No secret is printed.
    Import(Import),
    /// Move in from another tool, with the same client ids and secrets.
    Migrate {
        /// The tool.
        #[command(subcommand)]
        from: Origin,
    },
    /// Collect what helps to find a fault, without secrets: versions, resources, events, the state of the operator and its
    /// logs, as text on stdout.
    ///
    /// It leaves out the content of Secrets and ConfigMaps, and reports what you may not read. Look at it before you pass
    /// it on: names and URLs are in it.
    SupportBundle(SupportBundle),
    /// Print a script that completes verbs and flags of `kubectl-oidc` in your shell.
    Completion(Completion),
}

/// How the plugin reaches a server.
#[derive(Clone, Debug, Args)]
pub struct Reaching {
    /// Namespace of the operator, in which the login of the server is.
    #[arg(long, default_value = "oidc-system")]
    pub operator_namespace: String,
    /// URL of the admin API, if this machine reaches the server at another address than the operator does: for example
    /// http://localhost:4445 with kubectl port-forward. The login is sent there.
    #[arg(long)]
    pub admin_url: Option<String>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The resource as KIND/NAME, for example `oauth2client/web`. A name alone means an OAuth2Client.
    #[arg(value_name = "[KIND/]NAME")]
    pub resource: String,
    /// How to reach the server.
    #[command(flatten)]
    pub reaching: Reaching,
    /// Format of the output.
    #[arg(long, short, default_value = "text")]
    pub output: Format,
}

/// Arguments of `import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// Ids of clients on Ory Hydra, or names of objects on a Vault or a Foulkon. By default, all that no resource manages.
    pub objects: Vec<String>,
    /// The AuthorizationServer.
    #[arg(long, default_value = crate::api::DEFAULT_SERVER)]
    pub server: String,
    /// Key sets of Ory Hydra to import. Hydra cannot list them.
    #[arg(long, value_name = "NAME")]
    pub key_set: Vec<String>,
    /// How to reach the server.
    #[command(flatten)]
    pub reaching: Reaching,
    /// Format of the output: YAML, or JSON.
    #[arg(long, short, default_value = "yaml")]
    pub output: Format,
}

/// Tools to move in from.
#[derive(Debug, Subcommand)]
pub enum Origin {
    /// Move OAuth2Clients of hydra-maester, with their Secrets.
    ///
    /// Without --apply it only prints what would be done. With --apply it creates a suspended OAuth2Client of the operator
    /// for each of hydra-maester, makes sure that its client would stay as it is, waits until the operator has taken over
    /// the client and the Secret, and deletes the old resource without its cleanup. Secrets keep name, keys and content, so no application restarts. hydra-maester may run
    /// meanwhile. Repeat the command if it was interrupted. It needs your rights to read and change OAuth2Clients of both
    /// kinds and to read and annotate their Secrets.
    HydraMaester(HydraMaester),
    /// Print resources for the objects of `vault_identity_oidc_*` in a state of Terraform or OpenTofu.
    ///
    /// Apply them to let the operator adopt the objects; then remove the objects from the state, as the command says on
    /// stderr, so that the two do not correct each other. Ids, secrets and logins stay. A Secret that Terraform made of
    /// the credentials of a client is taken over. No secret of the state is printed.
    Terraform(Terraform),
}

/// Arguments of `migrate terraform`.
#[derive(Clone, Debug, Args)]
pub struct Terraform {
    /// The state, as `terraform state pull` prints it.
    #[arg(long)]
    pub state: PathBuf,
    /// The AuthorizationServer.
    #[arg(long, default_value = crate::api::DEFAULT_SERVER)]
    pub server: String,
    /// Vault namespace of the objects, if the state has those of several. Empty for the root namespace.
    #[arg(long)]
    pub vault_namespace: Option<String>,
    /// Alias of the provider of the objects, if the state has those of several. Empty for the provider without alias.
    #[arg(long)]
    pub provider_alias: Option<String>,
    /// Format of the output: YAML, or JSON.
    #[arg(long, short, default_value = "yaml")]
    pub output: Format,
}

/// Arguments of `migrate hydra-maester`.
#[derive(Clone, Debug, Args)]
pub struct HydraMaester {
    /// Names of the resources. By default, all of the namespace.
    pub names: Vec<String>,
    /// Those of all namespaces.
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "names"])]
    pub all_namespaces: bool,
    /// The AuthorizationServer of resources without hydraAdmin. Others get the one with the adminUrl that their hydraAdmin
    /// names.
    #[arg(long, default_value = crate::api::DEFAULT_SERVER)]
    pub server: String,
    /// Do it.
    #[arg(long)]
    pub apply: bool,
    /// Move also a client that is not as its resource says: the operator makes it so. Without this, such a resource stays,
    /// with what would change.
    #[arg(long, requires = "apply", conflicts_with = "undo")]
    pub accept_changes: bool,
    /// Move back: with --apply, create the old resources again and delete those of the operator. Clients and Secrets stay
    /// as they are.
    #[arg(long)]
    pub undo: bool,
    /// Print instead the change of the AuthorizationServer that lets the resources take over their clients, for `kubectl
    /// patch authorizationserver NAME --type merge --patch-file`.
    #[arg(long, conflicts_with_all = ["apply", "undo"])]
    pub grants: bool,
    /// The AuthorizationServer whose change --grants prints. By default, that of --server.
    #[arg(long, requires = "grants", value_name = "NAME")]
    pub grants_for: Option<String>,
    /// Key of the client id, if your hydra-maester has set CLIENT_ID_KEY.
    #[arg(long, requires = "client_secret_key")]
    pub client_id_key: Option<String>,
    /// Key of the client secret, if your hydra-maester has set CLIENT_SECRET_KEY.
    #[arg(long, requires = "client_id_key")]
    pub client_secret_key: Option<String>,
    /// Longest wait for one resource, as a duration such as `90s`.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Format of the plan. As JSON and YAML it consists of the new resources, to keep them in Git.
    #[arg(long, short, default_value = "text")]
    pub output: Format,
}

impl HydraMaester {
    /// Keys of id and secret that the caller has named.
    pub fn keys(&self) -> Option<[&str; 2]> {
        let named = self.client_id_key.as_deref().zip(self.client_secret_key.as_deref());
        named.map(|(id, secret)| [id, secret])
    }
}

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Format of the output.
    #[arg(long, short, default_value = "text")]
    pub output: Format,
}

/// Arguments of `uninstall-check`.
#[derive(Clone, Debug, Args)]
pub struct UninstallCheck {
    /// Only what the operator of this class works on (`serverClass` of the chart). By default, that of the operator without
    /// a class.
    #[arg(long)]
    pub server_class: Option<String>,
}

/// Arguments of `support-bundle`.
#[derive(Clone, Debug, Args)]
pub struct SupportBundle {
    /// Those of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Namespace of the operator, whose pods and logs are included.
    #[arg(long, default_value = "oidc-system")]
    pub operator_namespace: String,
    /// Number of log lines of each pod.
    #[arg(long, default_value_t = 2000)]
    pub lines: i64,
}

/// Arguments of `completion`.
#[derive(Clone, Debug, Args)]
pub struct Completion {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Show the resources of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Show only resources that are not ready, and what leads to them.
    #[arg(long)]
    pub not_ready: bool,
    /// Format of the output.
    #[arg(long, short, default_value = "text")]
    pub output: Format,
}

/// Arguments of a verb that changes resources.
#[derive(Clone, Debug, Args)]
pub struct Targets {
    /// Resources as KIND/NAME, for example `oauth2client/web` or `jwks/keys`. A name alone means an OAuth2Client.
    #[arg(required = true, value_name = "[KIND/]NAME")]
    pub resources: Vec<String>,
}

/// Arguments of a verb that asks the operator for something.
#[derive(Clone, Debug, Args)]
pub struct Change {
    /// The resources.
    #[command(flatten)]
    pub targets: Targets,
    /// Wait until the operator has done it, and say why if it does not.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait for one resource, as a duration such as `90s`.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
}

/// Format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text).ok_or_else(|| "not a duration such as 90s or 5m".to_owned())
}
