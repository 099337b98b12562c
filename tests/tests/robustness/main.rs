//! What a host survives: crashes, signals, hostile flows, full disks and those who wish to be served all at once.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod chaos;
mod compiling;
mod connections;
mod data_folder;
mod hostile;
mod recovery;
mod secrets;
mod signals;
mod start;
mod storage;
