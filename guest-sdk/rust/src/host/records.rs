//! The records that the host keeps.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::records;
use crate::records::{Page, RecordRef};

impl Backend {
    pub(crate) fn record(&self, record_type: &str, which: RecordRef<'_>) -> Result<String, HostError> {
        Ok(records::get(record_type, &which.into())?)
    }

    pub(crate) fn record_exists(&self, record_type: &str, which: RecordRef<'_>) -> Result<bool, HostError> {
        Ok(records::exists(record_type, &which.into())?)
    }

    pub(crate) fn record_page(
        &self,
        record_type: &str,
        filter: Option<&str>,
        order: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, HostError> {
        let records::Page { records, next } = records::list(record_type, filter, order, after, limit)?;
        Ok(Page { records, next })
    }

    pub(crate) fn create_record(&self, record_type: &str, json: &str) -> Result<String, HostError> {
        Ok(records::create(record_type, json)?)
    }

    pub(crate) fn update_record(
        &self,
        record_type: &str,
        which: RecordRef<'_>,
        json: &str,
    ) -> Result<String, HostError> {
        Ok(records::update(record_type, &which.into(), json)?)
    }

    pub(crate) fn delete_record(
        &self,
        record_type: &str,
        which: RecordRef<'_>,
        is_permanent: bool,
    ) -> Result<(), HostError> {
        Ok(records::delete(record_type, &which.into(), is_permanent)?)
    }
}

impl From<RecordRef<'_>> for records::RecordRef {
    fn from(which: RecordRef<'_>) -> Self {
        match which {
            RecordRef::Name(name) => Self::Name(name.to_owned()),
            RecordRef::Id(id) => Self::Id(id.to_owned()),
        }
    }
}
