//! Links of pages lead to pages, headings and files that exist. Links to other sites are not followed.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{CONTENTS, Page, pages, root};

/// Where the files of this repository are on the web. The book holds only `docs`, so its pages link to other files there.
const REPOSITORY: &str = "https://github.com/oidc-operator/oidc-operator/";

/// The anchors of a page, as GitHub and mdBook make them: the heading in lower case with hyphens for spaces, and a number if
/// there is another one.
fn anchors(page: &Page) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = page.parts().headings;
    let anchors = headings.iter().map(|(_, heading)| {
        let kept = heading.to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let earlier = seen.entry(anchor.clone()).or_default();
        *earlier += 1;
        match *earlier {
            1 => anchor,
            more => format!("{anchor}-{}", more - 1),
        }
    });
    anchors.collect()
}

/// A path without `..`, or None if it leads out of the repository.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if !whole.pop() => return None,
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    Some(whole)
}

/// What is wrong with a link.
fn fault(page: &Page, link: &str, anchors: &BTreeMap<String, Vec<String>>) -> Option<String> {
    if let Some(file) = link.strip_prefix(REPOSITORY) {
        let path = file.split('#').next().unwrap_or_default();
        let (is_folder, path) = match (path.strip_prefix("blob/main/"), path.strip_prefix("tree/main/")) {
            (Some(path), _) => (false, path),
            (_, Some(path)) => (true, path),
            _ => return None, // issues and the like
        };
        let target = root().join(path);
        return match (target.exists(), target.is_dir() == is_folder) {
            (false, _) => Some("there is no such file".to_owned()),
            (true, false) => Some("a folder is below tree/, a file below blob/".to_owned()),
            (true, true) => None,
        };
    }
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let here = Path::new(&page.path);
    let target = match path {
        "" => Some(here.to_owned()),
        path => resolved(&here.parent().unwrap_or(Path::new("")).join(path)),
    };
    let Some(target) = target.map(|target| target.to_string_lossy().into_owned()) else {
        return Some("it leads out of the repository".to_owned());
    };
    if !root().join(&target).exists() {
        return Some("there is no such file".to_owned());
    }
    if page.path.starts_with("docs/") && !target.starts_with("docs/") {
        return Some(format!(
            "the book does not hold the file; link to {REPOSITORY}blob/main/{target}"
        ));
    }
    if page.path.starts_with("docs/") && page.path != CONTENTS && target.ends_with("README.md") {
        return Some("mdBook does not find a README that another page links to; name the page index.md".to_owned());
    }
    let anchor = anchor?;
    let known = anchors
        .get(&target)
        .is_some_and(|anchors| anchors.iter().any(|known| known == anchor));
    (!known).then(|| format!("{target} has no such heading"))
}

fn of_pages(pages: &[Page]) -> Vec<String> {
    let anchors: BTreeMap<String, Vec<String>> = pages.iter().map(|page| (page.path.clone(), anchors(page))).collect();
    let mut faults = Vec::new();
    for page in pages {
        for link in page.parts().links {
            let found = fault(page, &link, &anchors);
            faults.extend(found.map(|fault| format!("{}: {link}: {fault}", page.path)));
        }
    }
    faults
}

#[test]
fn every_link_leads_somewhere() {
    let faults = of_pages(&pages());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let page = |path: &str, text: &str| Page {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let table = [
        ("[x](tasks/adopt.md)", true),
        ("[x](tasks/nothing.md)", false),
        ("[x](#two-words)", true),
        ("[x](#two-words-1)", true),
        ("[x](#two-words-2)", false),
        ("[x](tasks/../faq.md)", true),
        ("[x](../README.md)", false),
        ("![x](images/nothing.svg)", false),
        (
            "[x](https://github.com/oidc-operator/oidc-operator/blob/main/Makefile)",
            true,
        ),
        (
            "[x](https://github.com/oidc-operator/oidc-operator/tree/main/Makefile)",
            false,
        ),
        (
            "[x](https://github.com/oidc-operator/oidc-operator/blob/main/nothing)",
            false,
        ),
        ("[x](https://example.com/nothing)", true),
    ];
    for (link, expected) in table {
        let text = format!("# Title\n\n{link}\n\n## Two words!\n\n## Two `words`\n");
        assert_eq!(of_pages(&[page("docs/faq.md", &text)]).is_empty(), expected, "{link}");
    }
    let outside = of_pages(&[page("CONTRIBUTING.md", "[x](README.md) [y](docs/faq.md)")]);
    assert_eq!(outside, [""; 0]);
}
