//! Pages that are generated from the code: kinds, values, flags, reasons, and the lists of all pages. `make generate` writes
//! them.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;
use oidc_operator::api::condition::Reason;
use oidc_operator::api::guide::Guide;
use oidc_operator::cli::Cli;
use oidc_operator::plugin::arguments::Plugin;
use serde_json::Value;

use super::{CONTENTS, Page, contents, files, read, root};
use crate::errors::examples;

/// Texts of the generated files by path. The lists of pages are made from the pages, so they come second.
fn generated() -> BTreeMap<String, String> {
    let crds = oidc_operator::api::crds();
    let kinds = crds.iter().map(|crd| {
        let crd = serde_json::to_value(crd).expect("JSON");
        (
            format!("docs/reference/{}.md", lower(&crd["spec"]["names"]["kind"])),
            kind(&crd),
        )
    });
    let reasons = Reason::ALL
        .iter()
        .map(|reason| (page_of(*reason), reason_page(reason.guide())));
    let others = [
        ("docs/reference/values.md".to_owned(), values()),
        ("docs/reference/flags.md".to_owned(), flags()),
        ("docs/reference/kubectl-oidc.md".to_owned(), plugin()),
        ("docs/reasons/index.md".to_owned(), reason_list()),
        (CONTENTS.to_owned(), summary()),
    ];
    kinds.chain(reasons).chain(others).collect()
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

/// A text for a cell of a table, on one line.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

fn kind(crd: &Value) -> String {
    let names = &crd["spec"]["names"];
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&names["kind"]);
    let scope = text(&crd["spec"]["scope"]).to_lowercase();
    let short: Vec<String> = names["shortNames"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| format!("`{}`", text(name)))
        .collect();
    let mut page = format!(
        "# {kind}\n\n{}\n\n\
         `apiVersion: {}/{}`, `kind: {kind}`, {scope}. In kubectl: `{}` or {}.\n",
        cell(&text(&schema["description"])),
        text(&crd["spec"]["group"]),
        text(&version["name"]),
        text(&names["plural"]),
        short.join(", "),
    );
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        page += &format!("\n## {part}\n\n{}\n", cell(&text(&schema["description"])));
        let rules = messages(schema);
        if !rules.is_empty() {
            page += "\nRules:\n\n";
            page.extend(rules.iter().map(|rule| format!("- {}\n", cell(rule))));
        }
        page += "\n| Field | Type | |\n|---|---|---|\n";
        fields("", schema, &mut page);
    }
    page
}

/// What the validation rules of a field say.
fn messages(schema: &Value) -> Vec<String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let told = rules.filter_map(|rule| rule["message"].as_str());
    let mut told: Vec<String> = told.map(str::to_owned).collect();
    told.dedup();
    told
}

/// A row for each field below an object, and for their fields.
fn fields(at: &str, schema: &Value, page: &mut String) {
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}{name}");
        let (kind, below) = match (field["type"].as_str(), &field["items"], &field["additionalProperties"]) {
            (Some("array"), items, _) => (format!("list of {}", plural(items)), items),
            (Some("object"), _, values) if values.is_object() => (format!("map of {}", plural(values)), values),
            (Some(kind), ..) => (kind.to_owned(), field),
            (None, ..) => ("any".to_owned(), field),
        };
        *page += &format!(
            "| `{path}` | {kind} | {} |\n",
            about(field, required.contains(name.as_str()))
        );
        let separator = if field["type"] == "array" { "[]." } else { "." };
        // The members of a condition are those of Kubernetes.
        if name != "conditions" {
            fields(&format!("{path}{separator}"), below, page);
        }
    }
}

fn plural(schema: &Value) -> &'static str {
    match schema["type"].as_str() {
        Some("string") => "strings",
        Some("object") => "objects",
        Some("integer") => "integers",
        _ => "values",
    }
}

/// What a row says about a field.
fn about(field: &Value, is_required: bool) -> String {
    let mut said = Vec::new();
    if is_required {
        said.push("**Required.**".to_owned());
    }
    said.extend(field["description"].as_str().map(cell));
    let values = [&field["enum"], &field["items"]["enum"]];
    for values in values.iter().filter_map(|values| values.as_array()) {
        let listed: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        said.push(format!("One of {}.", listed.join(", ")));
    }
    for (key, before, after) in [
        ("maxLength", "At most", "characters"),
        ("maxItems", "At most", "entries"),
        ("maxProperties", "At most", "entries"),
        ("minItems", "At least", "entries"),
        ("minimum", "At least", ""),
        ("maximum", "At most", ""),
    ] {
        if let Some(limit) = field[key].as_f64() {
            let entries = if limit == 1.0 {
                after.replace("entries", "entry")
            } else {
                after.to_owned()
            };
            said.push(format!("{before} {limit} {entries}").trim_end().to_owned() + ".");
        }
    }
    if !field["default"].is_null() {
        said.push(format!("Default: `{}`.", field["default"]));
    }
    said.extend(
        messages(field)
            .iter()
            .map(|rule| format!("Rule: {}.", cell(rule).trim_end_matches('.'))),
    );
    said.join(" ")
}

