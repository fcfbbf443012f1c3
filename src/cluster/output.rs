//! What the operator creates for resources.

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object that the operator creates for a resource and writes as a whole: a Secret or a ConfigMap.
pub trait Output:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
    /// Its secret values, in every form in which a message could repeat them.
    fn secrets(&self) -> Vec<String>;
}

impl Output for Secret {
    fn secrets(&self) -> Vec<String> {
        const SHORTEST: usize = 6; // shorter ones are in many words
        let values = self.data.iter().flatten().map(|(_, value)| &value.0);
        let values = values.filter(|value| value.len() >= SHORTEST);
        let forms = values.flat_map(|value| [STANDARD.encode(value), String::from_utf8_lossy(value).into_owned()]);
        forms.collect()
    }
}

impl Output for ConfigMap {
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}
