//! Which Kubernetes cluster a marker on a server, or a claim in a status, names. Pure.
//!
//! UIDs do not distinguish clusters: a cluster that was restored from an etcd snapshot has the UIDs and statuses of the
//! original.

/// The cluster that a marker or claim names, relative to this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This cluster.
    Own,
    /// A cluster that this one replaces: objects with its marker are taken over.
    Former,
    /// Another cluster.
    Other,
}

impl Origin {
    /// `own`: the id of this cluster; `former`: ids whose markers are taken over.
    pub fn of(cluster: &str, own: &str, former: &[String]) -> Self {
        if cluster == own {
            Origin::Own
        } else if former.iter().any(|former| former == cluster) {
            Origin::Former
        } else {
            Origin::Other
        }
    }
}
