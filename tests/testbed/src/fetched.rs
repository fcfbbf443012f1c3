//! What is fetched once and then kept in the cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{go_build, process};

/// Returns the folder `name` of the cache folder, and has `fetch` make it first if it does not exist. Parallel callers,
/// also in other processes, fetch once. Progress is written to stderr.
///
/// `fetch` gets an empty folder to work in and returns the one below it that is kept. `what` says what is fetched.
///
/// # Errors
/// The error of `fetch`, or when the cache folder cannot be written.
pub(crate) fn ensure(
    cache: &Path,
    name: &str,
    what: &str,
    fetch: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let finished = cache.join(name);
    if finished.is_dir() {
        return Ok(finished);
    }
    let _lock = go_build::lock(cache, name)?;
    if finished.is_dir() {
        return Ok(finished);
    }
    eprintln!("testbed: fetching {name}, {what}, but only once");
    let started = Instant::now();
    // Only the holder of the lock gets here, so a leftover is from a process that was killed.
    let scratch = cache.join(format!("{name}.fetching"));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let made = fetch(&scratch).with_context(|| format!("fetching {name}"))?;
    fs::rename(made, &finished)?;
    fs::remove_dir_all(&scratch)?;
    eprintln!("testbed: fetched {name} in {} s", started.elapsed().as_secs());
    Ok(finished)
}

/// Runs a command to its end; fails with its error output if it fails. `what`: its name in messages.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) fn run(what: &str, mut command: Command) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = process::start(command)?.wait_with_output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{what} ended with {}:\n{}", output.status, complaint.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_nothing_and_a_second_call_fetches_nothing() -> Result<()> {
        let cache = tempfile::tempdir()?;
        let failed = ensure(cache.path(), "part", "a part", |_| bail!("no network"));
        let error = format!("{:#}", failed.expect_err("it was fetched"));
        assert!(
            error.contains("fetching part") && error.contains("no network"),
            "{error}"
        );
        assert!(!cache.path().join("part").exists());

        let make = |scratch: &Path| {
            fs::create_dir(scratch.join("made"))?;
            fs::write(scratch.join("made/file"), "content")?;
            Ok(scratch.join("made"))
        };
        let folder = ensure(cache.path(), "part", "a part", make)?;
        let again = ensure(cache.path(), "part", "a part", |_| bail!("fetched again"))?;
        assert_eq!(again, folder);
        assert_eq!(fs::read_to_string(folder.join("file"))?, "content");
        assert!(!cache.path().join("part.fetching").exists());
        Ok(())
    }
}
