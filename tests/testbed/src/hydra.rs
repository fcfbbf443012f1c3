//! Ory Hydra, version 1 or 2, with SQLite in a file.
//!
//! Never `DSN=memory`: version 2 then answers 400 to valid requests, and version 1 loses everything with its last
//! connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::process::{self, Child};
use crate::programs::{self, Program};
use crate::run_dir::RunDir;
use crate::{go_build, http, ports, wait};

/// Longest wait for Hydra to become ready, and for a migration; both take a second or two on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Longest wait for Hydra to stop; after that it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// The database within the run folder. SQLite keeps what is not yet merged into it in two files beside it.
const DATABASE: &str = "hydra.sqlite";
const DATABASE_FILES: [&str; 3] = [DATABASE, "hydra.sqlite-wal", "hydra.sqlite-shm"];

/// Which Hydra.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HydraMajor {
    /// Version 1: no prefix before the paths of the admin API.
    V1,
    /// Version 2: the prefix `/admin`.
    #[default]
    V2,
}

impl HydraMajor {
    fn program(self) -> Program {
        match self {
            Self::V1 => Program::Hydra1,
            Self::V2 => Program::Hydra2,
        }
    }
}

/// Where TLS ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Termination {
    /// There is none.
    #[default]
    None,
    /// In front of the public API: version 1 then answers 502 to a request on loopback without `X-Forwarded-Proto:
    /// https`. Version 2 does not ask for the header.
    InFront,
}

/// Options for the start of Hydra.
#[derive(Clone, Debug, Default)]
pub struct HydraOptions {
    /// Which Hydra.
    pub major: HydraMajor,
    /// Where TLS ends.
    pub termination: Termination,
    /// Environment variables (name, value) of Hydra; they override the testbed's.
    pub env: Vec<(String, String)>,
    /// A database to start with, which is copied. None: an empty one.
    pub database: Option<PathBuf>,
}

impl HydraOptions {
    /// Options for this Hydra, with defaults for the rest.
    #[must_use]
    pub fn of(major: HydraMajor) -> Self {
        Self {
            major,
            ..Self::default()
        }
    }
}

/// A running Hydra, or a stopped one that can be started again. It is killed, and its data removed, when this value is
/// dropped.
#[derive(Debug)]
pub struct Hydra {
    process: Option<Child>, // before `run`: it is killed before its folder is removed
    settings: Settings,
    empty_database: PathBuf,
    run: RunDir,
}

impl Hydra {
    /// Starts Hydra on free ports of 127.0.0.1 with an empty database and returns when both APIs are ready. The program
    /// is built first if it is missing.
    ///
    /// # Errors
    /// When the program is not available or not ready in time; the message quotes the end of its log.
    pub async fn start(options: HydraOptions) -> Result<Self> {
        crate::init();
        let program = options.major.program().path().await?;
        let empty_database = empty_database(&program, options.major).await?;
        let run = RunDir::new()?;
        let database = options.database.as_ref().unwrap_or(&empty_database);
        fs::copy(database, run.path().join(DATABASE)).with_context(|| format!("copying {}", database.display()))?;
        let (settings, process) = start_anywhere(&program, &options, run.path()).await?;
        Ok(Self {
            process: Some(process),
            settings,
            empty_database,
            run,
        })
    }

    /// Which Hydra it is.
    #[must_use]
    pub fn major(&self) -> HydraMajor {
        self.settings.options.major
    }

    /// URL of the admin API below which clients are addressed: with the prefix `/admin` for version 2. Without a
    /// trailing slash.
    #[must_use]
    pub fn prefixed_admin_url(&self) -> String {
        match self.major() {
            HydraMajor::V1 => self.admin_url(),
            HydraMajor::V2 => self.admin_url() + "/admin",
        }
    }

