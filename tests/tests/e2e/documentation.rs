//! What the documentation says about the tests, and about the codes in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file of this kind below a folder.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, kind));
        } else if path.extension().is_some_and(|ending| ending == kind) {
            found.push(path);
        }
    }
    found
}

/// The text of every Rust file below a folder.
fn sources(folder: &str) -> String {
    files(&root().join(folder), "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_guarantee_has_a_test_of_the_name_beside_it() {
    let guarantees = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let tests = sources("tests/tests") + &sources("host");
    let rows = guarantees.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    let mut count = 0;
    for row in rows {
        let name = row.rsplit("| `").next().and_then(|cell| cell.split('`').next()).unwrap();
        assert!(tests.contains(&format!("fn {name}()")), "there is no test `{name}`: {row}");
        count += 1;
    }
    assert!(count >= 20, "{count} guarantees");
}

/// Whether a text has the form of a code, such as `http.not-allowed`.
fn is_code(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
    text.split_once('.').is_some_and(|(family, name)| is_word(family) && is_word(name))
}

/// The codes that stand between two marks.
fn codes_between(text: &str, before: &str, after: char) -> BTreeSet<String> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split(after).next())
        .filter(|text| is_code(text))
        .map(str::to_owned)
        .collect()
}

/// Where the host and the SDK refuse calls of flows.
const REFUSING: [&str; 5] = [
    "host/runtime/src/capability",
    "host/runtime/src/execution",
    "host/runtime/src/outgoing",
    "host/runtime/src/secret",
    "guest-sdk/rust/src",
];

/// Every code that the sources give to a flow, but for those of the host's own table.
fn codes_given() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in REFUSING {
        let text: String = sources(folder).split_whitespace().collect::<Vec<_>>().join(" ");
        for mark in ["refusal( \"", "refusal(\"", "HostError::new( \"", "HostError::new(\"", "=> \"", "&str = \""] {
            codes.extend(codes_between(&text, mark, '"'));
        }
    }
    codes
}

/// Every code that the contract or the SDK names; they name functions in the same way.
fn codes_promised() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for path in files(&root().join("wit"), "wit").into_iter().chain(files(&root().join("guest-sdk/rust/src"), "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let docs: String = text.lines().filter(|line| line.trim_start().starts_with("//")).collect();
        codes.extend(docs.split('`').filter(|text| is_code(text)).map(str::to_owned));
    }
    let functions = |family: &str| fs::read_to_string(root().join(format!("wit/{family}.wit"))).unwrap_or_default();
    codes.retain(|code| {
        let (family, name) = code.split_once('.').unwrap();
        !functions(family).contains(&format!("    {name}: func("))
    });
    codes
}

#[test]
fn every_code_that_a_flow_is_told_stands_in_the_documentation() {
    let errors = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (of_host, of_flows) = errors.split_once("## What a flow is told").unwrap();
    let rows = |text| codes_between(text, "\n| `", '`');
    let (of_host, of_flows) = (rows(of_host), rows(of_flows));
    let (given, promised) = (codes_given(), codes_promised());
    assert!(given.len() > 50 && promised.len() > 50, "{given:?} {promised:?}");
    // A field of an input, in an example of the SDK.
    for code in given.union(&promised).filter(|code| *code != "input.email") {
        assert!(of_host.contains(code) || of_flows.contains(code), "docs/errors.md lacks `{code}`");
    }
    for code in &of_flows {
        assert!(given.contains(code), "no source gives `{code}`, which stands in docs/errors.md");
    }
}
