//! What is done with a resource on its way, and what is not.

use kube::core::DynamicObject;
use oidc_operator::api::authorization_server::ForwardedProto;
use oidc_operator::plugin::ask::Answer;
use oidc_operator::plugin::migrate::maester::{Choice, SecretFate, is_same_spec, keys_in, plan};
use oidc_operator::plugin::migrate::plan::{Found, Item, Verdict, items};
use oidc_operator::plugin::migrate::preview::{Accepts, Preview, adopted, is_untouched};
use oidc_operator::plugin::migrate::server::{Known, server_for};
use serde_json::{Value, json};

use super::{BOTH, choice, known, moved, old, secret};

fn machine() -> Value {
    json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web" })
}

/// The new resource for `old`, as it is in the cluster.
fn new(spec: Value, status: Value) -> DynamicObject {
    let mut new = moved(machine(), &secret(&BOTH, true)).manifest;
    for (name, value) in spec.as_object().into_iter().flatten() {
        new["spec"][name] = value.clone();
    }
    new["metadata"]["generation"] = json!(3);
    new["status"] = status;
    serde_json::from_value(new).expect("an object")
}

#[test]
fn the_operator_says_what_an_adoption_would_change() {
    const SUSPENDED: &str = "Reconciliation is suspended by spec.suspend.";
    let told = |type_: &str, message: &str| json!({ "observedGeneration": 3, "conditions": [{ "type": type_, "status": "True", "message": message }] });
    let suspended = |preview: &str| told("Suspended", &format!("{SUSPENDED} {preview}"));
    let mut early = suspended("An adoption would change nothing on the server except the mark.");
    early["observedGeneration"] = json!(2);
    let nothing = "An adoption would change nothing on the server except the mark.";
    let noted = format!("{nothing} The annotation x is ignored.");
    let changes = "An adoption would change these members of the client: redirect_uris, scope.";
    for (status, expected, objection, accepted) in [
        (suspended(nothing), Preview::Nothing, None, None),
        (suspended(&noted), Preview::Nothing, None, None),
        (
            suspended(changes),
            Preview::Changes("redirect_uris, scope".to_owned()),
            Some("would change: redirect_uris, scope."),
            None,
        ),
        (
            suspended("The client does not exist on the server, so it would be created."),
            Preview::Missing,
            Some("does not exist on AuthorizationServer `main`"),
            Some("does not exist on AuthorizationServer `main`"),
        ),
        (
            json!({ "updatedAt": "2026-01-01T00:00:00Z" }),
            Preview::Done,
            None,
            None,
        ),
    ] {
        let found = Preview::of(&new(json!({ "suspend": true }), status));
        assert_eq!(found, expected);
        for (accepts, part) in [(Accepts::Nothing, objection), (Accepts::Changes, accepted)] {
            let why = found.objection("main", accepts);
            assert_eq!(why.is_some(), part.is_some(), "{why:?}");
            assert!(
                why.as_deref().unwrap_or_default().contains(part.unwrap_or_default()),
                "{why:?}"
            );
        }
    }
    for (status, is_open, part) in [
        (
            suspended("The client on the server cannot be adopted."),
            false,
            "cannot be adopted. Another",
        ),
        (told("Stalled", "The spec is wrong."), false, "The spec is wrong."),
        (
            told("Ready", "The server is not ready."),
            true,
            "The server is not ready.",
        ),
        // The server could not be asked.
        (told("Suspended", SUSPENDED), true, "has not compared it"),
        (early, true, "has not compared it"),
        (json!({ "observedGeneration": -1 }), true, "has not compared it"),
    ] {
        let found = Preview::of(&new(json!({ "suspend": true }), status));
        assert_eq!(matches!(found, Preview::Open(_)), is_open, "{found:?}");
        let why = found.objection("main", Accepts::Changes).expect("an objection");
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn only_what_has_written_nothing_is_made_anew() {
    let suspended = json!({ "suspend": true });
    for (spec, status, finalizers, expected) in [
        (suspended.clone(), json!({}), json!([]), true),
        (json!({}), json!({}), json!([]), false),
        (
            suspended.clone(),
            json!({ "updatedAt": "2026-01-01T00:00:00Z" }),
            json!([]),
            false,
        ),
        (suspended, json!({}), json!(["oidc-operator.dev/cleanup"]), false),
    ] {
        let mut new = new(spec, status);
        new.metadata.finalizers = serde_json::from_value(finalizers).expect("finalizers");
        assert_eq!(is_untouched(&new), expected, "{new:?}");
        let all = items(vec![old("web", machine())], &[found()], &[new], &choice(&[]));
        assert_eq!(matches!(all[0].verdict, Verdict::Move(_)), expected);
    }
}

#[test]
fn the_old_resource_goes_once_its_client_is_taken_over() {
    let ready = |more: Value| {
        let mut status = json!({ "observedGeneration": 3, "conditions": [{ "type": "Ready", "status": "True", "message": "Well." }] });
        status["adopted"] = more;
        status
    };
    for (spec, status, expected) in [
        (json!({}), ready(json!(true)), "done"),
        (
            json!({}),
            ready(Value::Null),
            "did not find its client on AuthorizationServer `main`",
        ),
        (json!({ "suspend": true }), ready(json!(true)), "suspended meanwhile"),
        (
            json!({}),
            json!({ "observedGeneration": 2, "adopted": true }),
            "has not looked yet",
        ),
    ] {
        let (Answer::Done(said) | Answer::Refused(said) | Answer::Open(said)) =
            adopted(&new(spec, status), "main", None);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn the_way_back_finds_the_keys_of_the_secret() {
    let chosen = ["id", "password"];
    for (keys, expected) in [
        (BOTH, None),
        (["client_id", "client_secret"], Some(["client_id", "client_secret"])),
        (chosen, Some(chosen)),
    ] {
        let choice = Choice {
            keys: Some(chosen),
            ..choice(&[])
        };
        for is_owned in [true, false] {
            let planned = plan(&old("web", machine()), Some(&secret(&keys, is_owned)), &choice).expect("a plan");
            assert_eq!(keys_in(&planned.manifest["spec"]), expected);
        }
    }
    assert_eq!(
        keys_in(&json!({ "credentials": { "keys": { "clientId": "id" } } })),
        Some(["id", "CLIENT_SECRET"])
    );
}

fn found() -> Found {
    Ok(Some(secret(&BOTH, true)))
}

fn reason(item: &Item) -> &str {
    match &item.verdict {
        Verdict::Skip(why) => why,
        _ => "",
    }
}

#[test]
fn a_resource_that_changed_on_its_way_does_not_go_on() {
    let mut changed = machine();
    changed["scope"] = json!("b");
    let mut filled = machine();
    // What hydra-maester writes into a spec by itself.
    filled["hydraAdmin"] = json!({ "port": 0, "url": "" });
    filled["tokenLifespans"] = json!({ "implicit_grant_id_token_lifespan": "" });
    filled["skipConsent"] = json!(false);
    for (spec, uid, suspended, part) in [
        (machine(), "uid-of-web", false, ""),
        (filled, "uid-of-web", false, ""),
        (changed.clone(), "uid-of-web", false, "changed since it began to move"),
        (machine(), "another", false, "created again after it had moved"),
        (machine(), "another", true, "has begun to move back. Repeat"),
    ] {
        let mut there = old("web", spec);
        there.metadata.uid = Some(uid.to_owned());
        let status = json!({ "updatedAt": "2026-01-01T00:00:00Z", "adopted": true });
        let new = new(json!({ "suspend": suspended }), status);
        let all = items(vec![there], &[found()], &[new], &choice(&[]));
        assert!(reason(&all[0]).contains(part), "{:?}", all[0].verdict);
        assert_eq!(matches!(all[0].verdict, Verdict::Continue(_)), part.is_empty());
    }
    assert!(!is_same_spec(&machine(), &changed));
    // The operator refused the new resource, and the old one was corrected. Suspended, the new one is made anew.
    for (suspended, part) in [(false, "kubectl oidc suspend web --namespace shop."), (true, "")] {
        let new = new(json!({ "suspend": suspended }), json!({}));
        let all = items(vec![old("web", changed.clone())], &[found()], &[new], &choice(&[]));
        assert!(reason(&all[0]).contains(part), "{:?}", all[0].verdict);
        assert_eq!(matches!(all[0].verdict, Verdict::Move(_)), suspended);
    }
}

#[test]
fn one_client_moves_once() {
    let spec = || json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web" });
    let mut ready = old("second", spec());
    ready.data["status"] = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
    let found = [Ok(Some(secret(&BOTH, true))), Ok(Some(secret(&BOTH, true)))];
    let all = items(vec![old("first", spec()), ready.clone()], &found, &[], &choice(&[]));
    assert!(matches!(&all[0].verdict, Verdict::Skip(why) if why.contains("the client of shop/second")));
    assert!(matches!(&all[1].verdict, Verdict::Move(_)));

    // Once the other one has moved, it still has the client.
    let new: DynamicObject = serde_json::from_value(all[1].manifest().expect("a manifest").clone()).expect("an object");
    let all = items(
        vec![old("first", spec()), ready],
        &found,
        std::slice::from_ref(&new),
        &choice(&[]),
    );
    assert!(matches!(&all[0].verdict, Verdict::Skip(why) if why.contains("the client of shop/second")));
    assert_eq!(all[1].verdict, Verdict::Continue(SecretFate::TakenOver));

    // A resource that was made in another way is not touched.
    let mut own = new;
    own.metadata.annotations = None;
    let all = items(vec![old("second", spec())], &found[..1], &[own], &choice(&[]));
    assert!(matches!(&all[0].verdict, Verdict::Skip(why) if why.contains("has this name already")));
}

#[test]
fn a_client_is_one_of_its_server_and_of_one_resource() {
    let at = |name: &str, port: u64| {
        let mut spec = machine();
        spec["hydraAdmin"] = json!({ "url": "http://hydra", "port": port, "endpoint": "/clients" });
        old(name, spec)
    };
    let servers = [known("one", "http://hydra:1"), known("two", "http://hydra:2")];
    let all = |olds: Vec<DynamicObject>| {
        let found: Vec<Found> = olds.iter().map(|_| found()).collect();
        items(olds, &found, &[], &choice(&servers))
    };
    let is_moved = |item: &Item| matches!(item.verdict, Verdict::Move(_));
    // The same id on two servers is two clients.
    assert!(all(vec![at("a", 1), at("b", 2)]).iter().all(is_moved));

    let mut refused = at("a", 1);
    refused.data["status"] = json!({ "reconciliationError": { "statusCode": "INVALID_SECRET" } });
    let found = all(vec![refused.clone(), at("b", 1)]);
    assert!(
        reason(&found[0]).contains("has the client of shop/b"),
        "{:?}",
        found[0].verdict
    );
    assert!(is_moved(&found[1]));
    // Nobody tells the owner, and it is not this one.
    let found = all(vec![refused]);
    let why = reason(&found[0]);
    assert!(
        why.contains("INVALID_SECRET") && why.contains("owner reference from Secret `web`"),
        "{why}"
    );
    // What cannot move has its client all the same.
    let mut going = at("b", 1);
    going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time"));
    going.data["status"] = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
    let found = all(vec![at("a", 1), going]);
    assert!(
        reason(&found[0]).contains("has the client of shop/b"),
        "{:?}",
        found[0].verdict
    );
    assert!(reason(&found[1]).contains("being deleted"), "{:?}", found[1].verdict);
}

#[test]
fn a_secret_that_cannot_be_read_keeps_one_resource() {
    let denied = Err("Secret `web` cannot be read.".to_owned());
    let mut other = machine();
    other["secretName"] = json!("other");
    let found = items(
        vec![old("web", machine()), old("other", other)],
        &[denied, found()],
        &[],
        &choice(&[]),
    );
    assert_eq!(reason(&found[0]), "Secret `web` cannot be read.");
    assert!(matches!(found[1].verdict, Verdict::Move(_)));
}

#[test]
fn an_admin_api_is_the_one_of_a_server() {
    let servers = [
        Known {
            forwarded_proto: Some(ForwardedProto::Https),
            ..known("main", "http://hydra:4445/")
        },
        known("under", "https://gate.example.com/one/"),
        known("beside", "https://gate.example.com/two"),
        known("again", "https://gate.example.com/two"),
    ];
    for (admin, expected) in [
        (json!({}), Ok("again")),
        // Without a URL, the rest has no effect.
        (json!({ "port": 1, "endpoint": "/elsewhere" }), Ok("again")),
        (
            json!({ "url": "http://hydra", "port": 4445, "endpoint": "/admin/clients" }),
            Ok("main"),
        ),
        (
            json!({ "url": "http://hydra", "port": 4445, "endpoint": "/clients/" }),
            Ok("main"),
        ),
        (
            json!({ "url": "http://a:b@hydra", "port": 4445, "endpoint": "/clients" }),
            Ok("main"),
        ),
        (
            json!({ "url": "http://hydra", "port": 4445, "endpoint": "/clients", "forwardedProto": "https" }),
            Ok("main"),
        ),
        (
            json!({ "url": "http://hydra", "port": 4445, "endpoint": "/clients", "forwardedProto": "http" }),
            Err("forwardedProto `http`"),
        ),
        (json!({ "url": "http://hydra", "port": 4445 }), Err("endpoint ``")),
        (
            json!({ "url": "http://hydra", "port": 4445, "endpoint": "/admin/../elsewhere" }),
            Err("endpoint `/admin/../elsewhere`"),
        ),
        (
            json!({ "url": "http://hydra", "port": 80, "endpoint": "/clients" }),
            Err("is http://hydra:80"),
        ),
        (
            json!({ "url": "http://hydra\\@evil.example.com", "port": 4445, "endpoint": "/clients" }),
            Err("no AuthorizationServer"),
        ),
        (
            json!({ "url": "https://gate.example.com", "port": 443, "endpoint": "/one/clients" }),
            Ok("under"),
        ),
        (
            json!({ "url": "https://gate.example.com", "port": 443, "endpoint": "/two/admin/clients" }),
            Ok("again"),
        ),
        (
            json!({ "url": "https://gate.example.com", "port": 443, "endpoint": "/clients" }),
            Err("endpoint `/clients`"),
        ),
    ] {
        let spec = json!({ "hydraAdmin": admin });
        let found = server_for(&spec, "again", &servers);
        match (&found, expected) {
            (Ok(name), Ok(expected)) => assert_eq!(*name, expected, "{admin}"),
            (Err(why), Err(part)) => assert!(why.contains(part) && why.ends_with("try again."), "{why}"),
            _ => panic!("{admin}: {found:?}"),
        }
    }
}
