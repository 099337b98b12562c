//! The journal of an execution: what its flow asked of the world, and what it was told.

use crate::Timestamp;

/// One call of a flow that read or changed something outside of it.
///
/// A flow that is run again is told the same, in the same order, until its journal is exhausted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// When the call was answered; the flow's clock stands there until its next call.
    pub at: Timestamp,
    /// The call for people: its name and the beginning of what was asked.
    pub call: String,
    /// SHA-256 of the call's name and all that was asked. A call with another digest is another call.
    pub digest: [u8; 32],
    /// What the call was answered, as JSON.
    pub result: Vec<u8>,
}
