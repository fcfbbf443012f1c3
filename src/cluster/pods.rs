//! Pods, which the operator only ever lists. A pod may have a megabyte, so only what is needed of each is kept, and only
//! while it is looked at.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use super::pod_summary::PodSummary;
use super::{Cluster, bounded};
use crate::error::Result;
use crate::kubernetes::fold;

impl Cluster {
    /// Whether one of the pods of a namespace `is_it`, from the API server.
    ///
    /// # Errors
    /// [`crate::error::Error::Cluster`].
    pub async fn has_pod(&self, namespace: &str, is_it: impl Fn(&PodSummary) -> bool + Send + 'static) -> Result<bool> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let take = move |found: &mut bool, pod: PodSummary| *found = *found || is_it(&pod);
        bounded::<Pod, _>("list", fold(self.client(), api.resource_url(), false, take)).await
    }
}
