//! The text of `/metrics`: counted without copies, rendered at most once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use oidc_operator::api::oauth2_client::RotationWait;
use oidc_operator::metrics::{
    Described, LoginResult, Metrics, PerResource, ResourceState, Rotation, ServerState, Snapshot, Stand, Tally,
    catalogue, tally,
};
use oidc_operator::server::Page;

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    Condition {
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        message: "differs from resource to resource".to_owned(),
        observed_generation: None,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}

#[test]
fn resources_are_counted_by_condition() {
    let (well, ill) = (
        condition("Ready", "True", "Reconciled"),
        condition("Ready", "False", "InvalidSpec"),
    );
    let mut counts: Vec<_> = tally("Scope", [&well, &ill, &well, &well])
        .into_iter()
        .map(|(labels, count)| (labels.kind, labels.r#type, labels.status, labels.reason, count))
        .collect();
    counts.sort();
    let row = |status: &str, reason: &str, count| {
        let [ready, status, reason] = ["Ready", status, reason].map(str::to_owned);
        ("Scope", ready, status, reason, count)
    };
    assert_eq!(counts, [row("False", "InvalidSpec", 1), row("True", "Reconciled", 3)]);
}

fn counted(reason: &str) -> Snapshot {
    Snapshot {
        conditions: tally("Scope", [&condition("Ready", "True", reason)]),
        ..Snapshot::default()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

#[test]
fn resources_add_up_to_the_figures_of_their_kind() {
    let stand = |leaving: Option<i64>, next: Option<i64>| Stand {
        leaving: leaving.map(at),
        rotation: Rotation {
            last: Some(at(1)),
            next: next.map(at),
            waits_for: None,
        },
    };
    let waiting = |next: i64, wait: RotationWait| Stand {
        rotation: Rotation {
            waits_for: Some(wait),
            ..stand(None, Some(next)).rotation
        },
        leaving: None,
    };
    let figures = |leaving, since: Option<i64>, next: Option<i64>, overdue| Tally {
        leaving,
        leaving_since: since.map(at),
        next_rotation: next.map(at),
        overdue,
        waits: [0; 4],
    };
    let table = [
        (vec![], Tally::default()),
        (vec![stand(None, None)], Tally::default()),
        (
            vec![stand(Some(7), None), stand(Some(5), None), stand(None, None)],
            figures(2, Some(5), None, 0),
        ),
        (
            vec![stand(None, Some(200)), stand(None, Some(150)), stand(None, None)],
            figures(0, None, Some(150), 0),
        ),
        (
            vec![stand(Some(3), Some(99)), stand(None, Some(100)), stand(None, Some(98))],
            figures(1, Some(3), Some(98), 2),
        ),
        // What waits is not late.
        (
            vec![
                waiting(98, RotationWait::Spacing),
                waiting(120, RotationWait::Window),
                waiting(90, RotationWait::Spacing),
                stand(None, Some(99)),
            ],
            Tally {
                waits: [1, 2, 0, 0],
                ..figures(0, None, Some(90), 1)
            },
        ),
    ];
    for (resources, expected) in table {
        let mut found = Tally::default();
        resources.iter().for_each(|stand| found.add(*stand, at(100)));
        assert_eq!(found, expected, "{resources:?}");
    }
}

/// Metrics each of which has a value, and the snapshot that gives values to the rest.
fn full() -> (Metrics, Snapshot) {
    let (metrics, second) = (Metrics::new(PerResource::Yes), Duration::from_secs(1));
    metrics.reconciled(
        "Scope",
        "success",
        second,
        Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    );
    metrics.reconciled("Scope", "InvalidSpec", second, None);
    metrics.started(second);
    metrics.ready("Scope", second);
    metrics.rotated("OAuth2Client");
    metrics.drift_corrected("Scope");
    metrics.unreadable("Scope", 1);
    metrics.admin_request("main", "get", 200, second);
    metrics.logged_in("main", LoginResult::Success);
    metrics.logged_in("main", LoginResult::Failure);
    metrics.swept("main", second);
    metrics.orphans("main", 2);
    metrics.orphan_deleted("main");
    metrics.leading(true);
    let mut figures = Tally::default();
    let rotation = Rotation {
        last: Some(at(1)),
        next: Some(at(2)),
        waits_for: None,
    };
    let leaving = Some(at(1));
    figures.add(Stand { leaving, rotation }, at(3));
    let snapshot = Snapshot {
        kinds: vec![("OAuth2Client", figures)],
        cached: vec![("Secret", 3)],
        servers: vec![ServerState {
            name: "main".to_owned(),
            is_open: true,
            pace: Some(0.5),
        }],
        waiting: 1,
        oldest: second,
        running: 2,
        resources: vec![ResourceState {
            kind: "OAuth2Client",
            namespace: "team".to_owned(),
            name: "shop".to_owned(),
            ready: Some("True".to_owned()),
            rotation,
        }],
        ..counted("Old")
    };
    (metrics, snapshot)
}

/// A metric as the text has it.
#[derive(Debug, Default, PartialEq)]
struct Family {
    r#type: String,
    unit: String,
    help: String,
    /// Names of the labels of its samples.
    labels: BTreeSet<String>,
    samples: Vec<String>,
}

/// Reads the text as OpenMetrics 1.0 defines it: every line is known, the samples of a metric are together, and the
/// text is complete.
fn parsed(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut last, mut samples) = (String::new(), BTreeSet::new());
    let lines = text.strip_suffix("# EOF\n").expect("an end");
    for line in lines.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut parts = comment.splitn(3, ' ');
            let [keyword, name, rest] = [(); 3].map(|()| parts.next().expect(line).to_owned());
            assert!(name == last || !families.contains_key(&name), "not together: {line}");
            let family = families.entry(name.clone()).or_default();
            match keyword.as_str() {
                "HELP" => family.help = rest,
                "TYPE" => family.r#type = rest,
                "UNIT" => family.unit = rest,
                other => unreachable!("{other}: {line}"),
            }
            last = name;
            continue;
        }
        let (series, _) = line.split_once(" # ").unwrap_or((line, ""));
        let (series, value) = series.rsplit_once(' ').expect(line);
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(samples.insert(series.to_owned()), "twice: {line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let family = families.get_mut(&last).expect(line);
        let suffixes: &[&str] = match family.r#type.as_str() {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "gauge" => &[""],
            other => unreachable!("{other}: {line}"),
        };
        assert!(
            suffixes
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(last.as_str())),
            "{line} below {last}"
        );
        let labels = labels.strip_suffix('}').expect(line).split(',');
        let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        family.labels.extend(labels.filter(|label| label != "le"));
        family.samples.push(line.to_owned());
    }
    families
}

