//! Messages and classes of errors.

use std::collections::BTreeSet;
use std::time::Duration;

use oidc_operator::access::{Broken, Denied};
use oidc_operator::admin::hydra::version::Unsupported;
use oidc_operator::api::access::ManagedKind;
use oidc_operator::api::condition::Reason;
use oidc_operator::error::{
    ClusterFault, Denial, EarlierFault, Error, FoulkonFault, Hindrance, IssuerFault, Listing, LoginFault, Outage,
    ProxyFault, ProxyTrouble, Source, Suspect, Taken, TlsFault, Untold, VaultFault,
};
use oidc_operator::login::Unsafe;

/// Lists the variants of [`Error`], each with examples, and does not compile when one is missing.
macro_rules! variants {
    ($($variant:ident => [$($example:expr),+ $(,)?]),+ $(,)?) => {
        fn variant(error: &Error) -> &'static str {
            match error {
                $(Error::$variant { .. } => stringify!($variant),)+
            }
        }

        /// At least one example of each variant.
        pub fn examples() -> Vec<Error> {
            let listed = vec![$((stringify!($variant), vec![$($example),+])),+];
            listed
                .into_iter()
                .flat_map(|(name, errors)| {
                    assert!(errors.iter().all(|error| variant(error) == name), "examples of {name}");
                    errors
                })
                .collect()
        }
    };
}

pub fn s(value: &str) -> String {
    value.to_owned()
}

