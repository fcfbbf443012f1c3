//! Whole round trips with a worker: the stand-in, or a real one if it is configured.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use oidc_operator::admin::foulkon::{
    Column, Fields, Foulkon, Listing, Order, Provider, is_absent, is_conflict, is_loaded,
};
use oidc_operator::admin::http::Failure;
use tokio::sync::{Mutex, MutexGuard};

use super::{admin, authorized, connect, named, nobody, set};

/// Held by the test that uses the real worker: all tests share one.
static REAL: Mutex<()> = Mutex::const_new(());

/// A worker without providers, and its API for the admin.
struct Fresh {
    worker: testbed::Foulkon,
    foulkon: Foulkon,
    _alone: Option<MutexGuard<'static, ()>>,
}

async fn fresh() -> Result<Fresh> {
    let alone = match testbed::Foulkon::is_real() {
        true => Some(REAL.lock().await),
        false => None,
    };
    let worker = testbed::Foulkon::start().await?;
    worker.remove_all().await?;
    let (user, password) = worker.admin();
    let (foulkon, _) = connect(worker.address(), &admin(user, password));
    Ok(Fresh {
        worker,
        foulkon,
        _alone: alone,
    })
}

/// Turns a failure, which has no message, into an error.
fn ok<T>(result: Result<T, Failure>) -> Result<T> {
    result.map_err(|failure| anyhow::anyhow!("{failure:?}"))
}

/// The failure of a call that must fail.
fn failed<T>(result: Result<T, Failure>) -> Result<Failure> {
    result.err().context("the call succeeded")
}

/// Asserts that the provider has the written fields.
fn check(provider: &Provider, fields: &Fields) {
    assert_eq!(fields.differences(provider), [""; 0]);
    assert_eq!(
        *provider.urn,
        format!("urn:iws:auth::oidc{}{}", fields.path, fields.name)
    );
}

#[tokio::test]
async fn a_provider_is_created_read_and_deleted_once() -> Result<()> {
    let fresh = fresh().await?;
    let (worker, foulkon) = (&fresh.worker, &fresh.foulkon);
    let fields = Fields {
        clients: set(&["web", "app", "a=b+c-d.e@f_g"]),
        ..named("shop", "/team/")
    };
    assert_eq!(ok(foulkon.get("shop").await)?, None);
    let made = ok(foulkon.create(&fields).await)?;
    check(&made, &fields);
    assert_eq!(ok(foulkon.get("shop").await)?, Some(made.clone()));
    assert_eq!(worker.providers().await?.len(), 1);
    assert!(ok(foulkon.delete("shop").await)?);
    assert!(!ok(foulkon.delete("shop").await)?);
    assert_eq!(ok(foulkon.get("shop").await)?, None);
    assert!(worker.providers().await?.is_empty());
    let again = ok(foulkon.create(&fields).await)?;
    assert_ne!(again.id, made.id);
    Ok(())
}

#[tokio::test]
async fn an_update_replaces_every_field_and_keeps_the_id() -> Result<()> {
    let fresh = fresh().await?;
    let foulkon = &fresh.foulkon;
    let first = named("shop", "/team/");
    let made = ok(foulkon.create(&first).await)?;
    let steps = [
        (
            "issuer",
            Fields {
                issuer_url: "https://other.example.com".to_owned(),
                ..first.clone()
            },
        ),
        (
            "more clients",
            Fields {
                clients: set(&["app", "web"]),
                ..first.clone()
            },
        ),
        (
            "other clients",
            Fields {
                clients: set(&["web"]),
                ..first.clone()
            },
        ),
        (
            "no clients",
            Fields {
                clients: set(&[]),
                ..first.clone()
            },
        ),
        ("moved", named("shop", "/other/")),
        ("renamed", named("store", "/other/")),
        ("both, and back", first.clone()),
        ("nothing", first.clone()),
    ];
    let mut name = "shop".to_owned();
    for (what, fields) in steps {
        let updated = ok(foulkon.update(&name, &fields).await).context(what)?;
        check(&updated, &fields);
        assert_eq!((&updated.id, &updated.create_at), (&made.id, &made.create_at), "{what}");
        assert_eq!(ok(foulkon.get(&fields.name).await)?, Some(updated), "{what}");
        if fields.name != name {
            assert_eq!(ok(foulkon.get(&name).await)?, None, "{what}");
            assert!(is_absent(&failed(foulkon.update(&name, &fields).await)?), "{what}");
        }
        name = fields.name;
    }
    Ok(())
}

