//! The temporary folder of one running server or control plane.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

/// Start of every folder's name; the number of the process that made it follows.
const PREFIX: &str = "oidc-testbed-";

/// A temporary folder for data, keys and logs, removed when this value is dropped.
///
/// Folders left behind by processes that were killed are removed when the next process makes its first one.
#[derive(Debug)]
pub struct RunDir(TempDir);

impl RunDir {
    /// Makes a new, empty folder, readable by this user only.
    ///
    /// # Errors
    /// When the system's temporary folder cannot be written.
    pub fn new() -> Result<Self> {
        static REMOVE_STALE: Once = Once::new();
        REMOVE_STALE.call_once(remove_stale);
        tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .map(Self)
            .context("making a folder for the servers' files")
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file into the folder and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// Removes the folders of processes that no longer exist. Best effort: a folder that fails is left to the next process.
fn remove_stale() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().and_then(maker).is_some_and(is_dead) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process named in a folder's name, if it is one of ours.
fn maker(folder: &str) -> Option<Pid> {
    let (pid, _) = folder.strip_prefix(PREFIX)?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

fn is_dead(pid: Pid) -> bool {
    // A process of another user answers "not permitted", and so exists.
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_maker_and_is_removed_on_drop() -> Result<()> {
        let run = RunDir::new()?;
        let path = run.path().to_owned();
        let name = path.file_name().and_then(|name| name.to_str());
        assert_eq!(
            name.and_then(maker).map(Pid::as_raw_pid),
            i32::try_from(std::process::id()).ok()
        );
        assert!(path.is_dir());
        drop(run);
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn foreign_folders_are_left_alone() {
        for name in [
            "oidc-testbed-",
            "oidc-testbed-x-1",
            "oidc-testbed-0-abc",
            "other-12-abc",
        ] {
            assert_eq!(maker(name), None, "{name}");
        }
    }
}
