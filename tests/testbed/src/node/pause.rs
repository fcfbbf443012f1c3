//! The image of the container that holds a pod's namespaces.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::configuration::PAUSE;
use crate::process;
use crate::programs::hex;
use crate::run_dir::RunDir;

/// Waits for ever, and for its children.
const SOURCE: &str = "#include <signal.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
    static void end(int signal) { (void)signal; _exit(0); }\n\
    static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }\n\
    int main(void) {\n\
        signal(SIGINT, end);\n\
        signal(SIGTERM, end);\n\
        signal(SIGCHLD, reap);\n\
        for (;;) pause();\n\
    }\n";

/// Compiles the program and packs it as a docker-archive.
///
/// # Errors
/// When there is no C compiler, or no `tar`.
pub(super) async fn archive(run: &RunDir) -> Result<PathBuf> {
    let folder = run.path().join("pause");
    std::fs::create_dir(&folder)?;
    let source = run.write("pause/pause.c", SOURCE)?;
    let root = folder.join("root");
    std::fs::create_dir(&root)?;
    execute(
        "cc",
        &["-Os", "-static", "-o", &text(&root.join("pause"))?, &text(&source)?],
    )
    .await?;
    let layer = folder.join("layer.tar");
    execute("tar", &["-C", &text(&root)?, "-cf", &text(&layer)?, "pause"]).await?;
    let digest = hex(&Sha256::digest(std::fs::read(&layer)?));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let image = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    run.write("pause/config.json", &image.to_string())?;
    let manifest = json!([{ "Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"] }]);
    run.write("pause/manifest.json", &manifest.to_string())?;
    let archive = folder.join("pause.tar");
    let files = ["manifest.json", "config.json", "layer.tar"];
    let (archive_path, folder) = (text(&archive)?, text(&folder)?);
    let arguments = ["-C", folder.as_str(), "-cf", archive_path.as_str()];
    execute("tar", &[&arguments[..], &files].concat()).await?;
    Ok(archive)
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
}

async fn execute(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    process::output(program, command).await.map(drop)
}
