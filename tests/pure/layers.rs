//! Which file of the crate may import which: there are no import cycles, and within the controllers every import points
//! down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Rooms of the controllers, the lowest first. Rooms on one line do not import each other.
const ROOMS: [&[&str]; 5] = [
    &["engine"],
    &["common"],
    &["hydra", "vault", "foulkon"],
    &["kind"],
    &["watch"],
];
/// The process, which imports everything else and is imported by nothing else.
const ABOVE: [&str; 7] = ["app", "check", "cli", "plugin", "prerequisites", "server", "telemetry"];
/// Names of servers, which appear only on the server's own floor and in the matches over the servers' APIs.
const SERVERS: [&str; 4] = ["hydra", "vault", "foulkon", "openbao"];
/// The match that returns each server's API.
const MATCHES: [&str; 1] = ["controller/engine/links.rs"];

/// A module by its path below the crate, such as `controller::engine::queue`; empty for `lib.rs`.
type Module = Vec<String>;

/// One import: the importing module, the line, and the imported module.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: Module,
    line: usize,
    to: Module,
}

struct Crate {
    root: PathBuf,
    files: BTreeMap<Module, PathBuf>,
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.insert(module(path.strip_prefix(root).expect("below the root")), path);
                }
            }
        }
        files.remove(&vec!["main".to_owned()]); // a separate crate
        Crate {
            root: root.to_owned(),
            files,
        }
    }

    fn arrows(&self) -> Vec<Arrow> {
        self.files
            .iter()
            .flat_map(|(module, path)| self.of_file(module, path))
            .collect()
    }

    fn of_file(&self, module: &Module, path: &Path) -> Vec<Arrow> {
        let text = fs::read_to_string(path).expect("a file");
        let file = syn::parse_file(&text).expect("Rust");
        let mut imports = Imports {
            within: module.clone(),
            found: Vec::new(),
        };
        imports.visit_file(&file);
        let arrow = |(line, path): (usize, Module)| {
            let to = self.file_of(&path)?;
            (to != *module).then(|| Arrow {
                from: module.clone(),
                line,
                to,
            })
        };
        let arrows: BTreeSet<Arrow> = imports.found.into_iter().filter_map(arrow).collect();
        arrows.into_iter().collect()
    }

    /// The file that a path leads to: the longest prefix of the path that is a module.
    fn file_of(&self, path: &[String]) -> Option<Module> {
        let lengths = (0..=path.len()).rev();
        lengths
            .map(|length| path[..length].to_vec())
            .find(|module| self.files.contains_key(module))
    }

    fn shown(&self, module: &Module) -> String {
        let path = self.files[module].strip_prefix(&self.root).expect("below the root");
        path.display().to_string()
    }
}

fn module(path: &Path) -> Module {
    let mut parts: Module = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// Full paths in the crate that a file names, except in its tests.
struct Imports {
    within: Module,
    found: Vec<(usize, Module)>,
}

impl Imports {
    fn add(&mut self, line: usize, path: &[String]) {
        let mut base: Module = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.within.clone(),
            _ => return self.found.push((line, [&self.within[..], path].concat())), // a module within this one, or another crate
        };
        let ups = path.iter().take_while(|part| *part == "super").count();
        base.truncate(base.len() - ups);
        let rest = path
            .iter()
            .filter(|part| !matches!(part.as_str(), "crate" | "self" | "super"));
        base.extend(rest.cloned());
        self.found.push((line, base));
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &[before, &[path.ident.to_string()]].concat()),
            syn::UseTree::Name(name) => {
                self.add(name.span().start().line, &[before, &[name.ident.to_string()]].concat())
            }
            syn::UseTree::Rename(name) => {
                self.add(name.span().start().line, &[before, &[name.ident.to_string()]].concat())
            }
            syn::UseTree::Glob(glob) => self.add(glob.span().start().line, before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
        };
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    // `pub(super)` names a module and imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Module = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(parts[0].as_str(), "crate" | "super") {
            self.add(path.span().start().line, &parts);
        }
        visit::visit_path(self, path);
    }
}

/// All arrows that are part of an import cycle.
fn circles(arrows: &[Arrow]) -> Vec<&Arrow> {
    let mut below: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for arrow in arrows {
        below.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reaches = |from: &Module, to: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            if module == to {
                return true;
            }
            if seen.insert(module) {
                next.extend(below.get(module).into_iter().flatten().copied());
            }
        }
        false
    };
    arrows.iter().filter(|arrow| reaches(&arrow.to, &arrow.from)).collect()
}