variants! {
    UnusableSecret => [Error::UnusableSecret { secret: s("mine"), key: s("secret"), problem: "is not text" }],
    InvalidField => [Error::InvalidField { field: "credentials.data", problem: s("take it out") }],
    Unreadable => [Error::Unreadable(s("metadata: it is nested deeper than 64 levels; make it flatter."))],
    MetadataRefused => [Error::MetadataRefused(vec![]), Error::MetadataRefused(vec!["jwks", "jwksUri"])],
    UnsupportedVersion => [
        Error::UnsupportedVersion(s("v2.0.1"), Unsupported::NoChosenIds),
        Error::UnsupportedVersion(s("v1.9.0"), Unsupported::TooOld),
    ],
    NoPrivateKey => [Error::NoPrivateKey(s("billing-keys"))],
    SecretMismatch => [Error::SecretMismatch],
    SecretUnknown => [Error::SecretUnknown],
    NotAdopted => [Error::NotAdopted(s("shop-web"))],
    RotationWithoutOverlap => [Error::RotationWithoutOverlap(s("main"))],
    UnsupportedFields => [
        Error::UnsupportedFields {
            server: s("default"),
            version: Some(s("v1.11.10")),
            fields: vec!["accessTokenTtl".into(), "hydra.skipConsent".into()],
        },
        Error::UnsupportedFields { server: s("api"), version: None, fields: vec!["vault".into()] },
    ],
    UnsupportedKind => [Error::UnsupportedKind { server: s("api"), kind: "OAuth2Client" }],
    NotAllowed => [
        Error::NotAllowed {
            server: s("default"),
            denied: Denied::NoRule { namespace: s("team-a"), kind: ManagedKind::OAuth2Client },
        },
        Error::NotAllowed {
            server: s("default"),
            denied: Denied::Limits { rule: 63, broken: vec![Broken::one("clients.scopes", "scopes", s("email"))] },
        },
        Error::NotAllowed {
            server: s("default"),
            denied: Denied::TooOften { rule: 0, period: s("1s"), min: s("1h") },
        },
    ],
    NamespaceNotWatched => [Error::NamespaceNotWatched(s("team-a"))],
    NamespaceLeft => [Error::NamespaceLeft(s("team-a"))],
    Login => [
        LoginFault::Account(Unsafe::OwnAccount).into(),
        LoginFault::Account(Unsafe::ApiAudience).into(),
        LoginFault::Secret { secret: s("mine"), key: s("token"), why: Unsafe::AnyAudience }.into(),
        LoginFault::Untold(Untold::NoAccount).into(),
        LoginFault::Untold(Untold::NotGranted).into(),
        LoginFault::Untold(Untold::Operator).into(),
        LoginFault::Untold(Untold::Audiences).into(),
        LoginFault::SecretUntold { secret: s("mine"), key: s("token"), why: Untold::NotGranted }.into(),
        LoginFault::SecretUntold { secret: s("mine"), key: s("token"), why: Untold::Operator }.into(),
    ],
    ServerNotFound => [Error::ServerNotFound(s("main"))],
    NoDefaultServer => [Error::NoDefaultServer],
    ServerNotReady => [Error::ServerNotReady(s("main"))],
    ServerGoing => [Error::ServerGoing(s("main"))],
    ServerPending => [Error::ServerPending(s("main"))],
    UnusableSource => [Error::UnusableSource { field: "tls.caRef", problem: "it holds no certificates; put some there" }],
    ReferenceNotFound => [Error::ReferenceNotFound { kind: "Scope", name: s("orders") }],
    SourceNotFound => [
        Error::SourceNotFound { kind: Source::Secret, name: s("mine"), key: None, namespace: None },
        Error::SourceNotFound {
            kind: Source::ConfigMap,
            name: s("ca"),
            key: Some(s("ca.crt")),
            namespace: Some(s("operator")),
        },
    ],
    ReferenceNotReady => [Error::ReferenceNotReady { kind: "Scope", name: s("orders"), namespace: s("team-a") }],
    ReferenceElsewhere => [Error::ReferenceElsewhere {
        field: "scopeRefs",
        kind: "Scope",
        name: s("orders"),
        there: s("one"),
        here: s("other"),
    }],
    InUseBy => [
        Error::InUseBy { kind: "Scope", user: "OAuth2Client", name: s("app"), field: "scopeRefs" },
        Error::InUseBy { kind: "Scope", user: "OidcProvider", name: s("main"), field: "scopeRefs" },
    ],
    VariableUnknown => [Error::VariableUnknown { variable: "issuer", server: s("default") }],
    VariablePending => [Error::VariablePending { variable: "issuer", server: s("default") }],
    ServerRefused => [Error::ServerRefused(401), Error::ServerRefused(403)],
    NotOwned => [Error::NotOwned(s("team-a.shop"))],
    OtherCluster => [Error::OtherCluster { type_: "client", name: s("shop"), cluster: s("c-1") }],
    Earlier => [
        EarlierFault::Unproven(s("6f1c")).into(),
        EarlierFault::Unprovable(s("6f1c")).into(),
        EarlierFault::Denied(s("portal")).into(),
        EarlierFault::Gone { id: s("6f1c"), namespace: s("team-a"), uid: s("6f1c") }.into(),
        EarlierFault::Unmarked { id: s("6f1c"), namespace: s("team-a"), uid: s("6f1c") }.into(),
        EarlierFault::SecretUnfit { name: s("app"), problem: s("it does not name this resource; choose another secretName") }.into(),
        EarlierFault::Unlisted { server: s("main"), listing: Listing::Running }.into(),
        EarlierFault::Unlisted { server: s("main"), listing: Listing::Limited }.into(),
        EarlierFault::Unlisted { server: s("main"), listing: Listing::Failed }.into(),
    ],
    KeySetNotOwned => [Error::KeySetNotOwned(s("keys"))],
    ObjectNotOwned => [Error::ObjectNotOwned { type_: "client", name: s("team-a.shop") }],
    NameClaimed => [Error::NameClaimed { type_: "key", name: s("signing") }],
    SecretConflict => [
        Error::SecretConflict(Taken { name: s("shop"), owner: None }),
        Error::SecretConflict(Taken { name: s("shop"), owner: Some(s("OAuth2Client `shop`")) }),
    ],
    ConfigMapConflict => [Error::ConfigMapConflict(Taken { name: s("issuer"), owner: None })],
    Going => [Error::Going(Source::Secret, s("shop")), Error::Going(Source::ConfigMap, s("issuer"))],
    Contested => [Error::Contested(s("scope"))],
    Unavailable => [
        Error::Unavailable(unreachable(Hindrance::Name)),
        Error::Unavailable(unreachable(Hindrance::Refused)),
        Error::Unavailable(unreachable(Hindrance::NoRoute)),
        Error::Unavailable(unreachable(Hindrance::Silence)),
        Error::Unavailable(unreachable(Hindrance::Other)),
        Error::Unavailable(Outage::Tls(TlsFault::Expired)),
        Error::Unavailable(Outage::NotHttp),
        Error::Unavailable(proxy()),
        Error::Unavailable(Outage::Silent),
        Error::Unavailable(Outage::Broken),
        Error::Unavailable(Outage::Status(503, None)),
        Error::Unavailable(Outage::Status(429, Some(Duration::from_secs(7)))),
        Error::Unavailable(Outage::Limited(Duration::from_secs(7))),
        Error::Unavailable(Outage::Busy),
        Error::Unavailable(Outage::Known),
        Error::Unavailable(Outage::Reported),
    ],
    NotRecognized => [Error::NotRecognized {
        what: "The admin API",
        problem: "is not found where it should be",
        field: "hydra.adminUrl",
    }],
    Issuer => [
        IssuerFault::Changed { known: s("https://a.example.com/"), found: s("https://b.example.com/") }.into(),
        IssuerFault::Mismatch {
            server: s("default"),
            expected: s("https://a.example.com/"),
            found: s("https://b.example.com/"),
        }
        .into(),
        IssuerFault::PublicUrlMissing(s("default")).into(),
        IssuerFault::NoSigningKey(s("default")).into(),
        IssuerFault::PrivateKeysPublished(s("default")).into(),
    ],
    InUse => [Error::InUse(s("team-a/shop"))],
    CleanupWithoutServer => [Error::CleanupWithoutServer(s("main"), "oac", s("shop"), s("team-a"))],
    CleanupWaits => [Error::CleanupWaits { server: s("main"), kind: "oac", name: s("shop"), namespace: s("team-a"), may_orphan: false, suspect: Suspect::Resource }],
    CleanupUnconfirmed => [Error::CleanupUnconfirmed],
    Cluster => [
        Error::Cluster(ClusterFault::Forbidden),
        Error::Cluster(ClusterFault::Conflict),
        Error::Cluster(ClusterFault::Status(500)),
        Error::Cluster(ClusterFault::Silent),
        Error::Cluster(ClusterFault::Gone),
        Error::Cluster(ClusterFault::Denied(s("Secret `shop`"), denial("exceeded quota: few, requested: count/secrets=1"))),
        Error::Cluster(ClusterFault::Denied(s("Secret `shop`"), denial("admission webhook \"w\" denied the request: no."))),
        Error::Cluster(ClusterFault::TypeFixed { secret: s("shop"), found: s("Opaque"), wanted: s("example.com/oauth") }),
    ],
    NotLeader => [Error::NotLeader],
    ProbeNotFound => [Error::ProbeNotFound],
    ProbeDenied => [Error::ProbeDenied(401)],
    Unfinished => [Error::Unfinished(vec![]), Error::Unfinished(vec!["sectorIdentifierUri"])],
    Unverified => [Error::Unverified(Outage::Reported), Error::Unverified(Outage::Busy)],
    PublicUnavailable => [Error::PublicUnavailable(unreachable(Hindrance::Name)), Error::PublicUnavailable(Outage::Known)],
    Overtaken => [Error::Overtaken],
    Internal => [Error::Internal("generate a key")],
    Vault => [
        VaultFault::Sealed.into(),
        VaultFault::Uninitialized.into(),
        VaultFault::Standby.into(),
        VaultFault::Secondary.into(),
        VaultFault::ClusterChanged { known: s("0f2a"), found: s("1b3c") }.into(),
        VaultFault::NamespaceNotFound.into(),
        VaultFault::TooOld(s("1.9.2")).into(),
        VaultFault::LoginFailed("there is no such Vault namespace").into(),
        VaultFault::PermissionDenied("write_client").into(),
        VaultFault::Reserved { field: "setName", name: s("default") }.into(),
        VaultFault::Own { field: "setName", type_: "key", name: s("default") }.into(),
        VaultFault::NoOwn("key").into(),
        VaultFault::NotDeletable("provider").into(),
        VaultFault::Unlike(vec!["keySetRef", "clientType"]).into(),
        VaultFault::Opens.into(),
        VaultFault::TooManyClients.into(),
        VaultFault::NotYetKept { kind: "OidcProvider", name: s("main"), namespace: s("identity") }.into(),
        VaultFault::Immutable(vec!["keySetRef", "clientType"]).into(),
        VaultFault::InUse("assignment").into(),
        VaultFault::TtlInUse.into(),
        VaultFault::TtlTooLong.into(),
        VaultFault::NoNamespaces.into(),
        VaultFault::Dropped(vec!["grantTypes"]).into(),
        VaultFault::NotKept(vec!["id_token_ttl"]).into(),
        VaultFault::Missing("a key").into(),
        VaultFault::IdentityNotFound { field: "groups", type_: "group", name: s("staff") }.into(),
        VaultFault::NotListed { kind: "OidcProvider", name: s("main"), namespace: s("team-a") }.into(),
        VaultFault::NotAdmitted(s("team-b"), s("main")).into(),
        VaultFault::NoClients.into(),
        VaultFault::NoKeys.into(),
    ],
    Foulkon => [
        FoulkonFault::Refused(401).into(),
        FoulkonFault::MovedAway(s("/elsewhere/")).into(),
        FoulkonFault::Ambiguous(s("team_a")).into(),
        FoulkonFault::PermissionDenied("create_oidc_provider").into(),
        FoulkonFault::NoClients.into(),
        FoulkonFault::TooManyClients.into(),
        FoulkonFault::UnfitClientId(s("shop")).into(),
    ],
    Reply => [Error::Reply { operation: "get_version", problem: "holds no version" }],
    NamespacePending => [Error::NamespacePending(s("team-a"))],
    TooLong => [Error::TooLong],
}

