//! The page on what a good operator has names tests that exist.

use super::{files, read};

const PAGE: &str = "docs/features.md";
/// Number of rows.
const ROWS: usize = 52;

/// A row: number, state, and the tests that show it.
struct Row {
    number: String,
    state: String,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let page = read(PAGE);
    let lines = page.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = lines.map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells.len() == 5 && cells[0].parse::<usize>().is_ok())
        .map(|cells| Row {
            number: cells[0].to_owned(),
            state: cells[2].to_owned(),
            tests: cells[4]
                .split_whitespace()
                .map(|test| test.trim_matches('`').to_owned())
                .collect(),
        })
        .collect()
}

#[test]
fn every_claim_names_tests_that_exist() {
    let rows = rows();
    assert_eq!(rows.len(), ROWS);
    let sources: String = files("tests", ".rs").iter().map(|path| read(path)).collect();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row.number, (at + 1).to_string());
        let needs_test = match row.state.as_str() {
            "whole" | "partly" => true,
            "no" => false,
            state => panic!("{}: {state} is no state", row.number),
        };
        assert!(!needs_test || !row.tests.is_empty(), "{}: no test is named", row.number);
        for test in &row.tests {
            let is_there = sources.contains(&format!("fn {test}(")) || sources.contains(&format!("::{test}\""));
            assert!(is_there, "{}: there is no test {test}", row.number);
        }
    }
}
