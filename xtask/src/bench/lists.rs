//! How long pages of executions take when there are a million of them, and how they are found.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::Place;
use crate::run::{self, Outcome};

/// How many there are.
const EXECUTIONS: &str = "1000000";

/// What the store's own measurement says.
#[derive(Serialize, Deserialize)]
pub(super) struct Lists {
    pub(super) executions: u64,
    fill_seconds: Option<f64>,
    pub(super) data_bytes: u64,
    pub(super) lists: Vec<List>,
}

/// One list: its first page of 50.
#[derive(Serialize, Deserialize)]
pub(super) struct List {
    pub(super) list: String,
    pub(super) rows: u32,
    pub(super) median_ms: f64,
    pub(super) worst_ms: f64,
    /// The page behind it; none where the first is the last.
    pub(super) second_page_ms: Option<f64>,
    /// The steps of SQLite's plan that find it.
    pub(super) plan: Vec<String>,
}

/// Runs the store's own measurement on the disk of the checkout.
pub(super) fn measure(place: &Place) -> Outcome<Lists> {
    eprintln!("keeping {EXECUTIONS} executions and reading lists of them (about a minute)…");
    let folder = place.folder.join("lists");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut lists = Command::new(place.examples.join("lists_bench"));
    let measured = serde_json::from_str(&run::output_of(lists.arg(EXECUTIONS).arg(&folder))?)?;
    fs::remove_dir_all(&folder)?;
    Ok(measured)
}
