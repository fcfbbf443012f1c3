//! Files in the repository that are generated from code or must agree with it. `make generate` regenerates them.

#[path = "generated/argo_cd.rs"]
mod argo_cd;
#[path = "generated/gitops.rs"]
mod gitops;
#[path = "generated/krew.rs"]
mod krew;
#[path = "generated/monitoring.rs"]
mod monitoring;
#[path = "generated/promql.rs"]
mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use oidc_operator::api::condition::Reason;
use oidc_operator::api::event::Happening;
use oidc_operator::api::oauth2_client::Preset;
use oidc_operator::metrics::{Described, catalogue};
use serde_json::Value;

/// Maximum bytes of a file: etcd allows 1.5 MiB, but `kubectl apply` keeps a copy of the object in an annotation of at
/// most 256 KiB.
const MAX_CRD: usize = 150 * 1024;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(relative: &str) -> Result<String> {
    std::fs::read_to_string(path(relative)).with_context(|| format!("reading {relative}"))
}

fn text(crd: &CustomResourceDefinition) -> Result<String> {
    Ok(oidc_operator::api::to_yaml(crd)?)
}

/// File name and text of every CRD.
fn crds() -> Result<BTreeMap<String, String>> {
    let crds = oidc_operator::api::crds();
    crds.iter()
        .map(|crd| Ok((format!("{}.yaml", crd.spec.names.plural), text(crd)?)))
        .collect()
}

#[test]
fn crd_files_match_the_code() -> Result<()> {
    for folder in ["crds", "charts/oidc-operator/files/crds"] {
        if std::env::var_os("UPDATE").is_some() {
            update(&path(folder), &crds()?)?;
        }
        let files: BTreeSet<String> = std::fs::read_dir(path(folder))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        let wanted: BTreeSet<String> = crds()?.into_keys().collect();
        assert_eq!(files, wanted, "files in {folder}; run `make generate`");
        for (name, text) in crds()? {
            let relative = format!("{folder}/{name}");
            ensure!(
                read(&relative)? == text,
                "{relative} differs from the code; run `make generate`"
            );
        }
    }
    Ok(())
}

fn update(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !files.contains_key(entry.file_name().to_string_lossy().as_ref()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[test]
fn crds_are_small_enough_for_kubectl_apply() -> Result<()> {
    for (name, text) in crds()? {
        ensure!(text.len() < MAX_CRD, "{name} has {} bytes", text.len());
    }
    Ok(())
}

/// The chart takes everything after the line `spec:` and writes the head itself.
#[test]
fn chart_can_split_the_crds() -> Result<()> {
    for crd in oidc_operator::api::crds() {
        let text = text(&crd)?;
        let (head, body) = text.split_once("\nspec:\n").context("no spec")?;
        assert_eq!(
            head,
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {}",
                crd.name_any()
            )
        );
        ensure!(
            body.lines().all(|line| line.is_empty() || line.starts_with(' ')),
            "something follows the spec"
        );
    }
    Ok(())
}

/// The compiler does not detect a reason that is missing from the list.
#[test]
fn every_reason_is_in_the_list() -> Result<()> {
    let listed = read("src/api/condition.rs")?.matches(" => \"").count();
    assert_eq!(Reason::ALL.len(), listed, "Reason::ALL in src/api/condition.rs");
    Ok(())
}

/// The list and its order are those of the enum, which the compiler does not compare.
#[test]
fn every_event_is_in_the_list() -> Result<()> {
    let declared: Vec<String> = documented_events()?.into_iter().map(|(name, _)| name).collect();
    let listed: Vec<&str> = Happening::ALL.iter().map(|happening| happening.as_str()).collect();
    assert_eq!(declared, listed, "Happening::ALL in src/api/event.rs");
    Ok(())
}

#[test]
fn docs_list_every_event() -> Result<()> {
    let path = path("docs/events.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(EVENTS_BEGIN).context("no begin of the list")?;
    let (_, after) = rest.split_once(EVENTS_END).context("no end of the list")?;
    let mut rows = "\n\n| Reason | Type | What happened |\n|---|---|---|\n".to_owned();
    for ((name, text), happening) in documented_events()?.iter().zip(Happening::ALL) {
        rows += &format!("| `{name}` | {:?} | {text} |\n", happening.type_());
    }
    let wanted = format!("{before}{EVENTS_BEGIN}{rows}\n{EVENTS_END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, wanted)?;
    } else {
        assert_eq!(
            page, wanted,
            "docs/events.md differs from the code; run `make generate`"
        );
    }
    Ok(())
}

const EVENTS_BEGIN: &str = "<!-- events: begin -->";
const EVENTS_END: &str = "<!-- events: end -->";

/// The events and their doc comments.
fn documented_events() -> Result<Vec<(String, String)>> {
    let file = syn::parse_file(&read("src/api/event.rs")?)?;
    let events = file.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(found) if found.ident == "Happening" => Some(found),
        _ => None,
    });
    let variants = events.context("no enum Happening")?.variants;
    Ok(variants
        .iter()
        .map(|variant| (variant.ident.to_string(), doc_of(&variant.attrs)))
        .collect())
}

