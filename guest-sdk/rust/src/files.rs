//! Files: named blobs that outlive the execution, with a content type.
//!
//! They are the host's own; nothing of its disk is seen. `this.files()` reaches those that the execution's permissions reach.
//! Names may hold slashes.
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Visit {
//!     who: String,
//! }
//!
//! #[flow]
//! fn visit(this: &Execution, visit: Input<Visit>) -> Result<Outputs, FlowError> {
//!     this.files().append("visitors.txt", format!("{}\n", visit.who))?;
//!     let visitors = this.files().read_to_string("visitors.txt")?;
//!     Ok(Outputs::new().set("visitors", visitors.lines().count()))
//! }
//!
//! let this = Execution::for_test().with_file("visitors.txt", "Ada\n");
//! assert_eq!(visit(&this, Input::new(Visit { who: "Grace".into() })).unwrap().get("visitors").unwrap(), 2);
//! assert_eq!(this.files_saved()["visitors.txt"], b"Ada\nGrace\n");
//! ```
//!
//! What a flow reads is part of its execution's journal, so that it reads the same when it is run again after a crash; it
//! counts against the journal's budget, 16 MiB unless the host is configured otherwise.
//!
//! Every function is refused with `access.forbidden` where a permission is missing, and with `record.invalid` where a name
//! is empty, longer than 128 characters or begins or ends with a blank.

use std::time::SystemTime;

use crate::HostError;
use crate::backend::Backend;

/// As many bytes as the host gives at once.
const BYTES_AT_ONCE: u64 = 4 << 20;

/// As many files as the host lists at once.
const FILES_AT_ONCE: u32 = 1000;

/// The files that an execution reaches, from [`Execution::files`](crate::Execution::files).
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    pub(crate) backend: &'a Backend,
}

/// What is known of a file without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, such as `text/csv`.
    pub content_type: Option<String>,
    /// When it was last changed.
    pub modified_at: SystemTime,
}

impl Files<'_> {
    /// What is known of a file, or none where there is no such file.
    pub fn stat(&self, name: &str) -> Result<Option<FileInfo>, HostError> {
        self.backend.file_info(name)
    }

    /// The whole content. It is read in pieces of 4 MiB: a larger file that others change meanwhile may be half the one and
    /// half the other.
    ///
    /// Refused with `files.not-found`.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, HostError> {
        let mut content = self.read_range(name, 0, BYTES_AT_ONCE)?;
        let mut piece = content.len();
        while piece as u64 == BYTES_AT_ONCE {
            let more = self.read_range(name, content.len() as u64, BYTES_AT_ONCE)?;
            piece = more.len();
            content.extend(more);
        }
        Ok(content)
    }

    /// The whole content, which must be UTF-8.
    ///
    /// Refused as [`read`](Self::read) is, and with `files.not-text`.
    pub fn read_to_string(&self, name: &str) -> Result<String, HostError> {
        let not_text = |error| HostError::new("files.not-text", format_args!("file `{name}`: {error}"));
        String::from_utf8(self.read(name)?).map_err(not_text)
    }

    /// The bytes from `offset` on, at most `length` and at most 4 MiB; fewer where the file ends, none behind its end.
    ///
    /// Refused with `files.not-found`.
    pub fn read_range(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>, HostError> {
        self.backend.file_bytes(name, offset, length)
    }

    /// Makes the file or replaces its content. The content type stays.
    ///
    /// Refused with `record.readonly`, with `record.name-taken` where there is a file of the name that the execution may not
    /// read, and with `files.too-large` beyond the host's limit.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.backend.write_file(name, content.as_ref(), None)
    }

    /// Makes the file or replaces its content and its content type, such as `text/csv`.
    ///
    /// Refused as [`write`](Self::write) is.
    pub fn write_with_type(&self, name: &str, content: impl AsRef<[u8]>, content_type: &str) -> Result<(), HostError> {
        self.backend.write_file(name, content.as_ref(), Some(content_type))
    }

    /// Adds bytes to the end of the file, which is made where there is none. Gives its size then.
    ///
    /// Refused as [`write`](Self::write) is.
    pub fn append(&self, name: &str, content: impl AsRef<[u8]>) -> Result<u64, HostError> {
        self.backend.append_file(name, content.as_ref())
    }

    /// All files whose names begin with `prefix`, in the order of their names.
    pub fn list(&self, prefix: &str) -> Result<Vec<FileInfo>, HostError> {
        let mut files: Vec<FileInfo> = Vec::new();
        loop {
            let after = files.last().map(|file| file.name.as_str());
            let page = self.backend.file_list(prefix, after, FILES_AT_ONCE)?;
            let is_last = page.len() < FILES_AT_ONCE as usize;
            files.extend(page);
            if is_last {
                return Ok(files);
            }
        }
    }

    /// Deletes the file for good. Gives whether there was one.
    ///
    /// Refused with `record.readonly`.
    pub fn delete(&self, name: &str) -> Result<bool, HostError> {
        self.backend.delete_file(name)
    }
}
