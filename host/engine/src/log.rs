//! The log of one execution, as it grows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::{LogLevel, LogLine, LogSource, RawValue};

use crate::Clock;
use crate::mask::{Mask, Unmasked};

/// What a line costs beside its text: its time, level and source in the store.
const LINE_OVERHEAD: usize = 32;

/// The lines that an execution has written, within a budget of bytes.
///
/// Shared between the running call, which adds, and whoever looks at a running execution.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Lines>,
    mask: Arc<dyn Mask>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Lines {
    kept: Vec<LogLine>,
    room: usize,
    /// How many lines of the flow are still to come that were kept elsewhere before.
    known: u64,
}

/// The line did not fit the budget. It was not kept.
#[derive(Debug, Clone, Copy)]
pub struct LogFull;

impl Log {
    /// An empty log that takes `budget` bytes, whose lines have the times of this clock.
    pub fn new(budget: usize, clock: Arc<dyn Clock>) -> Self {
        Self::resumed(budget, 0, clock)
    }

    /// The log of an execution that is run again: its first `known` lines, which it will write once more, are kept
    /// elsewhere already. They count against the budget.
    pub fn resumed(budget: usize, known: u64, clock: Arc<dyn Clock>) -> Self {
        Self { lines: Mutex::new(Lines { kept: Vec::new(), room: budget, known }), mask: Arc::new(Unmasked), clock }
    }

    /// The same log, whose lines are masked before they are kept.
    pub fn masked_by(self, mask: Arc<dyn Mask>) -> Self {
        Self { mask, ..self }
    }

    /// Takes out of the flow's texts what must not be kept or shown.
    pub fn mask(&self) -> &dyn Mask {
        &*self.mask
    }

    /// Whether a line with so many bytes of text and fields would fit.
    pub fn fits(&self, bytes: usize) -> bool {
        LINE_OVERHEAD.saturating_add(bytes) <= self.lock().room
    }

    /// Adds a line of the flow or of the instance's output.
    pub fn write(
        &self,
        level: LogLevel,
        source: LogSource,
        message: String,
        fields: Option<Box<RawValue>>,
    ) -> Result<(), LogFull> {
        // As the flow gave it: it is run again within the same budget, whatever is masked by then.
        let size = LINE_OVERHEAD + message.len() + fields.as_ref().map_or(0, |fields| fields.get().len());
        let mut lines = self.lock();
        lines.room = lines.room.checked_sub(size).ok_or(LogFull)?;
        if lines.known > 0 {
            lines.known -= 1;
            return Ok(());
        }
        let message = self.mask.mask(message);
        let fields = fields.map(|fields| self.mask.mask_json(fields));
        lines.kept.push(LogLine { at: self.clock.now(), level, source, message, fields });
        Ok(())
    }

    /// Adds a line of the host's own, whatever is left of the budget: the host says few things, and they explain the rest.
    pub fn write_host(&self, level: LogLevel, message: String) {
        let message = self.mask.mask(message);
        let line = LogLine { at: self.clock.now(), level, source: LogSource::Host, message, fields: None };
        self.lock().kept.push(line);
    }

    /// A copy of the lines written until now.
    pub fn lines(&self) -> Vec<LogLine> {
        self.lock().kept.clone()
    }

    /// The lines, which leave the log.
    pub fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.lock().kept)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Every write leaves the lines whole, so that a panic elsewhere cannot have damaged them.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    #[test]
    fn a_line_that_does_not_fit_is_refused_and_the_hosts_own_still_fits() {
        let log = Log::new(LINE_OVERHEAD + 5, Arc::new(SystemClock));
        assert!(log.fits(5) && !log.fits(6));
        log.write(LogLevel::Info, LogSource::Flow, "12345".into(), None).unwrap();
        assert!(log.write(LogLevel::Info, LogSource::Flow, "6".into(), None).is_err());
        log.write_host(LogLevel::Warn, "stopped".into());
        assert_eq!(log.take().len(), 2);
        assert!(log.lines().is_empty());
    }

    #[test]
    fn lines_that_are_kept_already_are_not_kept_twice() {
        let log = Log::resumed(10 * LINE_OVERHEAD, 2, Arc::new(SystemClock));
        for message in ["1", "2", "3"] {
            log.write(LogLevel::Info, LogSource::Flow, message.into(), None).unwrap();
        }
        assert_eq!(log.take().iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["3"]);
    }
}