fn denial(message: &str) -> Denial {
    Denial::of(message, Some(&[])).expect("a denial")
}

/// What is wrong with a message: it must have one or two full sentences, on one line, and end with a full stop.
fn proxy() -> Outage {
    Outage::Proxy(ProxyFault {
        proxy: "http://proxy:3128".to_owned(),
        trouble: ProxyTrouble::Refused,
    })
}

fn unreachable(why: Hindrance) -> Outage {
    Outage::Unreachable(s("https://hydra.example:4445"), why)
}

fn fault_of(message: &str) -> Option<String> {
    let characters: Vec<char> = message.chars().collect();
    let ends = characters
        .windows(3)
        .filter(|w| matches!(w, ['.', ' ', next] if next.is_uppercase()));
    let sentences = 1 + ends.count();
    if !message.ends_with('.') || message.ends_with("..") {
        Some("does not end with one full stop".to_owned())
    } else if message.contains(['\n', '\r']) {
        Some("has a line break".to_owned())
    } else if message.contains("  ") {
        Some("has two spaces in a row".to_owned())
    } else if message.len() > 1000 {
        Some(format!("has {} bytes", message.len())) // an event allows at most 1024
    } else if sentences > 2 {
        Some(format!("has {sentences} sentences"))
    } else {
        None
    }
}

