//! What the documentation says about the tests.

use std::fs;
use std::path::Path;

/// The text of every Rust file below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_guarantee_has_a_test_of_the_name_beside_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guarantees = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let mut tests = String::new();
    for folder in ["tests/tests", "host"] {
        sources(&root.join(folder), &mut tests);
    }
    let rows = guarantees.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    let mut count = 0;
    for row in rows {
        let name = row.rsplit("| `").next().and_then(|cell| cell.split('`').next()).unwrap();
        assert!(tests.contains(&format!("fn {name}()")), "there is no test `{name}`: {row}");
        count += 1;
    }
    assert!(count >= 20, "{count} guarantees");
}
