//! Where things are in the checkout, and what cargo knows about it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::run::{self, Outcome};

/// The target that flows are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The checkout's root folder.
pub(crate) fn root() -> PathBuf {
    // What `cargo run` says is asked before what was compiled in: a target folder may serve several checkouts.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// What `cargo metadata` says about the workspace's own packages.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// The members, without their dependencies.
    pub(crate) packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub(crate) target_directory: PathBuf,
}

/// One member of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: String,
    /// The package's version.
    pub(crate) version: String,
    /// Its library, binaries, examples and tests.
    pub(crate) targets: Vec<Target>,
}

/// One thing that cargo builds from a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    /// The target's name; that of a library with underscores.
    pub(crate) name: String,
    /// `cdylib` for flows, which become components.
    pub(crate) crate_types: Vec<String>,
}

impl Target {
    /// Whether building the target for [`GUEST_TARGET`] gives a component.
    pub(crate) fn is_component(&self) -> bool {
        self.crate_types.iter().any(|kind| kind == "cdylib")
    }
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load() -> Outcome<Self> {
        let mut command = Command::new("cargo");
        command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root());
        Ok(serde_json::from_str(&run::output_of(&mut command)?)?)
    }

    /// Where finished components are put.
    pub(crate) fn guests_folder(&self) -> PathBuf {
        self.target_directory.join("guests")
    }

    /// The member of this name.
    pub(crate) fn package(&self, name: &str) -> Outcome<&Package> {
        let found = self.packages.iter().find(|package| package.name == name);
        found.ok_or_else(|| format!("the workspace has no package `{name}`").into())
    }
}
