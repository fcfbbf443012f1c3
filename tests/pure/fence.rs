//! The fence for a leader's writes, and when a Lease may be taken, at given times.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use oidc_operator::clock::since_boot;
use oidc_operator::leader::{Fence, Seen, has_lapsed};

/// Time since boot of a machine that has run for a while.
const BOOT: Duration = Duration::from_secs(100_000);
const NIGHT: Duration = Duration::from_secs(8 * 3600);

fn at(seconds: f64) -> Duration {
    BOOT + Duration::from_secs_f64(seconds)
}

fn lease(holder: Option<&str>, version: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }),
    }
}

#[test]
fn a_write_starts_only_if_it_ends_within_the_lease() {
    let fence = Fence::closed();
    assert!(!fence.allows_write_at(at(0.0)), "before the first Lease");
    fence.extend(at(0.0));
    // The Lease holds for 15 seconds, a write takes at most 10.
    for (seconds, allows, has_lapsed) in [
        (0.0, true, false),
        (5.0, true, false),
        (5.1, false, false),
        (14.9, false, false),
        (15.1, false, true),
    ] {
        assert_eq!(fence.allows_write_at(at(seconds)), allows, "after {seconds} s");
        assert_eq!(fence.has_lapsed_at(at(seconds)), has_lapsed, "after {seconds} s");
    }
    fence.extend(at(3.0));
    assert!(fence.allows_write_at(at(8.0)));
    assert!(Fence::open().allows_write_at(at(1e6)), "without election");
}

#[test]
fn a_leader_whose_machine_slept_through_its_lease_writes_nothing_when_it_wakes() {
    let fence = Fence::closed();
    fence.extend(at(0.0));
    assert!(fence.allows_write_at(at(1.0)));
    assert!(!fence.allows_write_at(at(1.0) + NIGHT));
    assert!(fence.has_lapsed_at(at(1.0) + NIGHT));
}

#[test]
fn a_lease_may_be_taken_after_its_duration_without_a_change() {
    let mut seen: Option<Seen> = None;
    let held = lease(Some("other"), "1");
    assert!(!has_lapsed(&held, &mut seen, at(0.0)), "seen for the first time");
    assert!(!has_lapsed(&held, &mut seen, at(15.0)));
    assert!(has_lapsed(&held, &mut seen, at(15.1)));
    let renewed = lease(Some("other"), "2");
    assert!(!has_lapsed(&renewed, &mut seen, at(15.2)), "renewed");
    assert!(!has_lapsed(&renewed, &mut seen, at(30.2)));
    assert!(has_lapsed(&lease(None, "3"), &mut seen, at(30.2)), "given up");
}

#[test]
fn a_candidate_that_slept_does_not_take_a_renewed_lease() {
    let mut seen: Option<Seen> = None;
    assert!(!has_lapsed(&lease(Some("other"), "1"), &mut seen, at(0.0)));
    assert!(!has_lapsed(&lease(Some("other"), "9"), &mut seen, at(0.0) + NIGHT));
    // The holder slept on the same machine, and its own fence has closed.
    assert!(has_lapsed(
        &lease(Some("other"), "9"),
        &mut seen,
        at(0.0) + NIGHT + NIGHT
    ));
}

/// Compares with the kernel's time since boot, which includes sleep.
#[cfg(target_os = "linux")]
#[test]
fn the_clock_of_the_fence_counts_sleep() {
    let text = std::fs::read_to_string("/proc/uptime").expect("a Linux");
    let uptime = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
    let uptime = Duration::from_secs_f64(uptime.expect("seconds"));
    let now = since_boot();
    assert!(
        now + Duration::from_secs(1) > uptime && now < uptime + Duration::from_secs(10),
        "{now:?} and {uptime:?}"
    );
}
