//! What the documentation names exists: fields, kinds, reasons, flags, metrics, labels, values of the chart and commands.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;
use oidc_operator::cli::Cli;
use oidc_operator::plugin::arguments::Plugin;
use serde_json::Value;

use super::{Page, Parts, files, pages, read};
use words::{COMMANDS, FLAGS, FOREIGN_FIELDS, FOREIGN_WORDS, KUBERNETES, PROTECTION};

/// What may be named.
struct Names {
    /// Words that begin with a capital letter, as in kinds, enums, reasons and events.
    words: BTreeSet<String>,
    /// Paths of fields of our kinds and of the chart's values, from their root.
    paths: Vec<Vec<String>>,
    /// Single names of fields.
    fields: BTreeSet<String>,
    /// Flags of the operator and of its plugin for kubectl.
    flags: BTreeSet<String>,
    /// Targets of the Makefile.
    targets: BTreeSet<String>,
    /// Full names of the metrics.
    metrics: BTreeSet<String>,
    /// Text of all sources.
    sources: String,
}

impl Names {
    fn collect() -> Self {
        let mut paths = Vec::new();
        let mut words = BTreeSet::new();
        for crd in oidc_operator::api::crds() {
            words.insert(crd.spec.names.kind.clone());
            let crd = serde_json::to_value(crd).expect("JSON");
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            below(&mut Vec::new(), schema, &mut paths, &mut words);
        }
        let values: Value = serde_json::from_str(&read("charts/oidc-operator/values.schema.json")).expect("JSON");
        below(&mut Vec::new(), &values, &mut paths, &mut words);
        let defaults: Value = serde_saphyr::from_str(&read("charts/oidc-operator/values.yaml")).expect("YAML");
        members(&mut Vec::new(), &defaults, &mut paths);
        let sources: String = files("src", ".rs").iter().map(|path| read(path)).collect();
        words.extend(literals(&sources));
        words.extend(FOREIGN_WORDS.map(str::to_owned));
        let mut fields: BTreeSet<String> = paths.iter().flatten().cloned().collect();
        fields.extend(FOREIGN_FIELDS.map(str::to_owned));
        let mut flags = BTreeSet::new();
        for mut command in [Cli::command(), Plugin::command()] {
            command.build();
            let mut open = vec![&command];
            while let Some(command) = open.pop() {
                let named = command.get_arguments().filter_map(|flag| flag.get_long());
                flags.extend(named.map(|flag| format!("--{flag}")));
                open.extend(command.get_subcommands());
            }
        }
        let makefile = read("Makefile");
        let targets = makefile
            .lines()
            .filter(|line| line.contains(":") && line.contains("## "));
        Names {
            words,
            paths,
            fields,
            flags,
            targets: targets
                .filter_map(|line| line.split(':').next())
                .map(str::to_owned)
                .collect(),
            metrics: oidc_operator::metrics::catalogue()
                .into_iter()
                .map(|metric| metric.name)
                .collect(),
            sources,
        }
    }

    fn has_path(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('.').collect();
        let is_part = |whole: &Vec<String>| whole.windows(parts.len()).any(|window| window.iter().eq(parts.iter()));
        self.paths.iter().any(is_part) || FOREIGN_FIELDS.contains(&path)
    }

    /// Whether a metric exists; the series of a histogram have endings.
    fn has_metric(&self, name: &str) -> bool {
        const ENDINGS: [&str; 3] = ["_bucket", "_sum", "_count"];
        let base = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        self.metrics.contains(name) || base.is_some_and(|base| self.metrics.contains(base))
    }

    /// What is wrong with code within a sentence.
    fn fault_of_span(&self, span: &str) -> Option<String> {
        let name = span
            .split([':', ' ', '=', ','])
            .next()
            .unwrap_or_default()
            .trim_end_matches("[]");
        let rest = &span[name.len()..];
        let is_alone = rest.is_empty() || rest.starts_with(": ");
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
        if span.starts_with("--") {
            let known = self.flags.contains(name) || FLAGS.iter().any(|(_, flags)| flags.contains(&name));
            return (!known).then(|| "there is no such flag".to_owned());
        }
        if !is_alone {
            return None;
        }
        let first = name.chars().next()?;
        let is_field = |text: &str| is_name(text) && !text.starts_with(|c: char| c.is_ascii_digit());
        if name.contains('.') && name.split('.').all(is_field) && first.is_ascii_lowercase() {
            let is_file = [
                "yaml", "json", "hcl", "md", "sh", "toml", "txt", "com", "crt", "dev", "pem", "rs",
            ]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")));
            return (!is_file && !self.has_path(name)).then(|| "there is no such field".to_owned());
        }
        let has_capital = name.chars().any(|c| c.is_ascii_uppercase());
        let has_small = name.chars().any(|c| c.is_ascii_lowercase());
        if !is_name(name) || !has_capital || !has_small {
            return None;
        }
        let known = self.words.contains(name) || self.fields.contains(name);
        (!known).then(|| match first.is_ascii_uppercase() {
            true => "there is no such kind, value, reason or event".to_owned(),
            false => "there is no such field".to_owned(),
        })
    }

