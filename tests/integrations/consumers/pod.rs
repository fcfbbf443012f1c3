//! What a kubelet makes of a Deployment: the arguments and the variables of its container.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Secret};
use kube::{Api, Client};
use serde_json::Value;

/// The container of a pod that starts now.
pub struct Container {
    /// Arguments of its program.
    pub arguments: Vec<String>,
    /// Its variables.
    pub environment: BTreeMap<String, String>,
}

impl Container {
    /// The one container of the one Deployment among manifests, with the values that Secrets and ConfigMaps have now.
    pub async fn of(client: &Client, namespace: &str, manifests: &[Value]) -> Result<Self> {
        let mut deployments = manifests.iter().filter(|manifest| manifest["kind"] == "Deployment");
        let deployment = deployments.next().context("no Deployment")?;
        ensure!(deployments.next().is_none(), "several Deployments");
        let deployment: Deployment = serde_json::from_value(deployment.clone())?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).context("no pod")?;
        let [container] = <[_; 1]>::try_from(pod.containers)
            .map_err(|containers| anyhow::anyhow!("{} containers", containers.len()))?;
        let mut environment = BTreeMap::new();
        for variable in container.env.unwrap_or_default() {
            let value = value(client, namespace, &variable).await;
            environment.insert(variable.name.clone(), value.context(variable.name)?);
        }
        ensure!(container.env_from.is_none(), "envFrom");
        Ok(Self {
            arguments: container.args.unwrap_or_default(),
            environment,
        })
    }
}

async fn value(client: &Client, namespace: &str, variable: &EnvVar) -> Result<String> {
    if let Some(value) = &variable.value {
        return Ok(value.clone());
    }
    let source = variable.value_from.clone().context("no value")?;
    if let Some(key) = source.secret_key_ref {
        let secret = Api::<Secret>::namespaced(client.clone(), namespace)
            .get(&key.name)
            .await?;
        let bytes = secret.data.unwrap_or_default().remove(&key.key).context(key.key)?;
        return String::from_utf8(bytes.0).context("no text");
    }
    if let Some(key) = source.config_map_key_ref {
        let map = Api::<ConfigMap>::namespaced(client.clone(), namespace)
            .get(&key.name)
            .await?;
        return map.data.unwrap_or_default().remove(&key.key).context(key.key);
    }
    bail!("neither from a Secret nor from a ConfigMap")
}