#[test]
fn every_message_is_one_or_two_sentences() {
    for error in examples() {
        assert_eq!(fault_of(&error.to_string()), None, "{error}");
    }
}

#[test]
fn every_reason_of_an_error_is_in_the_list() {
    for error in examples() {
        let reason = error.class().1;
        assert!(Reason::ALL.contains(&reason), "{error:?}: {reason:?}");
    }
}

#[test]
fn every_reason_has_a_unique_word_equal_to_its_variant() {
    let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for (reason, word) in Reason::ALL.iter().map(|reason| (reason, reason.as_str())) {
        assert_eq!(word, format!("{reason:?}"));
    }
}

/// Names, keys and namespaces have the maximum length that Kubernetes allows.
#[test]
fn messages_with_the_longest_names_fit_into_an_event() {
    let name = "n".repeat(253);
    let namespace = "s".repeat(63);
    let errors = [
        Error::CleanupWithoutServer(name.clone(), "oac", name.clone(), namespace.clone()),
        Error::CleanupWaits {
            server: name.clone(),
            kind: "oac",
            name: name.clone(),
            namespace: namespace.clone(),
            may_orphan: false,
            suspect: Suspect::Server,
        },
        Error::SourceNotFound {
            kind: Source::ConfigMap,
            name: name.clone(),
            key: Some(name.clone()),
            namespace: Some(namespace.clone()),
        },
        Error::ServerNotReady(name.clone()),
        Error::ConfigMapConflict(Taken {
            name: name.clone(),
            owner: None,
        }),
        IssuerFault::PrivateKeysPublished(name.clone()).into(),
        Error::InUse(format!("{namespace}/{name}")),
        Error::NotOwned("i".repeat(128)),
        EarlierFault::Unproven("i".repeat(255)).into(),
        EarlierFault::Gone {
            id: "i".repeat(255),
            namespace: namespace.clone(),
            uid: "u".repeat(63),
        }
        .into(),
        Error::UnusableSecret {
            secret: name.clone(),
            key: name.clone(),
            problem: "begins or ends with white space, often an accidental line break",
        },
        LoginFault::SecretUntold {
            secret: name.clone(),
            key: name.clone(),
            why: Untold::Operator,
        }
        .into(),
        Error::NotAllowed {
            server: name,
            denied: Denied::NoRule {
                namespace,
                kind: ManagedKind::OAuth2Client,
            },
        },
    ];
    for error in errors {
        assert_eq!(fault_of(&error.to_string()), None, "{error}");
    }
}

