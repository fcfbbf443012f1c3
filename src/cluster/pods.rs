//! Pods, which the operator only ever lists. They are read as plain JSON: the code for all that a pod may have would be a
//! tenth of the program.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use super::{Cluster, PAGE, bounded};
use crate::error::Result;

impl Cluster {
    /// Whether one of the pods of a namespace `is_it`, by spec and status, from the API server, page by page.
    ///
    /// # Errors
    /// [`crate::error::Error::Cluster`].
    pub async fn has_pod(&self, namespace: &str, is_it: impl Fn(&Value) -> bool) -> Result<bool> {
        let pods = ApiResource::erase::<Pod>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, &pods);
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = bounded::<Pod, _>("list", api.list(&parameters)).await?;
            if page.items.iter().any(|pod| is_it(&pod.data)) {
                return Ok(true);
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => parameters = parameters.continue_token(&next),
                None => return Ok(false),
            }
        }
    }
}
