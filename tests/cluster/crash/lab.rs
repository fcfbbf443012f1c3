//! One point: a scenario, a blow, a restart, and the checks afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oidc_operator::api::{OAuth2Client, REVISION_ANNOTATION, UID_LABEL};
use serde_json::{Value, json};
use testbed::wait;

use super::blow::{Blow, Strike, Tap, is_about};
use super::guard::Guard;
use super::scenario::Scenario;
use crate::bed::{Bed, LIMIT, Operator, Space, ledger_of, uid_of};
use crate::closing::rbac::KubeRequest;

/// Metric of the passes, by kind and result.
const PASSES: &str = "oidc_operator_reconciles_total";
const SERVER: &str = "default";

/// A bed on which one scenario runs at a time.
pub struct Lab<'a> {
    bed: &'a Bed,
    /// Checks all Secrets.
    pub guard: Guard,
    other_interval: AtomicBool,
}

/// One run of a scenario.
pub struct Run {
    /// Its requests, in order.
    pub requests: Vec<String>,
    /// Whether the blow struck. It does not if there were fewer requests this time.
    pub struck: bool,
}

impl<'a> Lab<'a> {
    /// A lab on a bed whose server is swept so rarely that only this test triggers sweeps.
    pub fn new(bed: &'a Bed) -> Self {
        Self {
            bed,
            guard: Guard::default(),
            other_interval: AtomicBool::new(false),
        }
    }

    /// Runs a scenario, with a blow if there is one, to its end.
    pub async fn run(&self, scenario: Scenario, strike: Option<Strike>) -> Result<Run> {
        let operator = self.bed.operator();
        let space = self.bed.space().await?;
        self.guard.expect(space.name(), scenario.keys());
        let others = self.clients().await?;
        scenario.prepare(&space).await?;
        if let Some(secret) = space.secret("app").await? {
            self.guard.has_seen(&secret).await?;
        }

        let act = async || scenario.act(&space).await;
        let converged = async |acted: &OAuth2Client| scenario.converged(&space, acted).await;
        let (acted, run) = interrupted(self.bed, &space, strike, act, converged).await?;

        let mine = self.mine(&acted, &others).await?;
        let orphans = match scenario {
            Scenario::Delete => self.is_gone(&space, &acted, &mine).await?,
            Scenario::Orphan => self.is_left(&space, &acted, &mine, strike).await?,
            _ => self.is_healthy(&space, scenario, &mine).await?,
        };
        // A create whose reply was lost counts as done; after the next sweep one more write confirms it.
        let mut excused = if strike.is_some() && scenario.creates() { 2 } else { 0 };
        while let Err(error) = self.next_pass_writes_nothing(&operator, orphans).await {
            if excused == 0 {
                return Err(error);
            }
            excused -= 1;
            space.wait_confirmed("app").await?;
            let mine = self.mine(&acted, &others).await?;
            self.is_healthy(&space, scenario, &mine).await?;
        }
        if excused > 0 {
            // The write that confirms a create must not come during the next run, which compares all other clients.
            space.wait_confirmed("app").await?;
        }
        if scenario == Scenario::Orphan {
            self.bed.unregister(&uid_of(&acted)).await?;
        }
        clear(self.bed);
        Ok(run)
    }

    /// All clients in Hydra, by id.
    async fn clients(&self) -> Result<BTreeMap<String, Value>> {
        let clients = self.bed.hydra_clients().await?.into_iter();
        let by_id = clients.map(|client| (client["client_id"].as_str().unwrap_or_default().to_owned(), client));
        Ok(by_id.collect())
    }

