//! An execution in memory, as its flow's waits see it.

use std::sync::Arc;

use async_trait::async_trait;
use flowhost_engine::Residence;
use flowhost_model::JournalEntry;

use super::Live;
use crate::host::Host;

/// An execution in memory.
pub(super) struct Resident {
    pub(super) host: Host,
    pub(super) live: Arc<Live>,
}

#[async_trait]
impl Residence for Resident {
    fn wait_begins(&self) {
        self.live.wait_begins();
    }

    fn wait_ends(&self) {
        self.live.wait_ends();
    }

    async fn unload(&self) {
        self.live.told_to_leave(self.host.limits().body_silence).await;
    }

    async fn keep(&self, first: u64, entries: Vec<JournalEntry>) -> bool {
        let kept = self.host.keep(&self.live, first, entries, Vec::new(), |_, _| {}).await;
        match &kept {
            Err(error) if error.is_of_storage() => self.host.outage().begins(error),
            Err(error) => {
                tracing::debug!(execution = %self.live.id, %error, "what a waiting execution was told is not kept")
            }
            Ok(()) => self.host.outage().note_success(),
        }
        kept.is_ok()
    }
}
