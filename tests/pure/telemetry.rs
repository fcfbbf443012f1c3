//! Where traces go, and the switch of series for each resource.

use clap::Parser as _;
use oidc_operator::cli::Cli;
use oidc_operator::metrics::PerResource;
use oidc_operator::telemetry::Tracing;

use crate::reach::run;

#[test]
fn the_address_of_the_collector_comes_from_flag_or_environment() {
    let base = "--otlp-endpoint=http://collector:4318";
    // flags, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; the URL
    let table: [(&[&str], Option<&str>, Option<&str>); 7] = [
        (&[], None, None),
        (&["--otlp-endpoint="], Some(" "), None),
        (&[base], None, Some("http://collector:4318/v1/traces")),
        (
            &["--otlp-endpoint=https://c/otlp/"],
            None,
            Some("https://c/otlp/v1/traces"),
        ),
        (&[], Some("http://other/x"), Some("http://other/x")),
        (&[base], Some("http://other/x"), Some("http://other/x")),
        (&[base], Some(""), Some("http://collector:4318/v1/traces")),
    ];
    for (flags, environment, expected) in table {
        let found = Tracing::of(&run(flags), environment).expect("a URL");
        let found = found.map(|tracing| tracing.url.to_string());
        assert_eq!(found.as_deref(), expected, "{flags:?} {environment:?}");
    }
    for unusable in [
        "collector:4318",
        "grpc://collector:4317",
        "file:///v1/traces",
        "http://",
        "x",
    ] {
        let refused = Tracing::of(&run(&[]), Some(unusable)).map(drop);
        let said = refused.expect_err(unusable).to_string();
        assert_eq!(
            said,
            "the collector's address is not a URL such as http://collector.monitoring:4318"
        );
    }
}

#[test]
fn the_ratio_is_a_part() {
    let ratio = |text: &str| {
        let flag = format!("--trace-sample-ratio={text}");
        Cli::try_parse_from(["oidc-operator", "run", flag.as_str()]).map(drop)
    };
    for text in ["0", "1", "0.25", "1e-06"] {
        assert!(ratio(text).is_ok(), "{text}");
    }
    for text in ["1.01", "-0.1", "NaN", "all", ""] {
        assert!(ratio(text).is_err(), "{text}");
    }
    let base = "--otlp-endpoint=http://collector:4318";
    let tracing = Tracing::of(&run(&[base, "--trace-sample-ratio=0.25"]), None).expect("a URL");
    assert_eq!(tracing.map(|tracing| tracing.ratio), Some(0.25));
}

#[test]
fn series_for_each_resource_are_off_by_default() {
    for (flags, expected) in [
        (&[][..], PerResource::No),
        (&["--metrics-per-resource"], PerResource::Yes),
        (&["--metrics-per-resource=true"], PerResource::Yes),
        (&["--metrics-per-resource=false"], PerResource::No),
        (&["--metrics-per-resource", "--log=info"], PerResource::Yes),
    ] {
        assert_eq!(run(flags).per_resource(), expected, "{flags:?}");
    }
}