fn doc_of(attributes: &[syn::Attribute]) -> String {
    let line = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::NameValue(found) if found.path.is_ident("doc") => match &found.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_documentation_has_a_line_for_every_reason() -> Result<()> {
    let page = read("docs/reasons/index.md")?;
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| [`")?.split('`').next())
        .collect();
    let reasons: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(documented, reasons);
    Ok(())
}

#[test]
fn the_documentation_describes_every_preset() -> Result<()> {
    let page = read("docs/tasks/credentials.md")?;
    for preset in Preset::ALL {
        let name = serde_json::to_value(preset)?;
        let start = format!("| `{}` |", name.as_str().context("no text")?);
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.with_context(|| format!("no row for {name}"))?;
        let layout = preset.layout();
        let keys = [layout.client_id, layout.client_secret].into_iter();
        let keys = keys
            .chain(layout.data.iter().map(|(key, _)| *key))
            .chain(layout.random.iter().copied());
        let labels = layout.labels.iter().map(|(key, value)| format!("{key}: {value}"));
        // The keys of one application begin alike, and the row names the beginning once.
        let keys = keys.map(|key| key.trim_start_matches("GF_AUTH_GENERIC_OAUTH_").to_owned());
        for part in keys.chain(labels) {
            ensure!(row.contains(&format!("`{part}`")), "{name}: {part} is not in its row");
        }
    }
    Ok(())
}

#[test]
fn chart_schema_has_exactly_the_values() -> Result<()> {
    let values: Value = serde_saphyr::from_str(&read("charts/oidc-operator/values.yaml")?)?;
    let mut schema: Value = serde_json::from_str(&read("charts/oidc-operator/values.schema.json")?)?;
    // Helm passes this to every subchart.
    schema["properties"]
        .as_object_mut()
        .context("no properties")?
        .remove("global");
    same_keys("", &values, &schema)
}

/// Compares the keys of every object that the schema closes; other objects may have any keys.
fn same_keys(at: &str, values: &Value, schema: &Value) -> Result<()> {
    if schema["additionalProperties"] != Value::Bool(false) {
        return Ok(());
    }
    let keys = |value: &Value| -> Result<BTreeSet<String>> {
        Ok(value
            .as_object()
            .with_context(|| format!("values{at}: no object"))?
            .keys()
            .cloned()
            .collect())
    };
    assert_eq!(keys(values)?, keys(&schema["properties"])?, "values{at}");
    for key in keys(values)? {
        ensure!(
            schema["properties"][&key]["description"].is_string(),
            "values{at}.{key}: no description in the schema"
        );
        same_keys(&format!("{at}.{key}"), &values[&key], &schema["properties"][&key])?;
    }
    Ok(())
}

/// Users copy the examples in comments as they stand.
#[test]
fn examples_in_the_values_are_yaml() -> Result<()> {
    let values = read("charts/oidc-operator/values.yaml")?;
    let mut comment = String::new();
    let mut examples = Vec::new();
    for line in values.lines() {
        match line.trim_start().strip_prefix('#') {
            Some(text) => comment.push_str(text),
            None => examples.append(&mut in_brackets(&std::mem::take(&mut comment))?),
        }
    }
    ensure!(examples.len() > 10, "the examples were not found: {examples:?}");
    for example in examples {
        let value: Value = serde_saphyr::from_str(&example).with_context(|| example.clone())?;
        ensure!(value.is_array() || value.is_object(), "{example}");
    }
    Ok(())
}

/// The parts of a text in brackets or braces, outermost ones only.
fn in_brackets(text: &str) -> Result<Vec<String>> {
    let (mut found, mut depth, mut start, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            '[' | '{' => {
                start = if depth == 0 { at } else { start };
                depth += 1;
            }
            ']' | '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    found.push(text[start..=at].to_owned());
                }
            }
            _ => {}
        }
    }
    ensure!(depth == 0 && !quoted, "brackets or quotes are not closed: {text}");
    Ok(found)
}

