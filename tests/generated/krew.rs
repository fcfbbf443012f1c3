//! The manifest for krew names the archives of a release as they are.

use std::process::Command;

use serde_json::Value;
use testbed::run_dir::RunDir;

fn run(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_manifest_names_both_archives_with_their_sums() {
    let folder = RunDir::new().expect("a folder");
    folder.write("kubectl-oidc", "a program").expect("a file");
    folder.write("LICENSE", "a licence").expect("a file");
    let name = |architecture: &str| format!("kubectl-oidc-9.8.7-linux-{architecture}.tar.gz");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/krew.sh");
    let mut manifest = Command::new(script);
    manifest.arg("9.8.7").arg(folder.path());
    assert!(
        !manifest.output().expect("a program").status.success(),
        "it needs the archives"
    );
    for architecture in ["amd64", "arm64"] {
        let mut tar = Command::new("tar");
        tar.current_dir(folder.path());
        run(tar.args([
            "--create",
            "--gzip",
            "--file",
            &name(architecture),
            "kubectl-oidc",
            "LICENSE",
        ]));
    }
    let manifest: Value = serde_saphyr::from_str(&run(&mut manifest)).expect("YAML");
    assert_eq!(manifest["spec"]["version"], "v9.8.7");
    let platforms = manifest["spec"]["platforms"].as_array().expect("a list");
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let architecture = platform["selector"]["matchLabels"]["arch"]
            .as_str()
            .expect("an architecture");
        let uri = platform["uri"].as_str().expect("a URL");
        assert!(
            uri.starts_with("https://") && uri.ends_with(&format!("/v9.8.7/{}", name(architecture))),
            "{uri}"
        );
        let mut sum = Command::new("sha256sum");
        let sum = run(sum.arg(folder.path().join(name(architecture))));
        assert_eq!(platform["sha256"].as_str(), sum.split(' ').next());
        assert_eq!(platform["bin"], "kubectl-oidc");
    }
}
