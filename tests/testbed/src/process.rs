//! Child processes that never outlive this one.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait;

/// Program of util-linux that has the kernel kill the program it becomes when its parent dies.
const SETPRIV: &str = "setpriv";
/// Lines of a log that go into an error.
const TAIL_LINES: usize = 20;

/// A command that runs `program`, killed by the kernel when this process dies, even by SIGKILL.
///
/// Add arguments and variables to it, then start it with [`Child::spawn`] or [`start`]; started in any other way, the
/// program is killed as soon as the *thread* that started it ends.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env("GOGC", "400"); // most are Go programs; with more memory they need a fifth less of the processors
    command
}

/// Starts a [`command`] from a thread that lives as long as the process.
///
/// # Errors
/// When `setpriv` is missing or cannot be started. A missing program shows only in the child's exit code, 127.
pub fn start(command: Command) -> Result<std::process::Child> {
    let (answer, started) = sync_channel(1);
    spawner()
        .send(SpawnRequest { command, answer })
        .ok()
        .context("the spawner thread is gone")?;
    match started.recv().context("the spawner thread is gone")? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("`{SETPRIV}` was not found (or the folder to start in): install util-linux")
        }
        result => result.with_context(|| format!("running `{SETPRIV}`")),
    }
}

/// Runs a command to its end and returns what it wrote. `what`: its name in messages.
///
/// # Errors
/// When it cannot be started, or fails; the message quotes what it wrote to stderr.
pub async fn output(what: &str, mut command: tokio::process::Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("running {what}"))?;
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{what} wrote no text"))
}

/// The packages of those tools (name or absolute path, package) that are not installed.
#[must_use]
pub fn missing<'a>(tools: &[(&str, &'a str)]) -> Vec<&'a str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joined to an absolute path, a folder does not count.
    let is_there = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let missing = tools.iter().filter(|(tool, _)| !is_there(tool));
    missing.map(|(_, package)| *package).collect()
}

struct SpawnRequest {
    command: Command,
    answer: SyncSender<io::Result<std::process::Child>>,
}

/// The kernel sends the parent-death signal when the *thread* that started a child ends, and test and runtime threads
/// come and go: all children are started by one thread that never ends.
fn spawner() -> &'static Sender<SpawnRequest> {
    static SPAWNER: OnceLock<Sender<SpawnRequest>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (requests, inbox): (_, Receiver<SpawnRequest>) = channel();
        std::thread::Builder::new()
            .name("testbed-spawner".into())
            .spawn(move || {
                for mut request in inbox {
                    let _ = request.answer.send(request.command.spawn());
                }
            })
            .expect("a process can start one thread");
        requests
    })
}

/// A running program. It is killed when this value is dropped, and when this process dies.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    log: Option<PathBuf>,
    /// Length of the log, in bytes, when this child began to write to it.
    log_start: u64,
}

