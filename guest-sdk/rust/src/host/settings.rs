//! The settings that the host gives.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::settings;

impl Backend {
    pub(crate) fn setting(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(settings::get(name)?)
    }

    pub(crate) fn setting_exists(&self, name: &str) -> Result<bool, HostError> {
        Ok(settings::exists(name)?)
    }

    pub(crate) fn setting_names(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, HostError> {
        Ok(settings::names(prefix, after, limit)?)
    }

    pub(crate) fn save_setting(&self, name: &str, json: &str) -> Result<(), HostError> {
        Ok(settings::save(name, json)?)
    }

    pub(crate) fn delete_setting(&self, name: &str) -> Result<bool, HostError> {
        Ok(settings::delete(name)?)
    }

    pub(crate) fn compare_and_set_setting(
        &self,
        name: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, HostError> {
        Ok(settings::compare_and_set(name, expected, new)?)
    }

    pub(crate) fn increment_setting(&self, name: &str, by: i64) -> Result<i64, HostError> {
        Ok(settings::increment(name, by)?)
    }
}