#[test]
fn the_text_is_openmetrics_and_has_what_the_catalogue_says() {
    let (metrics, snapshot) = full();
    let mut families = parsed(&metrics.render(snapshot));
    for described in catalogue() {
        let Described {
            name,
            r#type,
            labels,
            help,
            ..
        } = described;
        let family = name.trim_end_matches("_total").trim_end_matches("_info");
        let found = families.remove(family).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.r#type, r#type, "{name}");
        assert_eq!(found.help, format!("{help}."), "{name}");
        assert_eq!(found.unit == "seconds", family.ends_with("_seconds"), "{name}");
        assert!(!found.samples.is_empty(), "{name} has no sample");
        let wanted: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(found.labels, wanted, "{name}");
    }
    assert!(families.is_empty(), "not in the catalogue: {:?}", families.keys());
}

#[test]
fn a_pass_with_a_trace_is_an_exemplar() {
    let (metrics, snapshot) = full();
    let families = parsed(&metrics.render(snapshot));
    let samples = &families["oidc_operator_reconcile_duration_seconds"].samples;
    let exemplar = "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 1.0";
    assert_eq!(
        samples.iter().filter(|line| line.ends_with(exemplar)).count(),
        1,
        "{samples:#?}"
    );
}

#[test]
fn series_go_with_what_they_are_about() {
    let (metrics, snapshot) = full();
    let named = |text: &str, label: &str| {
        let families = parsed(text);
        let with_label = families
            .into_iter()
            .filter(|(_, family)| family.samples.iter().any(|sample| sample.contains(label)));
        with_label
            .map(|(name, family)| (name, family.r#type))
            .collect::<Vec<_>>()
    };
    let text = metrics.render(snapshot);
    assert_eq!(named(&text, "name=\"shop\"").len(), 3);
    assert!(named(&text, "server=\"main\"").len() > 8);
    metrics.forget_server("main");
    let text = metrics.render(Snapshot::default());
    assert!(named(&text, "name=\"shop\"").is_empty(), "{text}");
    let left = named(&text, "server=\"main\"");
    assert!(
        !left.is_empty() && left.iter().all(|(_, r#type)| r#type == "counter"),
        "{left:?}"
    );
    for absent in ["next_rotation_timestamp", "oldest_pending_deletion", "pace_requests"] {
        assert!(
            !text
                .lines()
                .any(|line| line.starts_with(&format!("oidc_operator_{absent}"))),
            "{text}"
        );
    }
}

#[test]
fn names_of_resources_are_labels_only_on_request() {
    for described in catalogue() {
        let has_names = described.labels.contains(&"name") || described.labels.contains(&"namespace");
        assert_eq!(has_names, described.per_resource, "{}", described.name);
    }
}

#[test]
fn conditions_that_no_resource_has_any_more_leave_the_text() {
    let metrics = Metrics::default();
    let line = |reason: &str, count: i64| {
        format!(
            "oidc_operator_resource_conditions{{kind=\"Scope\",type=\"Ready\",status=\"True\",reason=\"{reason}\"}} {count}\n"
        )
    };
    let text = metrics.render(counted("Old"));
    assert!(text.contains(&line("Old", 1)), "{text}");
    let text = metrics.render(counted("New"));
    assert!(text.contains(&line("New", 1)) && !text.contains("Old"), "{text}");
}

#[tokio::test]
async fn concurrent_requests_share_one_text() {
    let (page, made) = (Page::default(), Arc::new(AtomicUsize::new(0)));
    let ask = || page.text(slow(&made));
    let texts = join_all((0..100).map(|_| ask())).await;
    assert!(texts.iter().all(|text| text.as_deref() == Some(b"0")), "{texts:?}");
    assert_eq!(ask().await.as_deref(), Some(&b"0"[..]), "it is kept for a second");
    tokio::time::sleep(oidc_operator::server::AGE).await;
    assert_eq!(ask().await.as_deref(), Some(&b"1"[..]), "and rendered again after that");
}

#[tokio::test]
async fn an_aborted_request_causes_no_extra_rendering() {
    let (page, made) = (Page::default(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        let ask = page.text(slow(&made));
        let cut_off = tokio::time::timeout(Duration::from_millis(10), ask).await;
        assert!(cut_off.is_err(), "the text is made too fast for this test");
    }
    assert_eq!(page.text(slow(&made)).await.as_deref(), Some(&b"0"[..]));
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_panic_while_rendering_does_not_affect_later_requests() {
    let page = Page::default();
    assert_eq!(page.text(|| panic!("a fault in a metric")).await, None);
    assert_eq!(page.text(|| "ok".to_owned()).await.as_deref(), Some(&b"ok"[..]));
}

/// Renders slowly, and returns how often it was rendered before.
fn slow(made: &Arc<AtomicUsize>) -> impl FnOnce() -> String + Send + 'static {
    let made = made.clone();
    move || {
        std::thread::sleep(Duration::from_millis(300));
        made.fetch_add(1, Ordering::Relaxed).to_string()
    }
}
