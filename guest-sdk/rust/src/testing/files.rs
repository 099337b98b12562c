//! Files in memory, by the rules of the host.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::SystemTime;

use super::Backend;
use crate::files::FileInfo;
use crate::{Execution, HostError};

/// The longest name, in characters.
const LONGEST_NAME: usize = 128;

/// The largest file, in bytes: as a host has it that is not configured otherwise.
const LARGEST_FILE: usize = 64 << 20;

/// The most bytes that are read at once.
const LARGEST_PIECE: u64 = 4 << 20;

#[derive(Clone, Debug)]
pub(crate) struct File {
    content: Vec<u8>,
    content_type: Option<String>,
    modified_at: SystemTime,
}

impl File {
    fn info(&self, name: &str) -> FileInfo {
        let Self { content, content_type, modified_at } = self;
        let (size, content_type) = (content.len() as u64, content_type.clone());
        FileInfo { name: name.into(), size, content_type, modified_at: *modified_at }
    }
}

/// Tests: native only.
impl Execution {
    /// The same execution with a file.
    #[must_use]
    pub fn with_file(self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        let modified_at = self.backend.now();
        let file = File { content: content.into(), content_type: None, modified_at };
        self.backend.files.borrow_mut().insert(name.into(), file);
        self
    }

    /// The content of all files as they stand now.
    pub fn files_saved(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.backend.files.borrow();
        files.iter().map(|(name, file)| (name.clone(), file.content.clone())).collect()
    }
}

impl Backend {
    pub(crate) fn file_info(&self, name: &str) -> Result<Option<FileInfo>, HostError> {
        checked(name)?;
        Ok(self.files.borrow().get(name).map(|file| file.info(name)))
    }

    pub(crate) fn file_bytes(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>, HostError> {
        checked(name)?;
        let files = self.files.borrow();
        let missing = || HostError::new("files.not-found", format_args!("there is no file `{name}`"));
        let content = &files.get(name).ok_or_else(missing)?.content;
        let size = content.len() as u64;
        let end = offset.saturating_add(length.min(LARGEST_PIECE)).min(size);
        Ok(content[offset.min(end) as usize..end as usize].to_vec())
    }

    pub(crate) fn write_file(&self, name: &str, content: &[u8], content_type: Option<&str>) -> Result<(), HostError> {
        checked(name)?;
        fits(name, content.len())?;
        let mut files = self.files.borrow_mut();
        let kept_type = files.get(name).and_then(|file| file.content_type.clone());
        let content_type = content_type.map(str::to_owned).or(kept_type);
        files.insert(name.into(), File { content: content.into(), content_type, modified_at: self.now() });
        Ok(())
    }

    pub(crate) fn append_file(&self, name: &str, content: &[u8]) -> Result<u64, HostError> {
        checked(name)?;
        let mut files = self.files.borrow_mut();
        fits(name, files.get(name).map_or(0, |file| file.content.len()).saturating_add(content.len()))?;
        let new = || File { content: Vec::new(), content_type: None, modified_at: self.now() };
        let file = files.entry(name.into()).or_insert_with(new);
        file.content.extend_from_slice(content);
        file.modified_at = self.now();
        Ok(file.content.len() as u64)
    }

    pub(crate) fn file_list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<FileInfo>, HostError> {
        let files = self.files.borrow();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = files.range::<str, _>((start, Bound::Unbounded));
        let named = behind.filter(|(name, _)| name.starts_with(prefix)).take(limit as usize);
        Ok(named.map(|(name, file)| file.info(name)).collect())
    }

    pub(crate) fn delete_file(&self, name: &str) -> Result<bool, HostError> {
        checked(name)?;
        Ok(self.files.borrow_mut().remove(name).is_some())
    }
}

fn checked(name: &str) -> Result<(), HostError> {
    if name.is_empty() || name.trim() != name || name.chars().count() > LONGEST_NAME {
        return Err(HostError::new("record.invalid", format_args!("`{name}` is not the name of a file")));
    }
    Ok(())
}

fn fits(name: &str, size: usize) -> Result<(), HostError> {
    if size > LARGEST_FILE {
        return Err(HostError::new("files.too-large", format_args!("file `{name}` would have {size} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_was_written_and_added() {
        let this = Execution::for_test().with_file("a/b", "one");
        let files = this.files();
        assert_eq!(files.append("a/b", ", two").unwrap(), 8);
        assert_eq!(files.read_to_string("a/b").unwrap(), "one, two");
        assert_eq!(files.read_range("a/b", 5, 2).unwrap(), b"tw");
        assert!(files.read_range("a/b", 8, 1).unwrap().is_empty());
        assert!(files.read_range("a/b", u64::MAX, u64::MAX).unwrap().is_empty());
        files.write_with_type("a/b", [0xff], "image/x").unwrap();
        files.write("a/b", [0xfe]).unwrap();
        let info = files.stat("a/b").unwrap().unwrap();
        assert_eq!((info.size, info.content_type.as_deref()), (1, Some("image/x")));
        assert_eq!(files.read_to_string("a/b").unwrap_err().code(), "files.not-text");
        assert!(files.delete("a/b").unwrap() && !files.delete("a/b").unwrap());
        assert_eq!(files.read("a/b").unwrap_err().code(), "files.not-found");
        assert_eq!(files.stat("a/b").unwrap(), None);
    }

    #[test]
    fn a_large_file_is_read_whole() {
        for size in [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (8 << 20) + 3] {
            let content: Vec<u8> = (0..size).map(|at: u32| (at / 1000) as u8).collect();
            let this = Execution::for_test().with_file("large", content.clone());
            assert!(this.files().read("large").unwrap() == content, "{size}");
        }
    }

    #[test]
    fn all_files_are_listed_in_the_order_of_their_names() {
        let mut this = Execution::for_test().with_file("a", "").with_file("c", "");
        for number in 0..2000 {
            this = this.with_file(&format!("b{number:04}"), "x");
        }
        let listed = this.files().list("b").unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str(), listed[1999].size), (2000, "b0000", 1));
        assert_eq!(this.files().list("").unwrap().len(), 2002);
    }

    #[test]
    fn names_and_sizes_have_their_rules() {
        let this = Execution::for_test().with_file("full", vec![0; LARGEST_FILE]);
        for name in ["", " a", "a ", &"n".repeat(LONGEST_NAME + 1)] {
            assert_eq!(this.files().write(name, "").unwrap_err().code(), "record.invalid");
            assert_eq!(this.files().stat(name).unwrap_err().code(), "record.invalid");
        }
        assert_eq!(this.files().append("full", "x").unwrap_err().code(), "files.too-large");
        assert_eq!(this.files().append("full", "").unwrap(), LARGEST_FILE as u64);
    }
}