    /// The clients that are new in Hydra; checks that all others are unchanged.
    async fn mine(&self, client: &OAuth2Client, others: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>> {
        let mut now = self.clients().await?;
        for (id, before) in others {
            let after = now.remove(id);
            ensure!(after.as_ref() == Some(before), "client {id} was {before}, is {after:?}");
        }
        let strangers: Vec<_> = now.keys().filter(|id| **id != uid_of(client)).collect();
        ensure!(strangers.is_empty(), "duplicates: {strangers:?}");
        Ok(now)
    }

    async fn is_healthy(&self, space: &Space<'_>, scenario: Scenario, mine: &BTreeMap<String, Value>) -> Result<i64> {
        let client = space.client("app").await?;
        let uid = uid_of(&client);
        let registered = mine.get(&uid).context("the client is not in Hydra")?;
        let marker = &registered["metadata"]["oidc-operator.dev"];
        ensure!(marker["uid"] == uid.as_str(), "its marker is {marker}");
        ensure!(registered["scope"] == scenario.scope(), "scope {}", registered["scope"]);

        let ledger = ledger_of(&client);
        let mut expected = BTreeSet::from([scenario.secret_name().to_owned()]);
        expected.extend(scenario.has_secret().then(|| ledger.clone()));
        let found = self.secrets_of(space, &uid).await?;
        ensure!(found == expected, "Secrets {found:?} instead of {expected:?}");
        let secret = space.secret(scenario.secret_name()).await?.context("no Secret")?;
        self.guard.has_seen(&secret).await?;
        if scenario.has_secret() {
            let (id, value) = space.credentials(scenario.secret_name()).await?;
            let ledger = space.secret_data(&ledger).await?;
            ensure!(id == uid && ledger["client_id"] == id, "ids differ");
            ensure!(ledger["client_secret"] == value, "ledger and Secret differ");
            let revision = ledger["revision"].as_str();
            ensure!(marker["revision"] == revision, "the marker has another revision");
            let repeated = secret.annotations().get(REVISION_ANNOTATION).map(String::as_str);
            ensure!(repeated == Some(revision), "the Secret has another revision");
            self.bed.token(&id, &value, scenario.scope()).await?;
        }
        Ok(0)
    }

    async fn is_gone(&self, space: &Space<'_>, acted: &OAuth2Client, mine: &BTreeMap<String, Value>) -> Result<i64> {
        ensure!(mine.is_empty(), "left in Hydra: {mine:?}");
        let left = self.secrets_of(space, &uid_of(acted)).await?;
        ensure!(left.is_empty(), "Secrets left: {left:?}");
        ensure!(space.secret("app").await?.is_none(), "the Secret is left");
        Ok(0)
    }

    /// Checks that an orphaned client and its Secret still work. Returns how many clients still have the marker.
    async fn is_left(
        &self,
        space: &Space<'_>,
        acted: &OAuth2Client,
        mine: &BTreeMap<String, Value>,
        strike: Option<Strike>,
    ) -> Result<i64> {
        let client = mine.get(&uid_of(acted)).context("the client is not in Hydra")?;
        let marked = !client["metadata"]["oidc-operator.dev"].is_null();
        // Best effort: an operator that cannot reach Hydra at that moment releases the resource anyway.
        let excused = strike.is_some_and(|strike| strike.blow == Blow::LostReplyOf);
        ensure!(!marked || excused, "the marker is left");
        let left = self.secrets_of(space, &uid_of(acted)).await?;
        ensure!(left.is_empty(), "Secrets with the operator's label: {left:?}");
        ensure!(space.secret(&ledger_of(acted)).await?.is_none(), "the ledger is left");
        let secret = space.secret("app").await?.context("the Secret is gone")?;
        ensure!(secret.owner_references().is_empty(), "the Secret still has an owner");
        let (id, value) = space.credentials("app").await?;
        self.bed.token(&id, &value, "read").await?;
        Ok(i64::from(marked))
    }

    async fn secrets_of(&self, space: &Space<'_>, uid: &str) -> Result<BTreeSet<String>> {
        let labelled = ListParams::default().labels(&format!("{UID_LABEL}={uid}"));
        let found = space.secrets().list(&labelled).await?;
        Ok(found.iter().map(ResourceExt::name_any).collect())
    }

    /// Triggers a sweep and a pass over every client with a change of the server, and checks that nothing is written.
    async fn next_pass_writes_nothing(&self, operator: &Operator, orphans: i64) -> Result<()> {
        let server = &self.bed.servers()[0];
        let clients = Api::<OAuth2Client>::all(self.bed.client());
        let clients = clients.list(&ListParams::default()).await?.items;
        let count = i64::try_from(clients.len())?;
        let spaces: Vec<String> = clients.iter().filter_map(ResourceExt::namespace).collect();
        wait::until(
            "the retry of a pass whose status arrived without a reply",
            LIMIT,
            async || {
                let log = operator.log();
                Ok(spaces.iter().all(|space| has_ended_well(&log, space)).then_some(()))
            },
        )
        .await?;
        let good = well_ended(operator).await?; // first: a pass that ends between the two reads counts as good only
        let all = operator.metric(PASSES, "kind=\"OAuth2Client\"").await?;
        let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());

        let other = self.other_interval.fetch_xor(true, Ordering::Relaxed);
        let interval = if other { "1h" } else { "2h" };
        let changed = self
            .bed
            .change_server(SERVER, json!({ "resyncInterval": interval }))
            .await?;
        let what = format!("a sweep that finds {count} resources and {orphans} orphans");
        self.bed
            .wait_server(&what, SERVER, |now| {
                now.status.as_ref().is_some_and(|status| {
                    status.observed_generation == changed.metadata.generation
                        && (status.resources, status.orphans) == (Some(count), Some(orphans))
                })
            })
            .await?;
        let passes = wait::until("a pass over every client", LIMIT, async || {
            let passes = operator.metric(PASSES, "kind=\"OAuth2Client\"").await? - all;
            Ok((passes >= count as f64).then_some(passes))
        })
        .await?;
        let good = well_ended(operator).await? - good;
        ensure!(
            good >= passes,
            "{passes} passes, but only {good} succeeded:\n{}",
            operator.log_tail(&[])
        );

        let asked = server.about_clients(admin);
        ensure!(asked.is_empty(), "requests to Hydra in the next pass: {asked:#?}");
        let mut asked = operator.requests().since(kube);
        asked.retain(|exchange| {
            KubeRequest::of(&exchange.head)
                .and_then(|request| request.namespace)
                .is_some_and(|namespace| is_about(&exchange.head, &namespace))
        });
        ensure!(asked.is_empty(), "requests to Kubernetes in the next pass: {asked:#?}");
        Ok(())
    }
}

