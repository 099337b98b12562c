//! What a host survives: crashes, signals, hostile flows, full disks and those who wish to be served all at once.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod attack;
mod chaos;
mod compiling;
mod connections;
mod data_folder;
mod deaths;
mod failing_disk;
mod failing_operations;
mod families;
mod footprint;
mod greed;
mod hoarders;
mod host_memory;
mod hostile;
mod operator_token;
mod pools;
mod recovery;
mod secrets;
mod shutdown;
mod signals;
mod start;
mod storage;
mod waiters;
mod written;