/// Values of a spec may have 2048 characters, and an audience may have line breaks. An issuer comes from a reply and
/// may be anything.
#[test]
fn messages_with_the_longest_values_fit_into_an_event() {
    let denied = |value: String| Error::NotAllowed {
        server: s("default"),
        denied: Denied::Limits {
            rule: 0,
            broken: vec![Broken::one("clients.audiences", "audience", value)],
        },
    };
    let errors = [
        denied("a".repeat(2048)),
        denied(s("one\ntwo")),
        IssuerFault::Changed {
            known: s("https://a.example.com/"),
            found: "x".repeat(4096),
        }
        .into(),
        IssuerFault::Changed {
            known: s("https://a.example.com/"),
            found: s("https://b.example.com/\nnext"),
        }
        .into(),
        IssuerFault::Mismatch {
            server: "n".repeat(253),
            expected: "y".repeat(1024),
            found: format!("{}\n", "x".repeat(1023)),
        }
        .into(),
        Error::UnsupportedVersion(s("v1\nv2"), Unsupported::TooOld),
        Error::OtherCluster {
            type_: "assignment",
            name: "n".repeat(512),
            cluster: format!("{}\n", "c".repeat(512)),
        },
    ];
    for error in errors {
        assert_eq!(fault_of(&error.to_string()), None, "{error}");
    }
}

