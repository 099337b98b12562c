//! Why an execution is stopped before its flow has ended.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Why an execution is stopped, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopReason {
    /// The host is about to end: another process goes on with it.
    HandBack,
    /// Somebody wants it to wait until it is resumed.
    Pause,
    /// Somebody wants its end.
    Cancel,
    /// Its row was ended or paused while it was on its way into memory: nothing of it is kept.
    Superseded,
}

/// Stops a flow, whatever it is doing.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    reason: Mutex<Option<StopReason>>,
    token: CancellationToken,
}

impl Stop {
    /// Stops the flow. Of several reasons the weightiest holds.
    pub(crate) fn stop(&self, reason: StopReason) {
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (*held).max(Some(reason));
        self.token.cancel();
    }

    /// Why it was stopped; none where it was not.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when it is stopped.
    pub(crate) async fn stopped(&self) {
        self.token.cancelled().await;
    }
}
