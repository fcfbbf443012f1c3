//! The documentation agrees with the code: every page of the book, the READMEs, the changelog and the samples.

mod examples;
mod features;
mod links;
mod names;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Pages outside the book.
const OUTSIDE: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "charts/oidc-operator/README.md",
];

/// The table of contents of the book.
const CONTENTS: &str = "docs/SUMMARY.md";

/// A Markdown page.
struct Page {
    /// Path in the repository.
    path: String,
    text: String,
}

/// A block of code.
struct Block {
    language: String,
    text: String,
}

/// What tests look at in a page.
#[derive(Default)]
struct Parts {
    /// Level and text of each heading.
    headings: Vec<(u8, String)>,
    /// Destinations of links and pictures.
    links: Vec<String>,
    /// Code within sentences.
    spans: Vec<String>,
    blocks: Vec<Block>,
    /// Text of each paragraph.
    paragraphs: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Files below a folder whose name ends in a certain way, as paths in the repository, sorted.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let relative = path.strip_prefix(root()).expect("within the repository");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every page; a new page in `docs` is among them.
fn pages() -> Vec<Page> {
    let outside = OUTSIDE.map(str::to_owned).into_iter();
    let all = outside.chain(files("docs", ".md"));
    all.map(|path| Page {
        text: read(&path),
        path,
    })
    .collect()
}

/// The pages of the book, in the order of its table of contents: title there, and path in the repository.
fn contents() -> Vec<(String, String)> {
    let summary = read(CONTENTS);
    let lines = summary.lines().map(|line| line.trim().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(')')?.split_once("]("))
        .map(|(title, path)| (title.to_owned(), format!("docs/{path}")))
        .collect()
}

impl Page {
    fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        // The text of the heading, block or paragraph that the parser is in.
        let (mut text, mut language, mut is_picture) = (String::new(), None, false);
        for event in Parser::new_ext(&self.text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. } | Tag::Paragraph) => text.clear(),
                Event::End(TagEnd::Heading(level)) => parts.headings.push((level as u8, std::mem::take(&mut text))),
                Event::End(TagEnd::Paragraph) => parts.paragraphs.push(std::mem::take(&mut text)),
                Event::Start(Tag::CodeBlock(kind)) => {
                    text.clear();
                    language = Some(match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => parts.blocks.push(Block {
                    language: language.take().unwrap_or_default(),
                    text: std::mem::take(&mut text),
                }),
                Event::Start(Tag::Link { dest_url, .. }) => parts.links.push(dest_url.to_string()),
                Event::Start(Tag::Image { dest_url, .. }) => {
                    is_picture = true;
                    parts.links.push(dest_url.to_string());
                }
                Event::End(TagEnd::Image) => is_picture = false,
                Event::Text(_) if is_picture => {}
                Event::Code(code) => {
                    text.push_str(&code);
                    parts.spans.push(code.to_string());
                }
                Event::Text(more) => text.push_str(&more),
                Event::SoftBreak => text.push(' '),
                _ => {}
            }
        }
        parts
    }
}

#[test]
fn every_page_of_the_book_is_in_its_table_of_contents() {
    let mut listed: Vec<String> = contents().into_iter().map(|(_, path)| path).collect();
    listed.sort();
    let there: Vec<String> = files("docs", ".md")
        .into_iter()
        .filter(|path| path != CONTENTS)
        .collect();
    assert_eq!(listed, there, "{CONTENTS}");
}

#[test]
fn every_page_has_one_title_and_ends_its_blocks() {
    for page in pages().iter().filter(|page| page.path != CONTENTS) {
        let parts = page.parts();
        let titles = parts.headings.iter().filter(|(level, _)| *level == 1).count();
        assert_eq!(titles, 1, "{}", page.path);
        let open = parts.blocks.iter().find(|block| block.text.contains("```"));
        assert!(open.is_none(), "{}: a block of code does not end", page.path);
    }
}

/// The commands and the first server of the README are run on a real node; other pages repeat them.
#[test]
fn pages_repeat_the_tested_commands_of_the_readme() {
    let block = |path: &str, part: &str| {
        let text = read(path);
        let page = Page {
            path: path.to_owned(),
            text,
        };
        let block = page.parts().blocks.into_iter().find(|block| block.text.contains(part));
        block.unwrap_or_else(|| panic!("{path}: no block with {part}")).text
    };
    for (part, page) in [
        ("helm install", "docs/quickstart.md"),
        ("helm install", "docs/tasks/install.md"),
        ("kind: AuthorizationServer", "docs/quickstart.md"),
        ("kind: AuthorizationServer", "docs/tasks/connect.md"),
        ("name: web-app", "docs/tasks/web-app.md"),
        ("make demo", "docs/demo.md"),
    ] {
        assert_eq!(block(page, part), block("README.md", part), "{page}");
    }
}

#[test]
fn the_readme_is_an_introduction() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "README.md has {lines} lines; put details into docs");
}
