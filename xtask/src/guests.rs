//! `cargo xtask guests`: every example flow and test guest as a component.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::run::{self, Outcome};
use crate::toolchain::GuestToolchain;
use crate::workspace::{self, GUEST_TARGET, Metadata, Target};

/// One line of cargo's account of a build.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the guests and lists them with their sizes.
pub(crate) fn run() -> Outcome<()> {
    let metadata = Metadata::load()?;
    for component in build(&metadata)? {
        let size = fs::metadata(&component)?.len();
        println!("{:>9} bytes  {}", size, component.display());
    }
    Ok(())
}

/// Builds every guest of the workspace; gives the components, each named after its guest, in order of their names.
pub(crate) fn build(metadata: &Metadata) -> Outcome<Vec<PathBuf>> {
    let toolchain = GuestToolchain::ensure(metadata)?;
    eprintln!("building the guests…");
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--profile", "flow", "--lib", "--examples", "--target", GUEST_TARGET])
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        // Another compiler than the host's may be at work here, and what two compilers made must not mix.
        .arg(metadata.target_directory.join("guests-build"))
        .current_dir(workspace::root());
    for package in metadata.packages.iter().filter(|package| package.targets.iter().any(Target::is_component)) {
        cargo.args(["--package", &package.name]);
    }
    let account = run::output_of(&mut cargo)?;

    let folder = metadata.guests_folder();
    fs::create_dir_all(&folder)?;
    let mut components = Vec::new();
    for line in account.lines() {
        let message: Message = serde_json::from_str(line)?;
        let Some(target) =
            message.target.filter(|target| target.is_component() && message.reason == "compiler-artifact")
        else {
            continue;
        };
        for built in message.filenames.iter().filter(|file| file.extension().is_some_and(|ending| ending == "wasm")) {
            // Cargo knows a library by its crate name, which has no dashes.
            let component = folder.join(target.name.replace('_', "-")).with_extension("wasm");
            copy_if_changed(built, &component)?;
            components.push(component);
        }
    }
    components.sort();
    Ok(components)
}

/// Copies a file unless the copy is there already, so that whoever watches its time sees only real changes.
fn copy_if_changed(from: &Path, to: &Path) -> Outcome<()> {
    let content = fs::read(from)?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    // Renamed into place, so that nobody reads half a component.
    let fresh = to.with_extension("wasm.new");
    fs::write(&fresh, content)?;
    Ok(fs::rename(fresh, to)?)
}
