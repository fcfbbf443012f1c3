//! Which resources an operator works on, and which Secrets it watches. Pure.

use std::collections::BTreeSet;

use crate::api::AuthorizationServer;

/// Which resources an operator works on. Watches and caches of our own kinds show all namespaces and classes, because
/// what may be written depends on them: who claimed a name first, who still uses a server, whether a client is an orphan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The namespaces. None: all.
    pub namespaces: Option<BTreeSet<String>>,
    /// The class of the servers. None: servers without a class.
    pub class: Option<String>,
    /// How the operator learns of changes to Secrets.
    pub secrets: SecretAccess,
    /// Whether the operator may look at pods.
    pub pods: PodAccess,
}

/// Whether the operator may look at pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodAccess {
    /// It may not, and nothing that needs it is accepted.
    #[default]
    None,
    /// It may list them, to find out which of them use a Secret.
    Listed,
}

/// How the operator learns of changes to Secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretAccess {
    /// A watch shows the Secrets with our label.
    #[default]
    Watched,
    /// Each pass reads the Secrets of its resource, and a pass is due once per `resyncInterval`.
    Read,
}

impl Reach {
    /// Whether the operator works on the resources of a namespace.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
    }

    /// Whether the operator works on a server.
    pub fn has_server(&self, server: &AuthorizationServer) -> bool {
        self.class.as_deref() == server.spec.server_class.as_deref()
    }

    /// Whether the operator works on the resources of a server, None if it does not exist. The operator without a class
    /// reports that a server does not exist, whereas every operator may release a resource: its own class may have had
    /// the server.
    pub fn has_resource_on(&self, server: Option<&AuthorizationServer>, is_deleting: bool) -> bool {
        match server {
            Some(server) => self.has_server(server),
            None => self.class.is_none() || is_deleting,
        }
    }

    /// The namespaces in which Secrets are watched, each by a watch of its own; None stands for all. `home`: the
    /// operator's own namespace, where logins of servers are.
    pub fn watched_secrets(&self, home: &str) -> Vec<Option<String>> {
        match (self.secrets, &self.namespaces) {
            (SecretAccess::Read, _) => Vec::new(),
            (SecretAccess::Watched, None) => vec![None],
            (SecretAccess::Watched, Some(namespaces)) => {
                let all: BTreeSet<String> = namespaces.iter().cloned().chain([home.to_owned()]).collect();
                all.into_iter().map(Some).collect()
            }
        }
    }
}