#[tokio::test]
async fn a_name_is_unique_across_paths() -> Result<()> {
    let fresh = fresh().await?;
    let (worker, foulkon) = (&fresh.worker, &fresh.foulkon);
    let one = ok(foulkon.create(&named("one", "/team/")).await)?;
    let two = ok(foulkon.create(&named("two", "/team/")).await)?;
    for path in ["/team/", "/other/"] {
        let conflict = failed(foulkon.create(&named("one", path)).await)?;
        assert!(is_conflict(&conflict) && conflict.is_certain(), "{path}: {conflict:?}");
        let conflict = failed(foulkon.update("two", &named("one", path)).await)?;
        assert!(is_conflict(&conflict) && conflict.is_certain(), "{path}: {conflict:?}");
    }
    assert_eq!(ok(foulkon.get("one").await)?, Some(one));
    assert_eq!(ok(foulkon.get("two").await)?, Some(two));
    assert_eq!(worker.providers().await?.len(), 2);
    Ok(())
}

/// So a reader must compare the name.
#[tokio::test]
async fn an_underscore_in_a_name_matches_another_provider() -> Result<()> {
    let fresh = fresh().await?;
    let foulkon = &fresh.foulkon;
    let made = ok(foulkon.create(&named("zbz", "/team/")).await)?;
    assert_eq!(ok(foulkon.get("z_z").await)?, Some(made));
    assert!(is_conflict(&failed(foulkon.create(&named("z_z", "/other/")).await)?));
    assert!(ok(foulkon.delete("z_z").await)?);
    assert_eq!(ok(foulkon.get("zbz").await)?, None);
    Ok(())
}

