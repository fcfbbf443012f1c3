//! One run of the test program: the runtime, the shared bed of each side, the limit on tests with their own bed, and
//! the evidence for the closing trials.

use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};
use testbed::HydraMajor;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};

use crate::bed::{Bed, Options, Reach};
use crate::evidence::Evidence;

/// Number of tests with their own bed at the same time; each bed runs five servers.
const OWN_BEDS: usize = 2;
/// Longest time for one test, not counting the wait for its bed.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// Longest time for a story, which may compile the image first.
const STORY_LIMIT: Duration = Duration::from_secs(1500);

/// One run of the test program.
pub struct Run {
    runtime: Runtime,
    own_beds: Semaphore,
    /// The evidence of the beds, by how far their operators reached.
    evidence: Mutex<BTreeMap<Reach, Evidence>>,
}

/// The tests of a run against one server.
pub struct Side {
    run: Arc<Run>,
    /// Prefix of the names of its tests.
    label: &'static str,
    major: HydraMajor,
    reach: Reach,
    bed: Arc<SharedBed>,
}

/// A bed that the first test that needs it starts, or the reason why it did not start.
type SharedBed = OnceCell<Result<Arc<Bed>, String>>;

impl Run {
    /// Creates a run that has not started anything yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            runtime: Runtime::new().expect("a runtime can be created"),
            own_beds: Semaphore::new(OWN_BEDS),
            evidence: Mutex::default(),
        })
    }

    /// The tests against this version of Hydra.
    pub fn side(self: &Arc<Self>, major: HydraMajor) -> Side {
        let label = match major {
            HydraMajor::V1 => "hydra1",
            HydraMajor::V2 => "hydra2",
        };
        Side {
            run: Arc::clone(self),
            label,
            major,
            reach: Reach::default(),
            bed: Arc::default(),
        }
    }

    /// The tests of operators that reach less than by default.
    pub fn side_with(self: &Arc<Self>, reach: Reach) -> Side {
        let label = reach.label().unwrap_or("hydra2");
        Side {
            reach,
            ..self.side_of(label)
        }
    }

    /// The tests against another server; the label is the prefix of their names.
    pub fn side_of(self: &Arc<Self>, label: &'static str) -> Side {
        Side {
            label,
            ..self.side(HydraMajor::default())
        }
    }

    /// A trial that examines the evidence of all beds whose operators reached this far.
    pub fn closing<F>(self: &Arc<Self>, reach: Reach, name: &str, judge: F) -> Trial
    where
        F: FnOnce(&Evidence) -> Result<()> + Send + 'static,
    {
        let run = Arc::clone(self);
        let within = reach.label().map(|label| format!("{label}::")).unwrap_or_default();
        Trial::test(format!("closing::{within}{name}"), move || {
            let mut evidence = run.evidence.lock().unwrap_or_else(PoisonError::into_inner);
            judge(evidence.entry(reach).or_default()).map_err(described)
        })
    }

    /// A test with servers of its own, which tells a long story.
    pub fn story<F>(self: &Arc<Self>, name: &str, story: F) -> Trial
    where
        F: AsyncFnOnce() -> Result<()> + Send + 'static,
    {
        let run = Arc::clone(self);
        Trial::test(name, move || {
            run.runtime.block_on(async {
                let ended = tokio::time::timeout(STORY_LIMIT, story()).await;
                let result = ended.unwrap_or_else(|_| Err(anyhow!("the story did not end within {STORY_LIMIT:?}")));
                result.map_err(described)
            })
        })
    }

    fn add(&self, reach: Reach, evidence: Evidence) {
        let mut all = self.evidence.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(reach).or_default().add(evidence);
    }
}

impl Side {
    /// How far the operators reach.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Major version of Hydra.
    pub fn major(&self) -> HydraMajor {
        self.major
    }

    /// A test on the shared bed. It must not touch what it has not created.
    pub fn shared<F>(&self, test: F) -> Trial
    where
        F: AsyncFnOnce(&Bed) -> Result<()> + Send + 'static,
    {
        let (run, bed) = (Arc::clone(&self.run), Arc::clone(&self.bed));
        let (major, reach) = (self.major, self.reach);
        Trial::test(self.name_of::<F>(), move || {
            run.runtime.block_on(async {
                let bed = started(&bed, major, reach).await?;
                let test = Box::pin(limited(test(&bed))); // the state of a long test overflows the stack
                bed.with_servers_at_rest_after(test).await?
            })
        })
    }

    /// A test on its own bed. It may stop or kill servers and count all requests.
    pub fn alone<F>(&self, options: Options, test: F) -> Trial
    where
        F: AsyncFnOnce(&Bed) -> Result<()> + Send + 'static,
    {
        let run = Arc::clone(&self.run);
        let reach = self.reach;
        let options = Options {
            major: self.major,
            reach,
            ..options
        };
        Trial::test(self.name_of::<F>(), move || {
            run.runtime.block_on(async {
                let _turn = run.own_beds.acquire().await?;
                let bed = Bed::start(options).await?;
                let result = limited(test(&bed)).await;
                match bed.evidence().await {
                    Ok(evidence) => run.add(reach, evidence),
                    Err(error) if result.is_ok() => return Err(described(error)),
                    Err(_) => {} // the failure of the test says more
                }
                result
            })
        })
    }

    /// Collects the evidence of the shared bed, if it was started, and stops its servers, which would only slow down
    /// the tests of the next side.
    pub fn end(self) -> Result<()> {
        let Some(Ok(bed)) = self.bed.get() else {
            return Ok(());
        };
        let evidence = self
            .run
            .runtime
            .block_on(bed.evidence())
            .context("collecting evidence")?;
        self.run.add(self.reach, evidence);
        let _runtime = self.run.runtime.enter();
        drop(self.bed);
        Ok(())
    }

    /// Name of a test: the label of the side, the module and the function.
    fn name_of<F>(&self) -> String {
        let path = type_name::<F>();
        let within = path.split_once("::").map_or(path, |(_, within)| within);
        format!("{}::{within}", self.label)
    }
}

async fn started(shared: &SharedBed, major: HydraMajor, reach: Reach) -> Result<Arc<Bed>, Failed> {
    let start = async || {
        let options = Options {
            major,
            reach,
            ..Options::default()
        };
        let bed = Bed::start(options).await.map_err(|error| format!("{error:#}"))?;
        let signs = bed.signing_keys().await;
        signs.map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(bed))
    };
    match shared.get_or_init(start).await {
        Ok(bed) => Ok(Arc::clone(bed)),
        Err(error) => Err(format!("the shared bed did not start: {error}").into()),
    }
}

/// A test that needs no bed.
pub fn pure<F>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Result<()> + Send + 'static,
{
    Trial::test(name, move || test().map_err(described))
}

async fn limited(test: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let ended = tokio::time::timeout(TEST_LIMIT, test).await;
    let result = ended.unwrap_or_else(|_| Err(anyhow!("the test did not end within {TEST_LIMIT:?}")));
    result.map_err(described)
}

/// The error with all its causes, without a backtrace.
fn described(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
