//! Which Kubernetes cluster a mark on a server, or a claim in a status, names. Pure.
//!
//! UIDs alone tell no clusters apart: a cluster that was restored from a snapshot of etcd has those of the original, and its statuses.

/// The cluster that a mark names, as this one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This cluster.
    Own,
    /// One whose place this cluster takes: what bears its mark is taken over.
    Former,
    /// Somebody else's.
    Other,
}

impl Origin {
    /// `own`: the id of this cluster; `former`: ids whose marks are taken over.
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