#[test]
fn errors_that_the_next_pass_explains_better_are_silent() {
    for error in examples() {
        let expected = match &error {
            Error::ServerPending(_) | Error::NamespacePending(_) | Error::NotLeader | Error::Unverified(_) => true,
            Error::Cluster(fault) => {
                matches!(
                    fault,
                    ClusterFault::Conflict | ClusterFault::Silent | ClusterFault::Gone
                )
            }
            _ => false,
        };
        assert_eq!(error.is_silent(), expected, "{error:?}");
        for seconds in [0, 119, 120, 86_400] {
            let expected = match &error {
                Error::Unavailable(Outage::Limited(_)) => seconds >= 120,
                Error::Earlier(EarlierFault::Unlisted { listing, .. }) => *listing == Listing::Failed || seconds >= 120,
                _ => !expected,
            };
            let report = error.treatment().report;
            assert_eq!(
                report.is_due(Duration::from_secs(seconds)),
                expected,
                "{error:?} {seconds}"
            );
        }
    }
}

#[test]
fn only_trouble_with_the_server_itself_is_an_outage() {
    for error in examples() {
        let expected = match &error {
            Error::Unavailable(outage) | Error::Unverified(outage) => {
                !matches!(outage, Outage::Reported | Outage::Limited(_))
            }
            Error::ServerRefused(_) | Error::ProbeDenied(_) | Error::Unfinished(_) => true,
            Error::Vault(fault) => matches!(
                fault,
                VaultFault::Sealed
                    | VaultFault::Uninitialized
                    | VaultFault::Secondary
                    | VaultFault::NamespaceNotFound
                    | VaultFault::LoginFailed(_)
            ),
            Error::Foulkon(fault) => matches!(fault, FoulkonFault::Refused(_)),
            Error::Login(fault) => matches!(fault, LoginFault::Account(_) | LoginFault::Untold(_)),
            _ => false,
        };
        assert_eq!(error.is_outage(), expected, "{error:?}");
    }
}

/// The server's own pass reports an outage. A resource points there, and keeps the answer to its own request.
#[test]
fn a_resource_reports_an_outage_by_pointing_to_its_server() {
    let unavailable = |outage| Error::Unavailable(outage);
    let reported = || unavailable(Outage::Reported);
    let waits = |suspect| Error::CleanupWaits {
        server: s("main"),
        kind: "oac",
        name: s("shop"),
        namespace: s("team-a"),
        may_orphan: true,
        suspect,
    };
    let pointing = [
        unavailable(unreachable(Hindrance::Name)),
        unavailable(Outage::Tls(TlsFault::Expired)),
        unavailable(Outage::NotHttp),
        unavailable(proxy()),
        unavailable(Outage::Silent),
        unavailable(Outage::Broken),
        unavailable(Outage::Status(503, None)),
        unavailable(Outage::Known),
        unavailable(Outage::Reported),
        VaultFault::Sealed.into(),
        VaultFault::LoginFailed("there is no such Vault namespace").into(),
        FoulkonFault::Refused(401).into(),
    ];
    for error in pointing {
        assert_eq!(error.clone().for_resource(), reported(), "{error:?}");
    }
    let kept = [
        unavailable(Outage::Busy),
        unavailable(Outage::Status(500, None)),
        unavailable(Outage::Status(429, None)),
        unavailable(Outage::Limited(Duration::from_secs(1))),
        Error::Unfinished(vec!["sectorIdentifierUri"]),
        Error::ServerRefused(403),
        Error::Unverified(Outage::Silent),
        Error::PublicUnavailable(Outage::Silent),
        Error::Overtaken,
        waits(Suspect::Server),
        waits(Suspect::Resource),
        VaultFault::Standby.into(),
        FoulkonFault::NoClients.into(),
        Error::SecretUnknown,
    ];
    for error in kept {
        assert_eq!(error.clone().for_resource(), error, "{error:?}");
    }
    assert!(waits(Suspect::Server).is_outage() && !waits(Suspect::Resource).is_outage());
}
