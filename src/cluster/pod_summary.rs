//! What the operator needs to know of a pod.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// Which Secrets a pod uses, and since when its containers run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodSummary {
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    #[serde(deserialize_with = "listed")]
    volumes: Vec<Volume>,
    #[serde(deserialize_with = "listed")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "listed")]
    containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    secret: Option<SecretVolume>,
    projected: Option<Projected>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SecretVolume {
    secret_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Projected {
    #[serde(deserialize_with = "listed")]
    sources: Vec<Source>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    secret: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    #[serde(deserialize_with = "listed")]
    env: Vec<Variable>,
    #[serde(deserialize_with = "listed")]
    env_from: Vec<Variables>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Variable {
    value_from: Option<VariableSource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VariableSource {
    secret_key_ref: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Variables {
    secret_ref: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(deserialize_with = "listed")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "listed")]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: Option<State>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Running>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Running {
    started_at: Option<String>,
}

/// A list, which the Kubernetes API may write as null.
fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl PodSummary {
    /// Whether the pod uses a Secret, as a volume or in the environment of a container.
    pub fn uses(&self, secret: &str) -> bool {
        let is_it = |named: &Option<Named>| named.as_ref().is_some_and(|named| named.name == secret);
        let is_mounted = |volume: &Volume| {
            let whole = volume.secret.as_ref().is_some_and(|whole| whole.secret_name == secret);
            let mut sources = volume.projected.iter().flat_map(|projected| &projected.sources);
            whole || sources.any(|source| is_it(&source.secret))
        };
        let is_in_variables = |container: &Container| {
            let mut single = container.env.iter().filter_map(|variable| variable.value_from.as_ref());
            container.env_from.iter().any(|all| is_it(&all.secret_ref)) || single.any(|one| is_it(&one.secret_key_ref))
        };
        let mut containers = self.spec.init_containers.iter().chain(&self.spec.containers);
        self.spec.volumes.iter().any(is_mounted) || containers.any(is_in_variables)
    }

    /// Whether a container runs since before this time.
    pub fn runs_since_before(&self, at: Timestamp) -> bool {
        let Status {
            init_container_statuses,
            container_statuses,
        } = &self.status;
        let all = init_container_statuses.iter().chain(container_statuses);
        let mut running = all.filter_map(|found| found.state.as_ref()?.running.as_ref());
        running.any(|running| {
            let started = running.started_at.as_deref().and_then(|started| started.parse().ok());
            started.is_none_or(|started: Timestamp| started < at)
        })
    }
}