/// The floor number and the name of the controllers' room of a module.
fn floor(module: &[String]) -> Option<(usize, &str)> {
    let room = module.strip_prefix(&["controller".to_owned()])?.first()?;
    let floor = ROOMS.iter().position(|rooms| rooms.contains(&room.as_str()));
    assert!(floor.is_some(), "room {room} is on no floor");
    Some((floor?, room))
}

fn points_up(arrow: &Arrow) -> bool {
    let is_above = |module: &Module| module.first().is_some_and(|top| ABOVE.contains(&top.as_str()));
    match (floor(&arrow.from), floor(&arrow.to)) {
        (Some((from, room)), Some((to, other))) => to > from || to == from && room != other,
        (Some(_), None) => is_above(&arrow.to),
        (None, Some(_)) => !is_above(&arrow.from),
        (None, None) => is_above(&arrow.to) && !is_above(&arrow.from),
    }
}

fn told(sources: &Crate, arrows: &[&Arrow]) -> String {
    let line = |arrow: &&Arrow| {
        let (from, to) = (sources.shown(&arrow.from), sources.shown(&arrow.to));
        format!("src/{from}:{} imports src/{to}", arrow.line)
    };
    arrows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn sources() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn files_do_not_import_each_other_in_cycles() {
    let sources = sources();
    let arrows = sources.arrows();
    assert!(arrows.len() > 500, "the imports were not found");
    let circles = circles(&arrows);
    assert!(
        circles.is_empty(),
        "these imports form cycles:\n{}",
        told(&sources, &circles)
    );
}

#[test]
fn imports_between_the_rooms_of_the_controllers_point_down() {
    let sources = sources();
    let arrows = sources.arrows();
    let up: Vec<&Arrow> = arrows.iter().filter(|arrow| points_up(arrow)).collect();
    assert!(up.is_empty(), "these imports point up:\n{}", told(&sources, &up));
}

/// Only code is checked: comments may name a server.
#[test]
fn code_for_a_server_is_on_its_floor() {
    let sources = sources();
    let mut found = Vec::new();
    for (module, path) in &sources.files {
        let shown = sources.shown(module);
        let is_shared = matches!(floor(module), Some((_, "engine" | "common" | "watch")));
        if !is_shared || MATCHES.contains(&shown.as_str()) {
            continue;
        }
        let text = fs::read_to_string(path).expect("a file");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words = code.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
            if words.into_iter().any(|word| SERVERS.contains(&word.as_str())) {
                found.push(format!("src/{shown}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "these belong on the floor of a server:\n{}",
        found.join("\n")
    );
}

/// Maximum lines of a function, and of a file, that a reader should have to keep in mind.
const MOST_LINES: (usize, usize) = (60, 400);

/// The functions of a file, each with its first line and its number of lines.
#[derive(Default)]
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (signature.span().start().line, body.span().end().line);
        self.0.push((signature.ident.to_string(), first, last + 1 - first));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn functions_and_files_are_short() {
    let sources = sources();
    let mut long = Vec::new();
    for (module, path) in &sources.files {
        let shown = sources.shown(module);
        let text = fs::read_to_string(path).expect("a file");
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&text).expect("Rust"));
        let too_long = functions.0.into_iter().filter(|(_, _, lines)| *lines > MOST_LINES.0);
        long.extend(too_long.map(|(name, line, lines)| format!("src/{shown}:{line}: {name} has {lines} lines")));
        let lines = text.lines().count();
        if lines > MOST_LINES.1 {
            long.push(format!("src/{shown} has {lines} lines"));
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn the_checks_above_detect_violations() {
    let arrow = |from: &str, to: &str| Arrow {
        from: module(Path::new(from)),
        line: 1,
        to: module(Path::new(to)),
    };
    let engine = "controller/engine/queue.rs";
    for (to, up) in [
        ("controller/engine/memory.rs", false),
        ("controller/common/claim.rs", true),
        ("controller/watch.rs", true),
        ("api/mod.rs", false),
        ("app.rs", true),
    ] {
        assert_eq!(points_up(&arrow(engine, to)), up, "{to}");
    }
    assert!(points_up(&arrow(
        "controller/hydra/client.rs",
        "controller/vault/client.rs"
    )));
    assert!(!points_up(&arrow(
        "controller/vault/client.rs",
        "controller/vault/provider.rs"
    )));
    assert!(points_up(&arrow("admin/http.rs", "controller/engine/links.rs")));
    assert!(!points_up(&arrow("app.rs", "controller/watch.rs")));
    let arrows = [
        arrow("a.rs", "b.rs"),
        arrow("b.rs", "c.rs"),
        arrow("c.rs", "b.rs"),
        arrow("c.rs", "d.rs"),
    ];
    let round: Vec<String> = circles(&arrows).iter().map(|arrow| arrow.from.concat()).collect();
    assert_eq!(round, ["b", "c"]);
}
