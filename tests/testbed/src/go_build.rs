//! Builds the servers from source with Go, once, into a cache folder.
//!
//! A module is built from a copy of its `go.mod` and `go.sum`, so that a build cannot touch the source tree.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::go_modules::{Module, Step};
use crate::process;

/// Time between two lines of progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Lines of the compiler's output that go into an error.
const TAIL_LINES: usize = 30;

/// Returns the folder with the module's programs, and builds them first if it does not exist. Parallel callers, also in
/// other processes, build once. Progress is written to stderr.
///
/// # Errors
/// When Go or the C compiler is missing, when a module cannot be downloaded, or when the build fails.
pub(crate) fn ensure(module: &Module, cache: &Path) -> Result<PathBuf> {
    let name = module.cache_name();
    let finished = cache.join(&name);
    if finished.is_dir() {
        return Ok(finished);
    }
    let _lock = lock(cache, &name)?;
    if !finished.is_dir() {
        let _compiled = Compiled::keep(cache)?;
        build(module, &name, cache, &finished).with_context(|| format!("building {name}"))?;
    }
    Ok(finished)
}

/// What Go has compiled, several gigabytes. It is kept while programs are built, for packages that they share, and
/// removed with the last of these values in any process. If the user has set `GOCACHE`, that folder is used and stays.
pub(crate) struct Compiled {
    folder: PathBuf,
    used: File,
}

impl Compiled {
    /// Keeps the folder until the returned value is dropped, or the process dies.
    pub(crate) fn keep(cache: &Path) -> Result<Self> {
        let path = cache.join("compiled.lock");
        let used = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        used.lock_shared()
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(Self {
            folder: Self::folder(cache),
            used,
        })
    }

