//! The table in SECURITY.md: every requirement names tests, and every named test exists.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// One row of the table of requirements: its id, the requirement, its source, and the tests.
type Row = [String; 4];

fn rows(page: &str) -> Vec<Row> {
    let table = page.split("\n| id | requirement | source | tests |\n").nth(1).unwrap_or_default();
    let lines = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            Row::try_from(cells).unwrap_or_else(|cells| panic!("not four cells: {cells:?}"))
        })
        .collect()
}

/// Returns the texts in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether this source has a test with this name: a function with a test attribute, or a name in a list from which a
/// macro generates tests (`name => [..]`). A program without the harness is one test, `main`.
fn has_test(path: &str, source: &str, name: &str, manifest: &str) -> bool {
    if name == "main" {
        let program = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        return manifest.contains(&format!("[[test]]\nname = \"{program}\"\nharness = false\n"));
    }
    let lines: Vec<_> = source.lines().map(str::trim_start).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let is_listed = line.starts_with(&format!("{name} => ["));
        let signature = line.strip_prefix("async ").unwrap_or(line);
        let is_function = signature
            .strip_prefix("fn ")
            .is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')));
        let mut attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        is_listed
            || (is_function && attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test")))
    })
}

/// Returns the table's faults.
fn faults(page: &str) -> Vec<String> {
    let manifest = read("Cargo.toml").unwrap();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for [id, requirement, source, tests] in rows(page) {
        if requirement.is_empty() || source.is_empty() {
            faults.push(format!("{id}: no requirement or no source"));
        }
        let mut named = 0;
        for test in quoted(&tests) {
            named += 1;
            let Some((path, name)) = test.split_once("::") else {
                faults.push(format!("{id}: {test} is not `path::name`"));
                continue;
            };
            match read(path) {
                None => faults.push(format!("{id}: there is no file {path}")),
                Some(source) if !has_test(path, &source, name, &manifest) => {
                    faults.push(format!("{id}: {path} has no test {name}"));
                }
                Some(_) => {}
            }
        }
        if named == 0 {
            faults.push(format!("{id}: no test"));
        }
        if !ids.insert(id.clone()) {
            faults.push(format!("{id}: twice"));
        }
    }
    faults
}

#[test]
fn every_requirement_names_tests_that_exist() {
    let page = read("SECURITY.md").unwrap();
    assert!(rows(&page).len() > 50, "{} rows", rows(&page).len());
    assert_eq!(faults(&page), Vec::<String>::new());
}

#[test]
fn a_row_with_a_missing_test_is_a_fault() {
    let page = |tests: &str| {
        format!("\n| id | requirement | source | tests |\n|---|---|---|---|\n| X | is | RFC | {tests} |\n")
    };
    for (tests, fault) in [
        ("", "X: no test"),
        ("`tests/security.rs`", "X: tests/security.rs is not `path::name`"),
        ("`tests/nowhere.rs::a`", "X: there is no file tests/nowhere.rs"),
        ("`tests/security.rs::no_such_test`", "X: tests/security.rs has no test no_such_test"),
        ("`tests/security.rs::has_test`", "X: tests/security.rs has no test has_test"),
        ("`tests/security.rs::main`", "X: tests/security.rs has no test main"),
        ("`tests/security.rs::a_row_with_a_missing`", "X: tests/security.rs has no test a_row_with_a_missing"),
    ] {
        assert_eq!(faults(&page(tests)), [fault]);
    }
    let good = "`tests/security.rs::a_row_with_a_missing_test_is_a_fault`<br>`tests/memory_kill.rs::main`";
    assert_eq!(faults(&page(good)), Vec::<String>::new());
}

/// Timing can't be tested reliably, so this reads the source: the two comparisons with secrets use `subtle`, and
/// neither type has a derived comparison.
#[test]
fn secrets_are_compared_in_constant_time() {
    let [check, token] = ["check", "token"].map(|file| read(&format!("src/id/{file}.rs")).unwrap());
    for (text, name) in [(&check, "TokenCheck"), (&token, "SessionToken")] {
        let before = text.split_once(&format!("pub struct {name}(")).expect("the type").0;
        let attributes = before.lines().rev().take_while(|line| !line.is_empty());
        let derives: Vec<_> = attributes.filter(|line| line.contains("PartialEq")).collect();
        assert!(derives.is_empty(), "{name}: {derives:?}");
    }
    let comparison = check.split("impl PartialEq for TokenCheck {").nth(1).unwrap().split("\n}").next().unwrap();
    assert!(comparison.contains(".ct_eq("), "{comparison}");
    assert!(!token.contains("impl PartialEq for SessionToken"));
    let signature = read("src/cookie/signature.rs").unwrap();
    let code = signature.split("#[cfg(test)]").next().unwrap();
    assert!(code.contains("expected.ct_eq(&claimed)"));
    assert!(!code.contains("expected ==") && !code.contains("claimed =="));
}