    /// URL of the admin API, without a trailing slash. It stays the same when Hydra is started again.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.settings.admin_url()
    }

    /// URL of the public API, which is also the issuer, without a trailing slash. It stays the same when Hydra is
    /// started again.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.settings.public_url()
    }

    /// The server's process; `None` while it is stopped.
    #[must_use]
    pub fn child(&self) -> Option<&Child> {
        self.process.as_ref()
    }

    /// Writes the database, as it is now, into a new file.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn store(&self, file: &Path) -> Result<()> {
        let database =
            rusqlite::Connection::open(self.run.path().join(DATABASE)).context("opening Hydra's database")?;
        database.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
        Ok(())
    }

    /// Stops Hydra; its ports and its database are kept. Requests under way are finished, for a few seconds at most.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A process that does not stop is killed when it is dropped, here.
            let _ = process.terminate(STOP_LIMIT).await;
        }
    }

    /// Kills Hydra at once; its ports and its database are kept.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts Hydra again on the same ports with the same database and returns when both APIs are ready. Does nothing
    /// if it runs.
    ///
    /// # Errors
    /// When it is not ready in time, or another process holds one of its ports for all that time.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.as_mut().is_some_and(Child::is_alive) {
            return Ok(());
        }
        let process = wait::until("Hydra's ports to be free", START_LIMIT, async || {
            match self.settings.start(self.run.path()).await {
                Err(error) if ports::is_address_in_use(&error) => Ok(None),
                result => result.map(Some),
            }
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops Hydra 1, migrates its database to version 2, and starts Hydra 2 on the same ports: an upgrade in place.
    /// The issuer loses the slash that version 1 puts at its end.
    ///
    /// # Errors
    /// When the program is not available, the migration fails, or Hydra is not ready in time.
    pub async fn upgrade(&mut self) -> Result<()> {
        let program = HydraMajor::V2.program().path().await?;
        self.stop().await;
        let database = self.run.path().join(DATABASE);
        prepare_upgrade(&database)?;
        migrate(&program, &database, &self.run.path().join("migrate.log")).await?;
        self.empty_database = empty_database(&program, HydraMajor::V2).await?;
        self.settings.program = program;
        self.settings.options.major = HydraMajor::V2;
        self.start_again().await
    }

    /// Stops Hydra, gives it a new, empty database and starts it again on the same ports: a server that lost its data.
    ///
    /// # Errors
    /// When the database cannot be replaced, or Hydra is not ready in time.
    pub async fn reset_database(&mut self) -> Result<()> {
        self.stop().await;
        for name in DATABASE_FILES {
            match fs::remove_file(self.run.path().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        fs::copy(&self.empty_database, self.run.path().join(DATABASE)).context("copying the empty database")?;
        self.start_again().await
    }
}

/// What stays the same from one start to the next.
#[derive(Debug)]
struct Settings {
    program: PathBuf,
    options: HydraOptions,
    /// Ports of the admin and of the public API.
    ports: [u16; 2],
}

impl Settings {
    fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    async fn start(&self, run: &Path) -> Result<Child> {
        let [admin_port, public_port] = self.ports;
        let (admin_url, public_url) = (self.admin_url(), self.public_url());
        let mut command = process::command(&self.program);
        command
            .args(["serve", "all"])
            .args(match (self.options.major, self.options.termination) {
                (HydraMajor::V1, Termination::None) => Some("--dangerous-force-http"),
                (HydraMajor::V1, Termination::InFront) => None,
                (HydraMajor::V2, _) => Some("--dev"),
            })
            .env("DSN", dsn(&run.join(DATABASE), "WAL"))
            .env("SERVE_ADMIN_HOST", "127.0.0.1")
            .env("SERVE_ADMIN_PORT", admin_port.to_string())
            .env("SERVE_PUBLIC_HOST", "127.0.0.1")
            .env("SERVE_PUBLIC_PORT", public_port.to_string())
            .env("URLS_SELF_ISSUER", &public_url)
            .env("URLS_LOGIN", format!("{public_url}/no-login-app"))
            .env("URLS_CONSENT", format!("{public_url}/no-consent-app"));
        if self.options.termination == Termination::InFront {
            command
                .env("SERVE_ADMIN_TLS_ENABLED", "false")
                .env("SERVE_PUBLIC_TLS_ALLOW_TERMINATION_FROM", "127.0.0.0/8");
        }
        common_environment(&mut command);
        command.envs(self.options.env.iter().cloned());
        let mut child = Child::spawn("hydra", command, &run.join("hydra.log"))?;
        child
            .wait_ready(START_LIMIT, async || {
                http::answers_ok(&format!("{admin_url}/health/ready")).await
                    && http::answers_ok(&format!("{public_url}/health/ready")).await
            })
            .await?;
        Ok(child)
    }
}

/// Starts Hydra on free ports, with the database that is in the run folder.
async fn start_anywhere(program: &Path, options: &HydraOptions, run: &Path) -> Result<(Settings, Child)> {
    ports::with_free(async |ports| {
        let settings = Settings {
            program: program.to_owned(),
            options: options.clone(),
            ports,
        };
        let process = settings.start(run).await?;
        Ok((settings, process))
    })
    .await
}

/// Returns a migrated database without clients, and with the keys that Hydra makes at its first start. Both take seconds,
/// a copy does not: it is made once per program and kept in the cache folder.
async fn empty_database(program: &Path, major: HydraMajor) -> Result<PathBuf> {
    let cache = programs::cache_folder()?;
    let name = format!("hydra-started-{major:?}-{}", identity(program)?).to_lowercase();
    let finished = cache.join(format!("{name}.sqlite"));
    if finished.is_file() {
        return Ok(finished);
    }
    let lock = {
        let (cache, name) = (cache.clone(), name.clone());
        move || go_build::lock(&cache, &name)
    };
    let _lock = tokio::task::spawn_blocking(lock).await??;
    if finished.is_file() {
        return Ok(finished);
    }
    let run = RunDir::new()?; // so that a failure leaves nothing incomplete in the cache
    let database = run.path().join(DATABASE);
    migrate(program, &database, &run.path().join("migrate.log")).await?;
    make_keys(program, major, &run).await?;
    let copy = cache.join(format!("{name}.partial"));
    fs::copy(&database, &copy).context("keeping the empty database")?; // the run folder may be on another disk
    fs::rename(&copy, &finished)?;
    Ok(finished)
}

/// Starts Hydra once, so that it makes its keys: version 1 before it is ready, version 2 when somebody asks for them.
async fn make_keys(program: &Path, major: HydraMajor, run: &RunDir) -> Result<()> {
    let (settings, mut process) = start_anywhere(program, &HydraOptions::of(major), run.path()).await?;
    let keys = format!("{}/.well-known/jwks.json", settings.public_url());
    wait::until("Hydra's keys", START_LIMIT, async || {
        Ok(http::answers_ok(&keys).await.then_some(()))
    })
    .await?;
    process.terminate(STOP_LIMIT).await?;
    let database = rusqlite::Connection::open(run.path().join(DATABASE)).context("opening Hydra's database")?;
    database.pragma_update(None, "journal_mode", "DELETE")?; // everything is in one file again
    Ok(())
}

/// On SQLite, version 2 loses a column that version 1 has already added, and then misses it (seen from 1.11.10 to
/// 2.3.0). Once removed here, it is added again. The column belongs to dynamic registration and is empty here.
fn prepare_upgrade(database: &Path) -> Result<()> {
    let database = rusqlite::Connection::open(database).context("opening Hydra's database")?;
    database.execute_batch(
        "ALTER TABLE hydra_client DROP COLUMN registration_access_token_signature;
         DELETE FROM schema_migration WHERE version LIKE '20211226156%';",
    )?;
    Ok(())
}

async fn migrate(program: &Path, database: &Path, log: &Path) -> Result<()> {
    let mut command = process::command(program);
    // Without a write-ahead log, everything is in one file when the migration ends.
    command
        .args(["migrate", "sql", "-e", "--yes"])
        .env("DSN", dsn(database, "DELETE"));
    common_environment(&mut command);
    let mut child = Child::spawn("hydra migrate", command, log)?;
    let status = child.wait(START_LIMIT).await?;
    if !status.success() {
        bail!("hydra migrate ended with {status}:\n{}", child.log_tail());
    }
    Ok(())
}

fn common_environment(command: &mut std::process::Command) {
    command
        .env("SQA_OPT_OUT", "true") // no telemetry
        .env("SECRETS_SYSTEM", "a-secret-of-the-testbed")
        .env("OAUTH2_HASHERS_BCRYPT_COST", "4") // of version 1; its default costs 50 ms for every write of a secret
        .env("LOG_LEVEL", "warn");
}

fn dsn(database: &Path, journal: &str) -> String {
    format!(
        "sqlite://{}?_fk=true&_busy_timeout=10000&_journal_mode={journal}&mode=rwc",
        database.display()
    )
}

/// Identifies a Hydra program without running it: by path, size and modification time.
fn identity(program: &Path) -> Result<String> {
    let file = fs::metadata(program).with_context(|| format!("looking at {}", program.display()))?;
    let changed = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (size, changed) = (file.len().to_string(), changed.as_nanos().to_string());
    let path = program.to_string_lossy();
    Ok(programs::short_digest(&[&path, &size, &changed]))
}
