//! Configuration of containerd and kubelet, all within the run folder.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::{BRIDGE, CLUSTER_DOMAIN, GATEWAY, NAME, Programs};
use crate::run_dir::RunDir;

/// File name of containerd's socket.
pub(super) const SOCKET: &str = "containerd.sock";
/// Image of the container that holds a pod's namespaces.
pub(super) const PAUSE: &str = "localhost/pause:1";

/// Writes all files that [`script`] refers to.
pub(super) fn write(run: &RunDir, kubeconfig: &str) -> Result<()> {
    run.write("node.kubeconfig", kubeconfig)?;
    run.write("containerd.toml", &containerd(run.path()))?;
    std::fs::create_dir(run.path().join("cni"))?;
    run.write("cni/10-bridge.conflist", &network())?;
    run.write("kubelet.json", &kubelet(run.path()))?;
    Ok(())
}

/// Starts containerd, then becomes kubelet. `/run` is empty in the mount namespace, so that nothing of a node stays there.
pub(super) fn script(run: &Path, programs: &Programs) -> String {
    let run = run.display();
    let folder = programs.containerd.parent().unwrap_or(Path::new("/")).display();
    let (containerd, ctr, kubelet) = (
        programs.containerd.display(),
        programs.ctr.display(),
        programs.kubelet.display(),
    );
    format!(
        "set -eu\n\
         mount -t tmpfs tmpfs /run\n\
         export PATH=\"{folder}:$PATH\"\n\
         '{containerd}' --config '{run}/containerd.toml' >'{run}/containerd.log' 2>&1 &\n\
         until '{ctr}' --address '{run}/{SOCKET}' version >/dev/null 2>&1; do sleep 0.1; done\n\
         exec '{kubelet}' --config '{run}/kubelet.json' --kubeconfig '{run}/node.kubeconfig' \
             --root-dir '{run}/kubelet' --cert-dir '{run}/kubelet-pki' --hostname-override={NAME} \
             --node-ip={GATEWAY} >'{run}/kubelet.log' 2>&1\n"
    )
}

/// `restrict_oom_score_adj`: containers of this machine may not lower that score. The native snapshotter needs no
/// overlay file system; only the local pull knows it.
fn containerd(run: &Path) -> String {
    let run = run.display();
    format!(
        "version = 3\n\
         root = '{run}/containerd'\n\
         state = '{run}/containerd-state'\n\
         disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.snapshotter.v1.erofs', \
             'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.btrfs', \
             'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.zfs', \
             'io.containerd.tracing.processor.v1.otlp']\n\
         [grpc]\n\
         address = '{run}/{SOCKET}'\n\
         [plugins.'io.containerd.cri.v1.runtime']\n\
         restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n\
         bin_dirs = ['/usr/lib/cni', '/opt/cni/bin']\n\
         conf_dir = '{run}/cni'\n\
         [plugins.'io.containerd.cri.v1.images']\n\
         snapshotter = 'native'\n\
         use_local_image_pull = true\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n\
         sandbox = '{PAUSE}'\n"
    )
}

/// A bridge with addresses below the gateway's. Each pod reaches this machine through it, and nothing else.
fn network() -> String {
    let [a, b, c, _] = GATEWAY.octets();
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "testbed",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": format!("{a}.{b}.{c}.0/24"), "gateway": GATEWAY }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
                "dataDir": "/run/cni-addresses",
            },
        }],
    });
    network.to_string()
}

/// This machine may have cgroup v1, swap, and a full disk; none of that is what is tested.
fn kubelet(run: &Path) -> String {
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": GATEWAY,
        "port": 10250,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "containerRuntimeEndpoint": format!("unix://{}/{SOCKET}", run.display()),
        "clusterDNS": [GATEWAY],
        "clusterDomain": CLUSTER_DOMAIN,
        "podLogsDir": run.join("pod-logs"),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": false,
        "failCgroupV1": false,
        "failSwapOn": false,
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "4s",
        "registerNode": true,
    });
    configuration.to_string()
}
