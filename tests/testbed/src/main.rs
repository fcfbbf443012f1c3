//! `testbed`: starts the real servers for work by hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use testbed::Foulkon;
use testbed::demo::{Demo, Story};
use testbed::foulkon;
use testbed::process::{self, Child, Signal};
use testbed::servers::{Part, Servers};
use tokio::signal::unix::{SignalKind, signal};

/// Time between two checks of a command that was started.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Starts a real Kubernetes control plane and more on loopback, each on free ports, in a temporary folder.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start the servers, print where they are as shell exports, and stay until Ctrl-C or SIGTERM.
    Up(Parts),
    /// Start the servers, run a command that finds them in its environment, and return its exit code.
    Run {
        #[command(flatten)]
        parts: Parts,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Start a cluster and its servers, install the operator, apply and show the samples, and stay until Ctrl-C.
    Demo {
        /// Which servers: Ory Hydra, OpenBao in the role of a Vault, or both and a Foulkon that trusts them.
        #[arg(value_name = "SERVER", default_value = "hydra")]
        story: Story,
    },
    /// Start only the stand-in for a Foulkon worker, print its address, and stay until Ctrl-C or SIGTERM. SIGHUP
    /// restarts it, and it loads its providers.
    Foulkon {
        /// Where it listens. Port 0: a free one.
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Name and password of its administrator.
        #[arg(long, value_name = "USER:PASSWORD")]
        admin: String,
    },
    /// Create many clients, restart the operator, delete the clients, and print what each step takes.
    Bench {
        /// Number of clients.
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
    },
    /// Let the operator register resources of every sort on every server, and store what it leaves in a new folder: the
    /// state that later versions must take over.
    Export {
        /// The folder, for example `tests/states/0.1.0`.
        folder: PathBuf,
    },
    /// Only build the programs that are missing, and print where they are.
    Build {
        #[command(flatten)]
        parts: Parts,
        /// All programs that the plain tests use.
        #[arg(long)]
        all: bool,
    },
}

#[derive(clap::Args)]
struct Parts {
    /// Parts besides the control plane, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    with: Vec<Part>,
}

#[tokio::main]
async fn main() -> ExitCode {
    testbed::init();
    let result = match Cli::parse().verb {
        Verb::Up(parts) => up(&parts.with).await,
        Verb::Run { parts, command } => run(&parts.with, &command).await,
        Verb::Demo { story } => demo(story).await,
        Verb::Foulkon { listen, admin } => foulkon(listen, &admin).await,
        Verb::Bench { clients } => testbed::bench::run(clients).await.map(|()| ExitCode::SUCCESS),
        Verb::Export { folder } => testbed::state::export(&folder).await.map(|()| ExitCode::SUCCESS),
        Verb::Build { all: true, .. } => build(&Part::plain()).await,
        Verb::Build { parts, all: false } => build(&parts.with).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("testbed: {error:#}"); // without the backtrace that returning the error could print
        ExitCode::FAILURE
    })
}

async fn build(parts: &[Part]) -> Result<ExitCode> {
    for path in Servers::build(parts).await? {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(parts: &[Part]) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let servers = tokio::select! {
        servers = Servers::start(parts) => servers?,
        () = stop.asked() => return Ok(ExitCode::SUCCESS),
    };
    for child in servers.children() {
        let log = child.log().map(|log| log.display().to_string()).unwrap_or_default();
        println!("# {} pid={} log={log}", child.name(), child.pid());
    }
    for (name, value) in servers.environment()? {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
    println!("# ready; Ctrl-C stops the servers and removes their data");
    stop.asked().await;
    Ok(ExitCode::SUCCESS)
}

async fn demo(story: Story) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let mut demo = tokio::select! {
        demo = Demo::start(story) => demo?,
        () = stop.asked() => return Ok(ExitCode::SUCCESS),
    };
    demo.show().await?;
    tokio::select! {
        ended = demo.watch() => ended?,
        () = stop.asked() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn foulkon(listen: SocketAddr, admin: &str) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut foulkon = Foulkon::at(listen, admin).await?;
    let quoted = admin.replace('\'', r"'\''");
    println!("export {}='{}'", foulkon::URL_VARIABLE, foulkon.address());
    println!("export {}='{quoted}'", foulkon::ADMIN_VARIABLE);
    println!("# ready; SIGHUP restarts the worker, Ctrl-C stops it and removes its data");
    loop {
        tokio::select! {
            () = stop.asked() => return Ok(ExitCode::SUCCESS),
            _ = hang_up.recv() => foulkon.restart().await?,
        }
    }
}

async fn run(parts: &[Part], command: &[String]) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let servers = tokio::select! {
        servers = Servers::start(parts) => servers?,
        () = stop.asked() => return Ok(ExitCode::FAILURE),
    };
    let (program, arguments) = command.split_first().context("no command")?;
    let mut invocation = process::command(program);
    invocation.args(arguments).envs(servers.environment()?);
    let mut child = Child::spawn_in_terminal(program, invocation)?;
    loop {
        if let Some(status) = child.exit_status()? {
            return Ok(exit_code(status));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            // The command decides when to end. The terminal sends it Ctrl-C too, but only this program sends SIGTERM.
            _ = stop.interrupt.recv() => {}
            _ = stop.terminate.recv() => child.signal(Signal::TERM)?,
        }
    }
}

/// A command killed by a signal counts as failed; shells add the signal's number to 128.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The signals that ask this program to end. While this value exists, they no longer end it directly.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next such signal.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
