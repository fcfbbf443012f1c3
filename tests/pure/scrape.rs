//! The text of `/metrics`: counted without copies, rendered at most once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use oidc_operator::metrics::{Metrics, tally};
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

#[test]
fn conditions_that_no_resource_has_any_more_leave_the_text() {
    let metrics = Metrics::default();
    let line = |reason: &str, count: i64| {
        format!(
            "oidc_operator_resource_conditions{{kind=\"Scope\",type=\"Ready\",status=\"True\",reason=\"{reason}\"}} {count}\n"
        )
    };
    let text = metrics.render(tally("Scope", [&condition("Ready", "True", "Old")]));
    assert!(text.contains(&line("Old", 1)), "{text}");
    let text = metrics.render(tally("Scope", [&condition("Ready", "True", "New")]));
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
