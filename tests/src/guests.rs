//! Files that the tests use: components, and what the repository has.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder that cargo builds into, found from the test's own place in it.
pub(crate) fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // target/release/deps/e2e-1234
    test.ancestors().nth(3).expect("cargo builds tests three folders deep").to_owned()
}

/// The component of a test guest or an example flow.
///
/// # Panics
///
/// When it was not built.
pub fn component(name: &str) -> Vec<u8> {
    let file = target().join("guests").join(format!("{name}.wasm"));
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}

/// A file of this repository, by its path from the root.
///
/// # Panics
///
/// When there is none.
pub fn workspace_file(path: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
