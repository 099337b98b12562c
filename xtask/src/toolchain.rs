//! The compiler for flows: one that has a standard library for wasm32-wasip2.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;
use crate::run::{self, Outcome};
use crate::workspace::{GUEST_TARGET, Metadata};

/// The name under which rustup knows a toolchain built here: `cargo +flowhost-guest build`.
const LINK_NAME: &str = "flowhost-guest";

/// Debian's compiler, the source of its standard library, and the C library that the target needs.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// Where Debian's packages put their things.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// Changes whenever the recipe below gives another result, so that older results are not reused.
const RECIPE: &str = "recipe 1";

/// A compiler that builds flows.
pub(crate) enum GuestToolchain {
    /// The toolchain that runs this command has the target.
    Active,
    /// A toolchain built here, in this folder.
    Built(PathBuf),
}

impl GuestToolchain {
    /// Finds the target, or adds it, or builds its standard library: whichever works first.
    pub(crate) fn ensure(metadata: &Metadata) -> Outcome<Self> {
        if active_has_target() {
            return Ok(Self::Active);
        }
        let folder = metadata.target_directory.join("guest-toolchain");
        fs::create_dir_all(&folder)?;
        // Several commands may run at once; the second one waits here and finds the first one's result.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let sysroot = folder.join("sysroot");
        if is_current(&folder) {
            return Ok(Self::Built(sysroot));
        }
        eprintln!("adding the target {GUEST_TARGET} to the Rust toolchain…");
        if run::succeeds(Command::new("rustup").args(["target", "add", GUEST_TARGET])) && active_has_target() {
            return Ok(Self::Active);
        }
        debian::install(
            &DEBIAN_PACKAGES,
            &format!(
                "the Rust target {GUEST_TARGET} is missing and `rustup target add {GUEST_TARGET}` failed; run that command \
             with access to the network"
            ),
        )?;
        build(&folder, &sysroot)?;
        Ok(Self::Built(sysroot))
    }

    /// A cargo that builds with this toolchain. The caller adds the rest of the command line.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Active => Command::new("cargo"),
            Self::Built(sysroot) => {
                let mut command = Command::new(sysroot.join("bin/cargo"));
                command.env("RUSTC", sysroot.join("bin/rustc"));
                command
            }
        };
        // Flags from outside would replace those of `.cargo/config.toml`, and with them the small stack.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

/// Whether the compiler that `cargo` uses has the target's standard library.
fn active_has_target() -> bool {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", GUEST_TARGET]);
    ask.output().is_ok_and(|answer| {
        answer.status.success() && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()
    })
}

/// Whether the folder holds what the two installed compilers would give again.
fn is_current(folder: &Path) -> bool {
    let kept = fs::read_to_string(folder.join("stamp"));
    matches!((kept, stamp()), (Ok(kept), Ok(now)) if kept == now)
}

/// Names everything that the built toolchain depends on.
fn stamp() -> Outcome<String> {
    let debian = run::output_of(Command::new(DEBIAN_RUSTC).arg("-V"))?;
    let active = run::output_of(Command::new("rustc").args(["-V", "--print", "sysroot"]))?;
    Ok(format!("{RECIPE}\n{debian}{active}"))
}

/// Builds the target's standard library with Debian's compiler and lays out a toolchain around it.
fn build(folder: &Path, sysroot: &Path) -> Outcome<()> {
    eprintln!("building the guest standard library (about a minute, once)…");
    let libraries = build_standard_library(&folder.join("std"))?;
    if sysroot.exists() {
        fs::remove_dir_all(sysroot)?;
    }
    lay_out(sysroot, &libraries)?;
    fs::write(folder.join("stamp"), stamp()?)?;
    // A convenience for flow authors on this machine; nothing here depends on the link.
    if !run::succeeds(Command::new("rustup").args(["toolchain", "link", LINK_NAME]).arg(sysroot)) {
        eprintln!("note: rustup did not take the toolchain as `{LINK_NAME}`");
    }
    Ok(())
}

/// Builds an empty crate together with the standard library; gives the libraries that came with it.
fn build_standard_library(crate_folder: &Path) -> Outcome<Vec<PathBuf>> {
    if crate_folder.exists() {
        fs::remove_dir_all(crate_folder)?;
    }
    fs::create_dir_all(crate_folder.join("src"))?;
    fs::write(crate_folder.join("src/lib.rs"), "")?;
    // An own `[workspace]` keeps cargo from looking for one above.
    let manifest =
        "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n\n[profile.release]\npanic = \"abort\"\n";
    fs::write(crate_folder.join("Cargo.toml"), manifest)?;
    let target = crate_folder.join("target");
    let mut cargo = Command::new(DEBIAN_CARGO);
    cargo
        .args(["build", "--release", "--quiet", "-Zbuild-std=std,panic_abort,panic_unwind", "--target", GUEST_TARGET])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(crate_folder)
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // Without its bitcode the library cannot take part in the flows' link-time optimisation.
        .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", "-C embed-bitcode=yes")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run::done(&mut cargo)?;
    let mut libraries = Vec::new();
    for entry in fs::read_dir(target.join(GUEST_TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            libraries.push(path);
        }
    }
    Ok(libraries)
}

/// Makes a toolchain folder of the built libraries, Debian's compiler and the active toolchain's linker.
fn lay_out(sysroot: &Path, libraries: &[PathBuf]) -> Outcome<()> {
    let host = host_triple()?;
    let linker = PathBuf::from(run::output_of(Command::new("rustc").args(["--print", "sysroot"]))?.trim())
        .join("lib/rustlib")
        .join(&host)
        .join("bin");
    if !linker.join("wasm-component-ld").is_file() {
        return Err(format!("no `wasm-component-ld` in {}: is Rust installed by rustup?", linker.display()).into());
    }
    let rustlib = sysroot.join("lib/rustlib");
    let guest = rustlib.join(GUEST_TARGET).join("lib");
    let self_contained = guest.join("self-contained");
    fs::create_dir_all(&self_contained)?;
    for library in libraries {
        fs::copy(library, guest.join(library.file_name().unwrap_or_default()))?;
    }
    for object in ["libc.a", "crt1-command.o", "crt1-reactor.o"] {
        fs::copy(Path::new(DEBIAN_WASI_LIBC).join(object), self_contained.join(object))?;
    }
    fs::create_dir_all(rustlib.join(&host))?;
    symlink(Path::new("/usr/lib/rustlib").join(&host).join("lib"), rustlib.join(&host).join("lib"))?;
    symlink(linker, rustlib.join(&host).join("bin"))?;

    let programs = sysroot.join("bin");
    fs::create_dir_all(&programs)?;
    let rustc = programs.join("rustc");
    fs::write(&rustc, format!("#!/bin/sh\nexec {DEBIAN_RUSTC} --sysroot '{}' \"$@\"\n", sysroot.display()))?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
    symlink(DEBIAN_CARGO, programs.join("cargo"))?;
    Ok(())
}

/// The triple of Debian's compiler itself.
fn host_triple() -> Outcome<String> {
    let about = run::output_of(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("`{DEBIAN_RUSTC} -vV` names no host").into())
}
