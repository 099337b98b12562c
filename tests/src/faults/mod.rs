//! Storage that fails when a test wants it to.
//!
//! A small library in C (`shim.c`) is preloaded into a host and stands between it and the system's calls. A test arms a
//! [`Plan`] at any time, also while the host runs:
//!
//! ```ignore
//! let faults = Faults::new();
//! let host = Setup::new().faults(&faults).start();
//! faults.arm(&Plan::new(Errno::IO).operations(&[Operation::Sync]).file("flowhost.sqlite3-wal"));
//! ```

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use tempfile::TempDir;

use crate::patience::until;

/// What a host does with a file. The numbers are those of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `open`, `openat`.
    Open = 0,
    /// `read`, `pread`.
    Read = 1,
    /// `write`, `pwrite`, `writev`.
    Write = 2,
    /// `ftruncate`.
    Truncate = 3,
    /// `fsync`, `fdatasync`.
    Sync = 4,
    /// `unlink`.
    Unlink = 5,
    /// `rename`.
    Rename = 6,
    /// `fallocate`, `posix_fallocate`.
    Allocate = 7,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::Truncate,
        Self::Sync,
        Self::Unlink,
        Self::Rename,
        Self::Allocate,
    ];
}

/// Which operations fail, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    operations: Vec<Operation>,
    file: String,
    first: u64,
    count: u64,
    error: Option<Errno>,
    delay_us: u64,
    is_held: bool,
}

impl Plan {
    /// The next operation of any kind on any file fails with this error, and no other.
    ///
    /// A failed sync takes the content of the pages with it that were written since the file's last good sync.
    pub fn new(error: Errno) -> Self {
        Self { error: Some(error), ..Self::harmless() }
    }

    /// No operation fails; they are counted.
    pub fn harmless() -> Self {
        let operations = Operation::ALL.to_vec();
        Self { operations, file: String::new(), first: 1, count: 1, error: None, delay_us: 0, is_held: false }
    }

    /// Only operations of these kinds.
    pub fn operations(mut self, operations: &[Operation]) -> Self {
        self.operations = operations.to_vec();
        self
    }

    /// Only operations on files whose path ends so.
    pub fn file(mut self, end: &str) -> Self {
        assert!(end.len() < SUFFIX_BYTES, "{end}");
        self.file = end.to_owned();
        self
    }

    /// The first operation to fail, counted from 1 from when the plan is armed.
    pub fn first(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// How many operations in a row fail.
    pub fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Every operation from the first on fails.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Syncs take so much longer, in microseconds.
    pub fn delay_us(mut self, delay_us: u64) -> Self {
        self.delay_us = delay_us;
        self
    }

    /// Syncs do not begin until [`Faults::disarm`] or another plan.
    pub fn hold(mut self) -> Self {
        self.is_held = true;
        self
    }
}

/// The layout of the control file, in words of 64 bits.
mod word {
    pub(super) const IS_ARMED: u64 = 0;
    pub(super) const KINDS: u64 = 1;
    pub(super) const FIRST: u64 = 2;
    pub(super) const COUNT: u64 = 3;
    pub(super) const ERROR: u64 = 4;
    pub(super) const MATCHED: u64 = 5;
    pub(super) const FAILED: u64 = 6;
    pub(super) const LOST: u64 = 7;
    pub(super) const IS_HELD: u64 = 8;
    pub(super) const WAITING: u64 = 9;
    pub(super) const DELAY_US: u64 = 10;
    pub(super) const SUFFIX: u64 = 16;
    pub(super) const COUNTS: u64 = 32;
    pub(super) const END: u64 = 40;
}

const SUFFIX_BYTES: usize = 128;

/// The library, built, and the file that it is controlled by.
#[derive(Debug)]
pub struct Faults {
    folder: TempDir,
    control: File,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// Builds the library with the machine's C compiler. Nothing fails yet.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("shim.c");
        fs::write(&source, include_str!("shim.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]).arg(library(folder.path())).arg(&source).arg("-ldl");
        let built = compiler.output().expect("the C compiler `cc` is there");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let control = OpenOptions::new().read(true).write(true).create_new(true).open(control(folder.path())).unwrap();
        control.set_len(word::END * 8).unwrap();
        Self { folder, control }
    }

    /// The variables of a process whose files below `data` are to fail.
    pub fn variables(&self, data: &Path) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", library(self.folder.path())),
            ("FAULTS_CONTROL", control(self.folder.path())),
            ("FAULTS_FOLDER", data.to_owned()),
        ]
    }

    /// Makes the plan effective, in place of the former one. Its operations are counted anew.
    pub fn arm(&self, plan: &Plan) {
        self.disarm();
        let mut suffix = [0; SUFFIX_BYTES];
        suffix[..plan.file.len()].copy_from_slice(plan.file.as_bytes());
        self.control.write_all_at(&suffix, word::SUFFIX * 8).unwrap();
        let kinds = plan.operations.iter().fold(0, |kinds, operation| kinds | 1 << *operation as u64);
        let error = plan.error.map_or(0, |error| u64::try_from(error.raw_os_error()).unwrap());
        for (word, value) in [
            (word::KINDS, kinds),
            (word::FIRST, plan.first),
            (word::COUNT, plan.count),
            (word::ERROR, error),
            (word::MATCHED, 0),
            (word::FAILED, 0),
            (word::LOST, 0),
            (word::IS_HELD, plan.is_held.into()),
            (word::DELAY_US, plan.delay_us),
            // The last: then all of the plan stands there.
            (word::IS_ARMED, 1),
        ] {
            self.set(word, value);
        }
    }

    /// Nothing fails and nothing waits from now on. The counts stay as they are.
    pub fn disarm(&self) {
        self.set(word::IS_ARMED, 0);
        self.set(word::IS_HELD, 0);
    }

    /// How many operations the plan was about since it was armed.
    pub fn matched(&self) -> u64 {
        self.get(word::MATCHED)
    }

    /// How many operations have failed since the plan was armed.
    pub fn failed(&self) -> u64 {
        self.get(word::FAILED)
    }

    /// How many pages have lost their content since the plan was armed.
    pub fn lost_pages(&self) -> u64 {
        self.get(word::LOST)
    }

    /// How many operations of this kind there were in all.
    pub fn count(&self, operation: Operation) -> u64 {
        self.get(word::COUNTS + operation as u64)
    }

    /// Waits until a sync of the plan is held.
    pub fn until_held(&self) {
        until("a sync waits", || (self.get(word::WAITING) > 0).then_some(()));
    }

    fn get(&self, word: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, word * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, word: u64, value: u64) {
        self.control.write_all_at(&value.to_ne_bytes(), word * 8).unwrap();
    }
}

fn library(folder: &Path) -> PathBuf {
    folder.join("faults.so")
}

fn control(folder: &Path) -> PathBuf {
    folder.join("control")
}
