//! Whether writes are kept, as the writer last saw it; said in the log once, and once when it is over.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

/// How long after such a line the next failure is said again. On a nearly full disk small writes are kept and large ones
/// refused, in turn.
const QUIET: Duration = Duration::from_secs(60);

/// What the writer tells and everybody reads.
pub(super) struct Health {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Why the last write was not kept.
    failure: Option<Error>,
    said_at: Option<Instant>,
    /// Whether the end of what was said is to be said as well.
    is_said: bool,
}

impl Health {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, state: Mutex::default() }
    }

    /// Why nothing is kept at present, if so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }

    /// A write was refused, though nothing was wrong with it.
    pub(super) fn failed(&self, error: &Error) {
        let mut state = self.state();
        let is_new = state.failure.replace(error.clone()).is_none();
        if !is_new || state.said_at.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        (state.said_at, state.is_said) = (Some(Instant::now()), true);
        let folder = self.folder.display();
        match error {
            Error::Full => tracing::error!(
                %folder,
                "the disk is full: what cannot be kept is refused until there is room; make room on the disk of the data \
                 folder, or raise `data_bytes` if that is the limit; nothing needs a restart"
            ),
            error => tracing::error!(
                %folder, %error,
                "writes are not kept: calls are refused until the disk of the data folder works again; the system's log \
                 says what is wrong with it"
            ),
        }
    }

    /// A write was kept.
    pub(super) fn kept(&self) {
        let mut state = self.state();
        if state.failure.take().is_some() && std::mem::take(&mut state.is_said) {
            tracing::warn!(folder = %self.folder.display(), "writes are kept again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