/// The table of the chart's README, which is generated from the values.
fn values() -> String {
    let readme = read("charts/oidc-operator/README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    format!(
        "# Chart values\n\n\
         Settings of the Helm chart `oidc-operator`, for `helm install --set` or a file of values. The chart refuses values \
         that are not in this list. \
         [values.yaml](https://github.com/oidc-operator/oidc-operator/blob/main/charts/oidc-operator/values.yaml) has \
         examples.\n\n{}\n",
        rows.join("\n")
    )
}

fn flags() -> String {
    let mut page = "# Flags\n\n\
         The program of the operator has these commands. Each flag can also be set by its environment variable; the flag takes \
         precedence. The chart sets them from its [values](values.md).\n\n\
         | Command | |\n|---|---|\n"
        .to_owned();
    let command = Cli::command();
    for command in command.get_subcommands() {
        let about = command
            .get_long_about()
            .or(command.get_about())
            .map(ToString::to_string)
            .unwrap_or_default();
        page += &format!(
            "| `oidc-operator {}` | {}. |\n",
            command.get_name(),
            cell(&about).trim_end_matches('.')
        );
    }
    for command in command.get_subcommands().filter(|command| command.get_name() == "run") {
        page += "\n## Flags of run\n\n\
             Other commands that examine a cluster take the same flags.\n\n\
             | Flag | Environment | Default | |\n|---|---|---|---|\n";
        for flag in command.get_arguments() {
            let Some(long) = flag.get_long() else { continue };
            let variable = flag
                .get_env()
                .map(|name| format!("`{}`", name.to_string_lossy()))
                .unwrap_or_default();
            let defaults: Vec<String> = flag
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy().into_owned())
                .collect();
            let default = defaults.join(",");
            let default = if default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{default}`")
            };
            let help = flag
                .get_long_help()
                .or(flag.get_help())
                .map(ToString::to_string)
                .unwrap_or_default();
            page += &format!(
                "| `--{long}` | {variable} | {default} | {}. |\n",
                cell(&help).trim_end_matches('.')
            );
        }
    }
    page
}

/// What the verbs of the plugin print with `--help`.
fn plugin() -> String {
    let mut page = "# kubectl oidc\n\n\
         These are the verbs of [the plugin](../tasks/kubectl.md), as `--help` prints them.\n"
        .to_owned();
    let mut command = Plugin::command().term_width(100).next_line_help(true);
    command.build();
    for verb in command.get_subcommands_mut() {
        help(verb, "", &mut page);
    }
    page
}

/// Appends the help of a verb, or of each verb below it.
fn help(verb: &mut clap::Command, above: &str, page: &mut String) {
    let name = format!("{above}{}", verb.get_name());
    if verb.has_subcommands() {
        return verb
            .get_subcommands_mut()
            .for_each(|below| help(below, &format!("{name} "), page));
    }
    let help = verb.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    *page += &format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim());
}

/// The page of a reason. Its path is in the messages of operators with `--docs-url`, and must not change.
fn page_of(reason: Reason) -> String {
    format!("docs/reasons/{}.md", reason.as_str())
}

/// A message as a quotation: what Markdown would read as markup is escaped, except within code.
fn quotation(message: &str) -> String {
    let mut is_code = false;
    let quoted = message.chars().map(|character| {
        is_code ^= character == '`';
        match character {
            '<' if !is_code => "&lt;".to_owned(),
            '*' | '[' | ']' if !is_code => format!("\\{character}"),
            _ => character.to_string(),
        }
    });
    format!("> {}\n", quoted.collect::<String>())
}

