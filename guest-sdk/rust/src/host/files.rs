//! The files that the host keeps.

use std::time::{Duration, SystemTime};

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::files;
use crate::files::FileInfo;

impl Backend {
    pub(crate) fn file_info(&self, name: &str) -> Result<Option<FileInfo>, HostError> {
        Ok(files::stat(name)?.map(FileInfo::from))
    }

    pub(crate) fn file_bytes(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>, HostError> {
        Ok(files::read(name, offset, length)?)
    }

    pub(crate) fn write_file(&self, name: &str, content: &[u8], content_type: Option<&str>) -> Result<(), HostError> {
        Ok(files::write(name, content, content_type)?)
    }

    pub(crate) fn append_file(&self, name: &str, content: &[u8]) -> Result<u64, HostError> {
        Ok(files::append(name, content)?)
    }

    pub(crate) fn file_list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<FileInfo>, HostError> {
        Ok(files::list(prefix, after, limit)?.into_iter().map(FileInfo::from).collect())
    }

    pub(crate) fn delete_file(&self, name: &str) -> Result<bool, HostError> {
        Ok(files::delete(name)?)
    }
}

impl From<files::FileInfo> for FileInfo {
    fn from(info: files::FileInfo) -> Self {
        let files::FileInfo { name, size, content_type, modified_at } = info;
        let modified_at = SystemTime::UNIX_EPOCH + Duration::from_micros(modified_at);
        Self { name, size, content_type, modified_at }
    }
}
