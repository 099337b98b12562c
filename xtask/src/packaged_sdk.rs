//! `cargo xtask packaged-sdk`: builds a flow outside the repository from what would be published.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{self, Outcome};
use crate::toolchain::GuestToolchain;
use crate::workspace::{self, GUEST_TARGET, Metadata};

/// The published crates.
const CRATES: [&str; 2] = ["flowhost-guest-macros", "flowhost-guest"];

const FLOW: &str = r#"
//! A flow of somebody else's.

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};

#[flow]
fn count(this: &Execution, input: Input<Vec<String>>) -> Result<Outputs, FlowError> {
    this.info("counting");
    Ok(Outputs::new().set("count", input.len()))
}

#[test]
fn names_are_counted() {
    let outputs = count(&Execution::for_test(), Input::new(vec!["ada".into()])).unwrap();
    assert_eq!(outputs.get("count").unwrap(), 1);
}
"#;

/// Packages the SDK, unpacks it elsewhere, and there tests a flow natively and builds it into a component.
pub(crate) fn run() -> Outcome<()> {
    let metadata = Metadata::load()?;
    let toolchain = GuestToolchain::ensure(&metadata)?;
    let place = tempfile::tempdir()?;
    eprintln!("packaging the Rust SDK…");
    package(&metadata, place.path())?;
    let flow = place.path().join("count");
    write_flow(&metadata, &flow)?;

    eprintln!("testing and building a flow with it…");
    // A folder that stays keeps later runs short; one for each compiler, since what two made must not mix.
    let built = metadata.target_directory.join("packaged-sdk");
    let mut test = Command::new("cargo");
    test.args(["test", "--quiet", "--target-dir"]).arg(built.join("native")).current_dir(&flow);
    run::done(&mut test)?;
    let mut build = toolchain.cargo();
    build.args(["build", "--quiet", "--release", "--target", GUEST_TARGET, "--target-dir"]).arg(built.join("guest"));
    run::done(build.current_dir(&flow))?;

    let component = fs::read(built.join("guest").join(GUEST_TARGET).join("release/count.wasm"))?;
    // Version 13 in layer 1: a component, where a module has version 1 in layer 0.
    if !component.starts_with(b"\0asm\x0d\0\x01\0") {
        return Err("the packaged SDK built something that is no component".into());
    }
    println!("a flow outside the repository was built from the packaged SDK: {} bytes", component.len());
    Ok(())
}

/// Packages the crates and unpacks each into `place`, under its name.
fn package(metadata: &Metadata, place: &Path) -> Outcome<()> {
    let packages = place.join("packages");
    let mut cargo = Command::new("cargo");
    // What is not committed yet is packaged too: this checks the files at hand.
    cargo
        .args(["package", "--quiet", "--allow-dirty", "--no-verify", "--exclude-lockfile", "--target-dir"])
        .arg(&packages);
    for name in CRATES {
        cargo.args(["--package", name]);
    }
    run::done(cargo.current_dir(workspace::root()))?;
    for name in CRATES {
        let folder = format!("{name}-{}", metadata.package(name)?.version);
        let mut unpack = Command::new("tar");
        unpack.arg("-xzf").arg(packages.join("package").join(format!("{folder}.crate")));
        run::done(unpack.current_dir(place))?;
        fs::rename(place.join(&folder), place.join(name))?;
    }
    Ok(())
}

/// Writes a flow's crate as the SDK's README describes it, but for where the SDK comes from.
fn write_flow(metadata: &Metadata, flow: &Path) -> Outcome<()> {
    let version = &metadata.package("flowhost-guest")?.version;
    let manifest = format!(
        r#"
[package]
name = "count"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
flowhost-guest = "{version}"

[patch.crates-io]
flowhost-guest = {{ path = "../flowhost-guest" }}
flowhost-guest-macros = {{ path = "../flowhost-guest-macros" }}

[profile.release]
panic = "abort"
"#
    );
    fs::create_dir_all(flow.join("src"))?;
    fs::write(flow.join("Cargo.toml"), manifest)?;
    fs::write(flow.join("src/lib.rs"), FLOW)?;
    Ok(())
}
