//! Pods, which the operator only ever lists.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::{Cluster, PAGE, bounded};
use crate::error::Result;

impl Cluster {
    /// Whether one of the pods of a namespace `is_it`, from the API server, page by page.
    ///
    /// # Errors
    /// [`crate::error::Error::Cluster`].
    pub async fn has_pod(&self, namespace: &str, is_it: impl Fn(&Pod) -> bool) -> Result<bool> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = bounded::<Pod, _>("list", api.list(&parameters)).await?;
            if page.items.iter().any(&is_it) {
                return Ok(true);
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => parameters = parameters.continue_token(&next),
                None => return Ok(false),
            }
        }
    }
}
