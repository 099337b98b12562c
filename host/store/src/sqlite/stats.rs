//! Sizes and waits.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::writer::Writer;
use crate::{Result, StoreStats};

/// The sizes, as a reader sees them.
pub(super) fn sizes(connection: &Connection, wal: &Path) -> Result<StoreStats> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page_bytes = pragma("page_size")?.cast_unsigned();
    Ok(StoreStats {
        data_bytes: page_bytes * pragma("page_count")?.cast_unsigned(),
        free_bytes: page_bytes * pragma("freelist_count")?.cast_unsigned(),
        // Not there before the first write.
        wal_bytes: fs::metadata(wal).map_or(0, |file| file.len()),
        ..StoreStats::default()
    })
}

/// The sizes and what the writing thread has counted.
pub(super) fn with_writer(sizes: StoreStats, writer: &Writer) -> StoreStats {
    let metrics = writer.metrics();
    StoreStats {
        queued_writes: writer.queued(),
        writes: metrics.writes.load(Ordering::Relaxed),
        commits: metrics.commits.load(Ordering::Relaxed),
        queue_wait_us: metrics.queue_wait_us.load(Ordering::Relaxed),
        commit_us: metrics.commit_us.load(Ordering::Relaxed),
        commit_max_us: metrics.commit_max_us.load(Ordering::Relaxed),
        checkpoints: metrics.checkpoints.load(Ordering::Relaxed),
        checkpoint_max_us: metrics.checkpoint_max_us.load(Ordering::Relaxed),
        ..sizes
    }
}