#[tokio::test]
async fn a_refused_value_changes_nothing_and_the_worker_names_it() -> Result<()> {
    let fresh = fresh().await?;
    let (worker, foulkon) = (&fresh.worker, &fresh.foulkon);
    let good = named("shop", "/team/");
    let made = ok(foulkon.create(&good).await)?;
    let cases = [
        (named("a.b", "/team/"), "name a.b"),
        (named("shop", "/a/"), "path /a/"),
        (
            Fields {
                issuer_url: "not a url".to_owned(),
                ..good.clone()
            },
            "issuerUrl not a url",
        ),
        (
            Fields {
                clients: set(&["https://x"]),
                ..good.clone()
            },
            "client name https://x",
        ),
    ];
    for (fields, problem) in cases {
        for (failed, prefix) in [
            (failed(foulkon.create(&fields).await)?, ""),
            (failed(foulkon.update("shop", &fields).await)?, "new "),
        ] {
            let Failure::Status {
                code: 400,
                error: Some(error),
                description,
            } = failed
            else {
                anyhow::bail!("{problem}: {failed:?}");
            };
            assert_eq!(error, "InvalidParameterError", "{problem}");
            // For an update, the worker calls name and path "new".
            let prefix = if problem.starts_with("name") || problem.starts_with("path") {
                prefix
            } else {
                ""
            };
            assert_eq!(description, format!("Invalid parameter: {prefix}{problem}"));
        }
    }
    assert_eq!(ok(foulkon.get("shop").await)?, Some(made));
    assert_eq!(worker.providers().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn names_below_a_path_are_read_from_all_pages() -> Result<()> {
    let fresh = fresh().await?;
    let foulkon = &fresh.foulkon;
    let many: Vec<String> = (0..1003).map(|index| format!("many-{index:04}")).collect();
    for name in &many {
        ok(foulkon.create(&named(name, "/many/")).await)?;
    }
    for (name, path) in [("one", "/few/"), ("two", "/few/deeper/"), ("three", "/fewer/")] {
        ok(foulkon.create(&named(name, path)).await)?;
    }
    let cases: [(&str, BTreeSet<String>); 5] = [
        ("/many/", many.iter().cloned().collect()),
        ("/few/", set(&["one", "two"])),
        ("/few/deeper/", set(&["two"])),
        ("/fewer/", set(&["three"])),
        ("/none/", set(&[])),
    ];
    for (prefix, expected) in cases {
        assert_eq!(ok(foulkon.names(prefix).await)?, expected, "{prefix}");
    }
    let all = ok(foulkon.list(Listing::default()).await)?;
    assert_eq!((all.providers.len(), all.total), (20, 1006));
    let last = Listing {
        path_prefix: Some("/many/"),
        offset: 1,
        limit: Some(2),
        order_by: Some((Column::Name, Order::Descending)),
    };
    let page = ok(foulkon.list(last).await)?;
    let names: Vec<String> = page.providers.into_iter().map(String::from).collect();
    assert_eq!(
        (names, page.total),
        (vec![many[1001].clone(), many[1000].clone()], 1003)
    );
    Ok(())
}

#[tokio::test]
async fn a_written_provider_is_loaded_with_the_next_start() -> Result<()> {
    let mut fresh = fresh().await?;
    let foulkon = fresh.foulkon.clone();
    if testbed::Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let (first, second) = (named("first", "/team/"), named("second", "/team/"));
    let changed = Fields {
        clients: set(&["app", "web"]),
        ..first.clone()
    };
    let loaded = async || {
        let about = ok(foulkon.about().await)?;
        assert!(about.version.starts_with('v'), "{about:?}");
        let loaded = about.loaded.context("no loaded providers are reported")?;
        let all = [&first, &changed, &second].map(|fields| is_loaded(&loaded, fields));
        anyhow::Ok((all, loaded.len()))
    };
    assert_eq!(loaded().await?, ([false; 3], 0));
    ok(foulkon.create(&first).await)?;
    assert_eq!(loaded().await?, ([false; 3], 0));
    fresh.worker.restart().await?;
    assert_eq!(loaded().await?, ([true, false, false], 1));
    ok(foulkon.update("first", &changed).await)?;
    ok(foulkon.create(&second).await)?;
    assert_eq!(loaded().await?, ([true, false, false], 1));
    fresh.worker.restart().await?;
    assert_eq!(loaded().await?, ([false, true, true], 2));
    assert!(ok(foulkon.delete("first").await)?);
    assert_eq!(loaded().await?, ([false, true, true], 2));
    fresh.worker.restart().await?;
    assert_eq!(loaded().await?, ([false, false, true], 1));
    Ok(())
}

/// The status depends on what was loaded at the start.
#[tokio::test]
async fn a_bad_login_is_refused_before_and_after_something_is_loaded() -> Result<()> {
    let mut fresh = fresh().await?;
    let foulkon = fresh.foulkon.clone();
    if testbed::Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    ok(foulkon.create(&named("shop", "/team/")).await)?;
    let logins = [
        nobody(),
        admin("admin", "wrong"),
        authorized("Bearer abc"),
        authorized("Basic !!!"),
    ];
    for code in [401, 400] {
        for login in &logins {
            let (stranger, http) = connect(fresh.worker.address(), login);
            let refused = Failure::Refused(code);
            assert_eq!(stranger.about().await.map(drop), Err(refused.clone()));
            assert_eq!(stranger.list(Listing::default()).await.map(drop), Err(refused.clone()));
            http.breaker().close();
            assert_eq!(stranger.delete("shop").await, Err(refused));
        }
        fresh.worker.restart().await?;
    }
    assert!(ok(foulkon.get("shop").await)?.is_some());
    Ok(())
}