    fn folder(cache: &Path) -> PathBuf {
        cache.join("compiled")
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // Somebody else who still uses it removes it later. What cannot be removed now is removed after the next build.
        if self.used.unlock().is_ok() && self.used.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Holds the lock file `name` in the cache folder until the returned file is dropped, or the process dies.
pub(crate) fn lock(cache: &Path, name: &str) -> Result<File> {
    let path = cache.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("testbed: another process has {name}; waiting for it");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

fn build(module: &Module, name: &str, cache: &Path, finished: &Path) -> Result<()> {
    check_tools(module)?;
    let packages: Vec<_> = module.steps.iter().flat_map(|step| step.packages).copied().collect();
    eprintln!(
        "testbed: building {name} from source, which takes minutes, but only once: {}",
        packages.join(", ")
    );
    // Only the holder of the lock gets here, so a leftover is from a build that was killed.
    let scratch = cache.join(format!("{name}.building"));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let output = scratch.join("bin");
    fs::create_dir_all(&output)?;
    fs::write(scratch.join("go.mod"), module.go_mod)?;
    fs::write(scratch.join("go.sum"), module.go_sum)?;
    if let Some((name, text)) = module.source {
        fs::write(scratch.join(name), text)?;
    }
    let mut progress = Progress::new(name);
    for step in module.steps {
        progress.follow(go_build(step, &scratch, &output, cache))?;
    }
    for (name, folder) in module.folders {
        copy_files(&module_folder(name, &scratch)?.join(folder), &output)?;
    }
    fs::rename(&output, finished)?;
    fs::remove_dir_all(&scratch)?;
    eprintln!("testbed: built {name} in {} s", progress.started.elapsed().as_secs());
    Ok(())
}

/// Where Go keeps the source of a module that was downloaded for a build.
fn module_folder(name: &str, source: &Path) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .args(["list", "-m", "-mod=readonly", "-f", "{{.Dir}}", name]);
    let output = go.output().context("running `go`")?;
    let folder = String::from_utf8(output.stdout)?.trim().to_owned();
    if folder.is_empty() {
        bail!(
            "the source of {name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(folder.into())
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        fs::write(to.join(entry.file_name()), fs::read(entry.path())?)?; // not a copy: the sources are read-only
    }
    Ok(())
}

fn go_build(step: &Step, source: &Path, output: &Path, cache: &Path) -> Command {
    let mut go = process::command("go");
    if std::env::var_os("GOCACHE").is_none() {
        go.env("GOCACHE", Compiled::folder(cache));
    }
    go.current_dir(source)
        .env("CGO_ENABLED", if step.cgo { "1" } else { "0" })
        .env("GOTOOLCHAIN", "local") // never download another Go behind the user's back
        .env("GOWORK", "off")
        .args(["build", "-v", "-trimpath"])
        .args(["-buildvcs=false", "-mod=readonly"])
        .args(["-tags", step.tags, "-ldflags", step.ldflags])
        .arg("-o")
        .arg(output.join(step.output)) // an empty name leaves a trailing slash: a folder
        .args(step.packages);
    go
}

/// Fails with advice when a compiler is missing; `go` itself would report that only amid its output.
fn check_tools(module: &Module) -> Result<()> {
    let version = Command::new("go").env("GOTOOLCHAIN", "local").arg("version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        let wanted = module
            .go_mod
            .lines()
            .find(|line| line.starts_with("go "))
            .unwrap_or("go");
        bail!(
            "`go` was not found, but the real servers are built from source: install Go ({wanted} or newer, \
             https://go.dev/dl), or set KUBEBUILDER_ASSETS, HYDRA_BIN and HELM_BIN to programs that you have"
        );
    }
    if module.steps.iter().any(|step| step.cgo) {
        let output = Command::new("go").args(["env", "CC"]).output()?.stdout;
        let compiler = String::from_utf8_lossy(&output);
        // CC may hold arguments too.
        let found = compiler
            .split_whitespace()
            .next()
            .map(|program| Command::new(program).arg("--version").output());
        if !found.is_some_and(|run| run.is_ok_and(|output| output.status.success())) {
            bail!(
                "{} needs a C compiler, and {:?} cannot be run: install gcc",
                module.name,
                compiler.trim()
            );
        }
    }
    Ok(())
}

/// What a build has done so far.
struct Progress<'a> {
    name: &'a str,
    started: Instant,
    last_report: Instant,
    downloaded: usize,
    compiled: usize,
    tail: VecDeque<String>,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        let now = Instant::now();
        Self {
            name,
            started: now,
            last_report: now,
            downloaded: 0,
            compiled: 0,
            tail: VecDeque::new(),
        }
    }

    /// Runs `go`, reports on it every few seconds, and fails with the end of its output if it fails.
    fn follow(&mut self, mut go: Command) -> Result<()> {
        go.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut go = process::start(go)?;
        let stderr = go.stderr.take().context("stderr of go is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        self.read(&lines);
        let status = go.wait()?;
        if !status.success() {
            bail!(
                "go build ended with {status}:\n{}",
                self.tail.make_contiguous().join("\n")
            );
        }
        Ok(())
    }

    /// Reads until the other end is closed.
    fn read(&mut self, lines: &Receiver<String>) {
        loop {
            match lines.recv_timeout(REPORT_INTERVAL.saturating_sub(self.last_report.elapsed())) {
                Ok(line) => self.note(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.last_report.elapsed() >= REPORT_INTERVAL {
                self.last_report = Instant::now();
                let Self {
                    name,
                    downloaded,
                    compiled,
                    ..
                } = self;
                let seconds = self.started.elapsed().as_secs();
                eprintln!(
                    "testbed: {name}: {downloaded} modules downloaded, {compiled} packages compiled, {seconds} s"
                );
            }
        }
    }

    /// With `-v`, `go` names each package when it compiles it, alone on a line; the other lines are errors.
    fn note(&mut self, line: String) {
        if line.starts_with("go: downloading ") {
            self.downloaded += 1;
        } else if !line.contains([' ', '\t', ':']) {
            self.compiled += 1;
        } else {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_has_compiled_goes_with_its_last_user() -> Result<()> {
        let cache = tempfile::tempdir()?;
        let compiled = Compiled::folder(cache.path());
        let first = Compiled::keep(cache.path())?;
        fs::create_dir_all(compiled.join("aa"))?;
        let second = Compiled::keep(cache.path())?;
        drop(first);
        assert!(compiled.is_dir(), "another build still uses it");
        drop(second);
        assert!(!compiled.exists());
        Ok(())
    }
}
