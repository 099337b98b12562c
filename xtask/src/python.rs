//! Programs in Python, each in an environment of its own below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;
use crate::run::{self, Outcome};

/// What can make an environment: the Python of Debian 12 or a later one, with pip for it.
const IS_USABLE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// The environment with exactly these requirements, made anew when they change. Gives the folder of its programs.
pub(crate) fn environment(folder: &Path, requirements: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(folder)?;
    // Several commands may run at once; the second one waits here and finds the first one's result.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let (stamp, wanted) = (folder.join("stamp"), fs::read_to_string(requirements)?);
    let environment = folder.join("venv");
    let programs = environment.join("bin");
    if fs::read_to_string(&stamp).is_ok_and(|kept| kept == wanted)
        && run::succeeds(Command::new(programs.join("python")).arg("--version"))
    {
        return Ok(programs);
    }
    let python = ensure()?;
    eprintln!("installing what {} names…", requirements.display());
    run::done(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut install = Command::new(programs.join("pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]).arg(requirements);
    run::done(&mut install).map_err(|error| format!("{error}; it needs access to a Python package registry"))?;
    fs::write(stamp, wanted)?;
    Ok(programs)
}

/// A Python that can make environments, installed where there is none.
fn ensure() -> Outcome<&'static str> {
    const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];
    let usable = || PYTHONS.into_iter().find(|python| run::succeeds(Command::new(python).args(["-c", IS_USABLE])));
    if let Some(python) = usable() {
        return Ok(python);
    }
    let otherwise = "install Python 3.11 or later with its module venv";
    debian::install(&["python3-venv"], otherwise)?;
    usable().ok_or_else(|| format!("there is no python3 that can make an environment; {otherwise}").into())
}