    /// Metrics, labels and annotations anywhere in a text.
    fn faults_of_text(&self, text: &str) -> Vec<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
        let mut found = Vec::new();
        for (at, _) in text.match_indices("oidc_operator_") {
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !self.has_metric(&name) && !self.sources.contains(&name) {
                found.push(format!("{name}: there is no such metric"));
            }
        }
        for (at, _) in text.match_indices("oidc-operator.dev/") {
            let name: String = text[at + "oidc-operator.dev/".len()..]
                .chars()
                .take_while(|c| is_part(*c))
                .collect();
            let name = name.trim_end_matches('-'); // `kubectl annotate` removes what ends with a dash
            // An address, or the name of an object as kubectl prints it.
            let is_site = text[..at].ends_with(['/', '.']);
            let whole = format!("oidc-operator.dev/{name}");
            let known = self.sources.contains(&format!("\"{whole}\"")) || PROTECTION.contains(&whole.as_str());
            if !is_site && !known && !name.is_empty() && !name.starts_with("v1") {
                found.push(format!("{whole}: there is no such label, annotation or finalizer"));
            }
        }
        found
    }

    fn faults(&self, page: &Page) -> Vec<String> {
        let Parts { spans, blocks, .. } = page.parts();
        let mut found: Vec<String> = self.faults_of_text(&page.text);
        for span in &spans {
            found.extend(self.fault_of_span(span).map(|fault| format!("`{span}`: {fault}")));
            found.extend(
                COMMANDS
                    .iter()
                    .any(|program| span.starts_with(program))
                    .then(|| self.faults_of_commands(span))
                    .into_iter()
                    .flatten(),
            );
        }
        for block in blocks.iter().filter(|block| block.language == "sh") {
            found.extend(self.faults_of_commands(&block.text));
        }
        found
    }
}

/// Words that kubectl knows for our kinds.
fn kinds() -> BTreeSet<String> {
    let crds = oidc_operator::api::crds().into_iter();
    crds.flat_map(|crd| {
        let names = crd.spec.names;
        let words = [Some(names.plural), names.singular, Some(names.kind.to_lowercase())]
            .into_iter()
            .flatten();
        let words = words
            .chain(names.short_names.into_iter().flatten())
            .chain(names.categories.into_iter().flatten());
        words.collect::<Vec<_>>()
    })
    .collect()
}

impl Names {
    fn faults_of_commands(&self, text: &str) -> Vec<String> {
        let joined = text.replace("\\\n", " ");
        let commands = joined
            .lines()
            .flat_map(|line| line.split(" #").next().unwrap_or_default().split(['|', ';', '{', '}']));
        commands
            .flat_map(|command| self.faults_of_command(command.trim()))
            .collect()
    }

    fn faults_of_command(&self, command: &str) -> Vec<String> {
        // Text in quotes is data.
        let bare: String = command.split(['\'', '"']).step_by(2).collect::<Vec<_>>().join("TEXT");
        let words: Vec<&str> = bare.split_whitespace().collect();
        let Some(program) = words.first().map(|word| word.rsplit('/').next().unwrap_or(word)) else {
            return Vec::new();
        };
        let is_ours = program == "oidc-operator" || words.starts_with(&["kubectl", "oidc"]);
        let known = FLAGS.iter().find(|(name, _)| *name == program && !is_ours);
        let known = known.map(|(_, flags)| *flags);
        let mut found = Vec::new();
        if is_ours || known.is_some() {
            for word in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = word.split('=').next().unwrap_or_default();
                let is_known = match known {
                    Some(flags) => flags.contains(&flag) || program == "cargo" && FLAGS[4].1.contains(&flag),
                    None => self.flags.contains(flag),
                };
                if !is_known {
                    found.push(format!(
                        "{program} {flag}: there is no such flag, or it is not in the list of {program}"
                    ));
                }
            }
        }
        match (program, words.get(1..).unwrap_or_default()) {
            ("make", [target, ..]) if !self.targets.contains(*target) && !target.contains('=') => {
                found.push(format!("make {target}: there is no such target"))
            }
            (
                "kubectl",
                [
                    "get" | "describe" | "delete" | "annotate" | "label" | "patch" | "wait" | "explain" | "edit",
                    what,
                    ..,
                ],
            ) => {
                let kind = what.split(['/', '.']).next().unwrap_or_default();
                let known = kinds();
                let is_ours = what.split(',').all(|part| known.contains(part)) || known.contains(kind);
                if !is_ours
                    && !KUBERNETES.contains(&kind)
                    && !KUBERNETES.contains(what)
                    && !what.contains("TEXT")
                    && !what.starts_with('-')
                {
                    found.push(format!("kubectl … {what}: there is no such kind"));
                }
            }
            ("helm", words) => {
                let settings = words.windows(2).filter(|pair| pair[0] == "--set");
                for setting in settings.map(|pair| pair[1].split('=').next().unwrap_or_default()) {
                    if !self.has_path(setting) && !self.fields.contains(setting) {
                        found.push(format!("helm --set {setting}: the chart has no such value"));
                    }
                }
            }
            _ => {}
        }
        found
    }
}