impl Child {
    /// Starts a [`command`], with output and errors appended to the file `log`. `name` is used in messages.
    ///
    /// # Errors
    /// When the log cannot be opened or `setpriv` cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let log_start = output.metadata()?.len();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.process_group(0); // a Ctrl-C in the terminal is for this process alone, which stops the child in order
        Ok(Self {
            name: name.to_owned(),
            process: start(command)?,
            log: Some(log.to_owned()),
            log_start,
        })
    }

    /// Starts a [`command`] that uses the terminal of this process.
    ///
    /// # Errors
    /// When `setpriv` cannot be started.
    pub fn spawn_in_terminal(name: &str, command: Command) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            process: start(command)?,
            log: None,
            log_start: 0,
        })
    }

    /// Name of the child in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The file with its output; `None` when it uses the terminal.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When the system does not know the process.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.process
            .try_wait()
            .with_context(|| format!("asking for the state of {}", self.name))
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        matches!(self.exit_status(), Ok(None))
    }

    /// Fails, with the end of the log, if it no longer runs. For use while waiting for it to become ready.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log_tail()),
        }
    }

    /// Waits until `probe` answers true, for no longer than `limit`.
    ///
    /// # Errors
    /// When the process ends meanwhile or the time is up; with the end of the log.
    pub async fn wait_ready(&mut self, limit: Duration, mut probe: impl AsyncFnMut() -> bool) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let result = wait::until(&what, limit, async || {
            self.check_alive()?;
            Ok(probe().await.then_some(()))
        })
        .await;
        match result {
            // The log of a process that has ended was quoted already.
            Err(error) if self.is_alive() => bail!("{error:#}; it wrote:\n{}", self.log_tail()),
            result => result,
        }
    }

    /// Sends a signal; does nothing if it has ended already.
    ///
    /// # Errors
    /// When the system refuses the signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.exit_status()?.is_none() {
            kill_process(Pid::from_child(&self.process), signal)
                .with_context(|| format!("sending {signal:?} to {}", self.name))?;
        }
        Ok(())
    }

    /// Waits until it ends, for no longer than `limit`.
    ///
    /// # Errors
    /// When it still runs after `limit`; it is left running.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait::until(&what, limit, async || self.exit_status()).await
    }

    /// Asks it to end (SIGTERM) and waits for that, for no longer than `limit`.
    ///
    /// # Errors
    /// When it still runs after `limit`; it is left running.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit).await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The last lines that it wrote to its log, for messages; without those of an earlier child with the same log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = self.log.as_ref().and_then(|log| fs::read(log).ok()).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or(usize::MAX);
        let own = text.get(start..).unwrap_or_default();
        tail(&String::from_utf8_lossy(own), TAIL_LINES)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(text: &str, lines: usize) -> String {
    let mut last = VecDeque::with_capacity(lines);
    for line in text.lines() {
        if last.len() == lines {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.make_contiguous().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Result<(Child, tempfile::TempDir)> {
        let folder = tempfile::tempdir()?;
        let mut command = command("sh");
        command.args(["-c", script]);
        Ok((Child::spawn("a shell", command, &folder.path().join("log"))?, folder))
    }

    #[tokio::test]
    async fn the_end_of_the_log_is_in_the_error() -> Result<()> {
        let (mut child, _folder) = shell("seq 100; exit 3")?;
        assert_eq!(child.wait(LIMIT).await?.code(), Some(3));
        let error = child.check_alive().expect_err("it has ended").to_string();
        assert!(error.contains("a shell ended with exit status: 3"), "{error}");
        assert!(error.contains("\n81\n") && error.ends_with("\n100"), "{error}");
        assert!(!error.contains("\n80\n"), "{error}");
        Ok(())
    }

    #[tokio::test]
    async fn the_log_of_an_earlier_child_is_not_quoted() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut last = String::new();
        for word in ["first", "second"] {
            let mut echo = command("echo");
            echo.arg(word);
            let mut child = Child::spawn("echo", echo, &folder.path().join("log"))?;
            child.wait(LIMIT).await?;
            last = child.log_tail();
        }
        assert_eq!(last, "second");
        assert_eq!(fs::read_to_string(folder.path().join("log"))?, "first\nsecond\n");
        Ok(())
    }

    #[tokio::test]
    async fn terminate_lets_a_process_end_in_order_and_kill_does_not() -> Result<()> {
        let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        let (mut child, _folder) = shell(script)?;
        wait::until("the trap", LIMIT, async || {
            Ok(child.log_tail().contains("ready").then_some(()))
        })
        .await?;
        assert!(child.is_alive());
        assert_eq!(child.terminate(LIMIT).await?.code(), Some(7));

        let (mut child, _folder) = shell("trap '' TERM; exec sleep 1000")?;
        child.kill();
        assert!(!child.is_alive());
        Ok(())
    }

    #[tokio::test]
    async fn a_child_outlives_the_thread_that_started_it() -> Result<()> {
        let started = std::thread::spawn(|| shell("sleep 0.2; exit 5")).join();
        let (mut child, _folder) = started.map_err(|_| anyhow::anyhow!("the thread failed"))??;
        assert_eq!(child.wait(LIMIT).await?.code(), Some(5));
        Ok(())
    }
}