#[test]
fn chart_uses_every_value() -> Result<()> {
    let mut templates = String::new();
    for entry in std::fs::read_dir(path("charts/oidc-operator/templates"))? {
        templates += &std::fs::read_to_string(entry?.path())?;
    }
    let schema: Value = serde_json::from_str(&read("charts/oidc-operator/values.schema.json")?)?;
    let properties = schema["properties"].as_object().context("no properties")?;
    for (key, value) in properties.iter().filter(|(key, _)| *key != "global") {
        match value["properties"].as_object() {
            None => ensure!(templates.contains(&format!(".Values.{key}")), "no template uses {key}"),
            Some(inner) => {
                for name in inner.keys() {
                    ensure!(
                        templates.contains(&format!(".Values.{key}.{name}")),
                        "no template uses {key}.{name}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// The chart's README: every value with its default and the description in the schema.
#[test]
fn chart_readme_lists_every_value() -> Result<()> {
    let values: Value = serde_saphyr::from_str(&read("charts/oidc-operator/values.yaml")?)?;
    let schema: Value = serde_json::from_str(&read("charts/oidc-operator/values.schema.json")?)?;
    let mut rows = String::new();
    value_rows("", &values, &schema, &mut rows)?;
    let text = format!(
        "# Helm chart oidc-operator\n\n\
         Installs the operator and its CustomResourceDefinitions. [Install](../../docs/tasks/install.md) shows how.\n\n\
         The chart refuses values that are not in this list. [values.yaml](values.yaml) has examples.\n\n\
         | Value | Default | |\n|---|---|---|\n{rows}"
    );
    let file = "charts/oidc-operator/README.md";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path(file), &text)?;
    }
    ensure!(
        read(file)? == text,
        "{file} differs from the values; run `make generate`"
    );
    Ok(())
}

/// A row for each value; objects that the schema closes have a row for each member instead.
fn value_rows(at: &str, values: &Value, schema: &Value, rows: &mut String) -> Result<()> {
    let properties = schema["properties"].as_object().context("no properties")?;
    for (key, of_key) in properties.iter().filter(|(key, _)| *key != "global") {
        let path = format!("{at}{key}");
        let value = &values[key];
        if of_key["additionalProperties"] == Value::Bool(false) {
            value_rows(&format!("{path}."), value, of_key, rows)?;
            continue;
        }
        let description = of_key["description"].as_str().context("no description")?;
        *rows += &format!("| `{path}` | `{value}` | {} |\n", description.replace('|', "\\|"));
    }
    Ok(())
}

/// The list of metrics in the book: what the code registers.
#[test]
fn docs_list_every_metric() -> Result<()> {
    page_has_list("docs/metrics.md", &metrics_list())
}

/// Compares the list in a page with what it must be, or writes it.
fn page_has_list(file: &str, list: &str) -> Result<()> {
    let (begin, end) = (
        "<!-- begin of the generated list -->\n",
        "<!-- end of the generated list -->\n",
    );
    let text = read(file)?;
    let (head, rest) = text.split_once(begin).context("no begin")?;
    let (_, tail) = rest.split_once(end).context("no end")?;
    let wanted = format!("{head}{begin}\n{list}\n{end}{tail}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path(file), &wanted)?;
        return Ok(());
    }
    ensure!(text == wanted, "{file} differs from its source; run `make generate`");
    Ok(())
}

fn metrics_list() -> String {
    let (each, all): (Vec<_>, Vec<_>) = catalogue().into_iter().partition(|metric| metric.per_resource);
    let table = |metrics: &[Described]| {
        let rows = metrics.iter().map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let Described {
                name,
                r#type: kind,
                help,
                ..
            } = metric;
            format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
        });
        format!(
            "| Name | Type | Labels | |\n|---|---|---|---|\n{}",
            rows.collect::<String>()
        )
    };
    let switch = "With `--metrics-per-resource` (`metrics.perResource` of the chart), there are also these:";
    format!("{}\n{switch}\n\n{}", table(&all), table(&each))
}

#[test]
fn versions_agree() -> Result<()> {
    let chart: Value = serde_saphyr::from_str(&read("charts/oidc-operator/Chart.yaml")?)?;
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    Ok(())
}
