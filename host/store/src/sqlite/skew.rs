//! How far the time of an execution's admission is from the time in its id.
//!
//! Both are read from the clock, one after the other, so they are close. That makes a condition on `created_at` a range of
//! ids, which every index of executions is ordered by. A clock that was set back, or executions from elsewhere, can part
//! them further; then the greatest distance is kept, and the ranges grow by it, so no list ever misses an execution.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::{Connection, params};

use super::id_range::IdRange;
use crate::Result;

/// The distance that is always allowed for, and that the table begins with, in microseconds: a thread may wait as long
/// between its two looks at the clock. The executions of this time are read in vain at either end of a range; of 20,000 in a
/// second, which is more than a host admits, that are 1,000, and takes about a millisecond.
const USUAL_US: i64 = 50_000;

/// The greatest distances from the time of an id to the time of the admission, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skew {
    earliest: i64,
    latest: i64,
}

/// Sees to it that the kept distance holds for an execution that is about to be inserted. Nearly always it does, and
/// nothing is read or written.
pub(super) fn allow(connection: &Connection, id: RecordId, created_at: Timestamp) -> Result<()> {
    let distance = created_at.0.saturating_sub(id_ms(id) * 1000);
    if (-USUAL_US..=USUAL_US).contains(&distance) {
        return Ok(());
    }
    // Rounded up to a power of two, so that a growing distance is not written for each execution.
    let size = distance.unsigned_abs().checked_next_power_of_two().and_then(|size| i64::try_from(size).ok());
    let size = size.unwrap_or(i64::MAX);
    let size = if distance < 0 { -size } else { size };
    let mut statement = connection.prepare_cached(
        "UPDATE execution_skew SET earliest = MIN(earliest, ?1), latest = MAX(latest, ?1)
         WHERE earliest > ?1 OR latest < ?1",
    )?;
    statement.execute(params![size])?;
    Ok(())
}

/// The distances that are kept.
pub(super) fn skew(connection: &Connection) -> Result<Skew> {
    let mut statement = connection.prepare_cached("SELECT earliest, latest FROM execution_skew")?;
    Ok(statement.query_one([], |row| Ok(Skew { earliest: row.get(0)?, latest: row.get(1)? }))?)
}

impl Skew {
    /// The ids that executions admitted at these times may have, both included.
    pub(super) fn ids(self, from: Option<Timestamp>, to: Option<Timestamp>) -> IdRange {
        // Whole milliseconds; one more at either end for the parts of them that ids do not hold.
        let first = from.map(|from| from.0.saturating_sub(self.latest).div_euclid(1000).saturating_sub(1));
        let last = to.map(|to| to.0.saturating_sub(self.earliest).div_euclid(1000).saturating_add(1));
        IdRange::of_times(first, last)
    }
}

/// The time in an id, in milliseconds since 1970: its first 48 bits.
fn id_ms(id: RecordId) -> i64 {
    id.as_bytes().iter().take(6).fold(0, |ms, byte| ms << 8 | i64::from(*byte))
}