fn reason_page(guide: &Guide) -> String {
    let reason = guide.reason.as_str();
    let mut page = format!("# {reason}\n\n{}\n\n## What to do\n\n{}\n", guide.meaning, guide.remedy);
    let messages: BTreeSet<String> = examples()
        .iter()
        .filter(|error| error.treatment().reason == guide.reason)
        .map(|error| quotation(&error.to_string()))
        .collect();
    if !messages.is_empty() {
        page += "\n## Messages\n\nThese are the messages with this reason, with names and values made up:\n\n";
        page += &messages.into_iter().collect::<Vec<_>>().join("\n");
    }
    let titles: BTreeMap<String, String> = contents().into_iter().map(|(title, path)| (path, title)).collect();
    let title = titles.get(&format!("docs/{}", guide.page)).expect(guide.page);
    page + &format!("\n## Read more\n\n[{title}](../{})\n", guide.page)
}

fn reason_list() -> String {
    let mut page = "# Reasons\n\n\
         The column `REASON` of `kubectl get` and the conditions of a resource name the reason; the message of the condition \
         has the full sentence. Each reason has a page with its messages.\n\n\
         | Reason | What it means | What to do |\n|---|---|---|\n"
        .to_owned();
    for reason in Reason::ALL {
        let (name, guide) = (reason.as_str(), reason.guide());
        page += &format!(
            "| [`{name}`]({name}.md) | {} | {} |\n",
            cell(guide.meaning),
            cell(guide.remedy)
        );
    }
    page + "\nWith the chart's value `docsUrl`, messages link to these pages.\n"
}

/// The table of contents, with all reasons below the page that lists them.
fn summary() -> String {
    let old = read(CONTENTS);
    let mut lines: Vec<String> = old
        .lines()
        .filter(|line| !line.contains("(reasons/") || line.contains("index.md"))
        .map(str::to_owned)
        .collect();
    let after = lines
        .iter()
        .position(|line| line.contains("(reasons/index.md)"))
        .expect("the list of reasons");
    let reasons = Reason::ALL
        .iter()
        .map(|reason| format!("  - [{0}](reasons/{0}.md)", reason.as_str()));
    lines.splice(after + 1..after + 1, reasons);
    lines.join("\n") + "\n"
}

/// The list of all pages for programs that read documentation, each with its first sentence.
fn list_of_pages() -> String {
    let mut list = "# oidc-operator\n\n\
         > A Kubernetes operator that registers OAuth 2.0 and OpenID Connect clients with Ory Hydra, HashiCorp Vault or OpenBao \
         from manifests, keeps them as declared, and writes their credentials to Secrets.\n\n## Pages\n\n"
        .to_owned();
    for (title, path) in contents() {
        let page = Page {
            text: read(&path),
            path,
        };
        let paragraphs = page.parts().paragraphs;
        let first = paragraphs
            .iter()
            .find(|text| !text.is_empty() && !text.starts_with('['))
            .cloned()
            .unwrap_or_default();
        let end = first.find(". ").map_or(first.len(), |end| end + 1);
        let link = page.path.trim_start_matches("docs/");
        list += &format!("- [{title}]({link}): {}.\n", first[..end].trim_end_matches([':', '.']));
    }
    list
}

#[test]
fn generated_pages_match_the_code() {
    let updates = std::env::var_os("UPDATE").is_some();
    let wanted = generated();
    if updates {
        std::fs::create_dir_all(root().join("docs/reasons")).expect("a folder");
        for path in files("docs/reasons", ".md")
            .into_iter()
            .filter(|path| !wanted.contains_key(path))
        {
            std::fs::remove_file(root().join(path)).expect("a page of a reason that is gone");
        }
        for (path, text) in &wanted {
            let path = root().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a page");
        }
        std::fs::write(root().join("docs/llms.txt"), list_of_pages()).expect("a list");
    }
    for (path, text) in &wanted {
        assert!(read(path) == *text, "{path} differs from the code; run `make generate`");
    }
    assert!(
        read("docs/llms.txt") == list_of_pages(),
        "docs/llms.txt differs from the pages; run `make generate`"
    );
}

#[test]
fn every_guide_is_that_of_its_reason() {
    for reason in Reason::ALL {
        let guide = reason.guide();
        assert_eq!(guide.reason, reason);
        for text in [guide.meaning, guide.remedy] {
            assert!(text.ends_with('.') && !text.contains("  "), "{reason:?}: {text}");
        }
    }
}

#[test]
fn every_reason_of_an_error_shows_its_messages() {
    let of_errors: BTreeSet<&str> = examples()
        .iter()
        .map(|error| error.treatment().reason.as_str())
        .collect();
    for reason in Reason::ALL {
        let has = reason_page(reason.guide()).contains("\n> ");
        assert_eq!(has, of_errors.contains(reason.as_str()), "{reason:?}");
    }
}
