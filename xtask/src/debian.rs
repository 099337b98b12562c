//! Packages of Debian: installed where this may be done, named where it may not.

use std::process::Command;

use crate::run::{self, Outcome};

/// Installs what is missing of these packages; where that cannot be done, the error says what is wanted, in the words of
/// `otherwise`, and how to install them by hand.
pub(crate) fn install(packages: &[&str], otherwise: &str) -> Outcome<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "{otherwise}; or on Debian 12, as root: apt-get update && apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    let is_root = run::output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root {
        return Err(by_hand.into());
    }
    eprintln!("installing {}…", missing.join(", "));
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let installed = run::succeeds(Command::new("apt-get").arg("update")) && run::succeeds(&mut install);
    if installed { Ok(()) } else { Err(by_hand.into()) }
}

fn is_installed(package: &str) -> bool {
    let mut ask = Command::new("dpkg-query");
    ask.args(["--show", "--showformat", "${db:Status-Status}", package]);
    ask.output().is_ok_and(|answer| answer.stdout == b"installed")
}