/// The paths of the fields below a schema, and the words in its enums.
fn below(at: &mut Vec<String>, schema: &Value, paths: &mut Vec<Vec<String>>, words: &mut BTreeSet<String>) {
    for value in schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        words.insert(value.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        at.push(name.clone());
        paths.push(at.clone());
        below(at, field, paths, words);
        at.pop();
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            below(at, &schema[inner], paths, words);
        }
    }
}

/// The paths of the members of a value.
fn members(at: &mut Vec<String>, value: &Value, paths: &mut Vec<Vec<String>>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        at.push(name.clone());
        paths.push(at.clone());
        members(at, value, paths);
        at.pop();
    }
}

/// Words in quotes in source text: values, reasons, events, variables.
fn literals(text: &str) -> BTreeSet<String> {
    let is_word = |word: &&str| word.len() > 2 && word.chars().all(|c| c.is_ascii_alphanumeric());
    text.split('"').filter(is_word).map(str::to_owned).collect()
}

#[test]
fn everything_named_exists() {
    let names = Names::collect();
    let faults: BTreeMap<String, Vec<String>> = pages()
        .iter()
        .map(|page| (page.path.clone(), names.faults(page)))
        .collect();
    let faults: Vec<String> = faults
        .into_iter()
        .flat_map(|(path, faults)| faults.into_iter().map(move |fault| format!("{path}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Labels, metrics and commands in files that are not Markdown.
#[test]
fn samples_and_notes_name_what_exists() {
    let names = Names::collect();
    let notes = ["charts/oidc-operator/templates/NOTES.txt".to_owned()];
    let mut faults = Vec::new();
    for path in files("deploy/samples", ".yaml").into_iter().chain(notes) {
        let text = read(&path);
        let commands = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("kubectl ") || line.starts_with("helm "));
        let found = names.faults_of_text(&text).into_iter();
        let found =
            found.chain(commands.flat_map(|line| names.faults_of_commands(&line.replace("{{", "").replace("}}", ""))));
        faults.extend(found.map(|fault| format!("{path}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_that_do_not_exist_are_found() {
    let names = Names::collect();
    let table = [
        ("`spec.suspend`", true),
        ("`spec.suspended`", false),
        ("`hydra.publicUrl`", true),
        ("`hydra.publicUri`", false),
        ("`redirectUris`", true),
        ("`redirectUrls`", false),
        ("`deletionPolicy: Orphan`", true),
        ("`deletePolicy: Orphan`", false),
        ("`NotAllowed`", true),
        ("`NotPermitted`", false),
        ("`DriftCorrected`", true),
        ("`--cluster-id`", true),
        ("`--cluster-uid`", false),
        ("`watchNamespaces`", true),
        ("`rbac.secrets.watch`", true),
        ("`rbac.secret.watch`", false),
        ("`oidc_operator_leader`", true),
        ("`oidc_operator_leaders`", false),
        ("`oidc_operator_reconciles_total`", true),
        ("`oidc-operator.dev/rotate-at`", true),
        ("`oidc-operator.dev/rotate`", false),
        ("`make lint`", true),
        ("`make lints`", false),
        ("`kubectl get oac`", true),
        ("`kubectl get oacs`", false),
        ("```sh\nkubectl get oidc --all-namespaces\n```", true),
        ("```sh\nkubectl get oidc --all-spaces\n```", false),
        ("```sh\nhelm upgrade a b \\\n  --set clusterId=a\n```", true),
        ("```sh\nhelm upgrade a b \\\n  --set clusterUid=a\n```", false),
        ("```sh\noidc-operator run --log=debug\n```", true),
        ("```sh\noidc-operator run --logs=debug\n```", false),
    ];
    for (text, expected) in table {
        let page = Page {
            path: "page".to_owned(),
            text: text.to_owned(),
        };
        let faults = names.faults(&page);
        assert_eq!(faults.is_empty(), expected, "{text}: {faults:?}");
    }
}
