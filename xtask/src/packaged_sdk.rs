//! `cargo xtask packaged-sdk`.
use crate::run::Outcome;
pub(crate) fn run() -> Outcome<()> {
    Ok(())
}