async fn well_ended(operator: &Operator) -> Result<f64> {
    operator
        .metric(PASSES, "kind=\"OAuth2Client\",result=\"success\"")
        .await
}

/// Runs the action of a user, with a blow if there is one, until it has converged.
pub async fn interrupted<A>(
    bed: &Bed,
    space: &Space<'_>,
    strike: Option<Strike>,
    act: impl AsyncFnOnce() -> Result<A>,
    converged: impl AsyncFn(&A) -> Result<()>,
) -> Result<(A, Run)> {
    let operator = bed.operator();
    let tap = Tap::open(bed, space.name(), strike);
    let acted = act().await?;
    let mut was_dead = false;
    let mut revive = async || {
        let is_dead = tap.has_struck() && strike.is_some_and(|strike| strike.blow.kills());
        if is_dead && !was_dead {
            was_dead = true;
            dead(&operator).await?;
            operator.start_again().await?;
        }
        anyhow::Ok(())
    };
    if let Some(Strike { nth, .. }) = strike {
        let first = tokio::select! {
            struck = tap.struck() => struck,
            ended = converged(&acted) => ended,
        };
        first.with_context(|| format!("seen: {:#?}", tap.seen()))?;
        let seen = tap.seen().len();
        ensure!(tap.has_struck() || seen < nth, "request {nth} of {seen} was not struck");
        revive().await?;
    }
    let ended = converged(&acted).await;
    ended.with_context(|| format!("seen: {:#?}", tap.seen()))?;
    // A request after convergence may be struck too, so the operator is revived once more.
    tap.end();
    revive().await?;
    let run = Run {
        requests: tap.seen(),
        struck: tap.has_struck(),
    };
    Ok((acted, run))
}

/// Clears the journals of the proxies, which would fill the memory in a long walk.
pub fn clear(bed: &Bed) {
    bed.operator().requests().clear();
    for server in bed.servers() {
        server.admin.journal().clear();
        server.public.journal().clear();
    }
}

/// Waits until a hook has killed the operator.
async fn dead(operator: &Operator) -> Result<()> {
    wait::until("the operator to be killed", LIMIT, async || {
        Ok((!operator.is_alive()).then_some(()))
    })
    .await
}

/// Whether the last pass over the client of a namespace succeeded, if there was one.
fn has_ended_well(log: &str, namespace: &str) -> bool {
    let of_namespace = format!("\"namespace\":\"{namespace}\"");
    let mut passes = log.lines().filter(|line| line.contains("\"message\":\"pass\""));
    passes
        .rfind(|line| line.contains("\"kind\":\"OAuth2Client\"") && line.contains(&of_namespace))
        .is_none_or(|line| line.contains("\"outcome\":\"Ok"))
}
