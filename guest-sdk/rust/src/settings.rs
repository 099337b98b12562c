//! Settings: named JSON values that outlive the execution.
//!
//! They hold configuration that people write, and state that flows keep. `this.settings()` reaches those that the
//! execution's permissions reach.
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Outputs, flow, json};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Shop {
//!     currency: String,
//! }
//!
//! #[flow]
//! fn invoice(this: &Execution) -> Result<Outputs, FlowError> {
//!     let shop: Shop = this.settings().get("shop")?.ok_or_else(|| FlowError::new("there is no setting `shop`"))?;
//!     let number = this.settings().increment("shop.invoices", 1)?;
//!     Ok(Outputs::new().set("invoice", format!("{number} in {}", shop.currency)))
//! }
//!
//! let this = Execution::for_test().with_setting("shop", json!({ "currency": "EUR" })).with_setting("shop.invoices", 41);
//! assert_eq!(invoice(&this).unwrap().get("invoice").unwrap(), "42 in EUR");
//! assert_eq!(this.settings_saved()["shop.invoices"], 42);
//! ```
//!
//! Every function is refused with `access.forbidden` where a permission is missing, and with `record.invalid` where a name
//! is empty, longer than 128 characters or begins or ends with a blank. Who would write to a setting that the
//! execution may not read is refused with `record.name-taken`. A setting named `client.webhook.` and more is a webhook: any other
//! value is `record.invalid`, and the permissions for webhooks are needed, too.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HostError;
use crate::backend::Backend;
use crate::crossing::{from_json, to_json};

/// As many names as the host gives at once.
const NAMES_AT_ONCE: u32 = 1000;

/// The settings that an execution reaches, from [`Execution::settings`](crate::Execution::settings).
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub(crate) backend: &'a Backend,
}

impl Settings<'_> {
    /// The value of a setting, or none where there is no such setting. The key of a setting that is a webhook is masked.
    ///
    /// Refused with `json.invalid` where the value cannot be read as a `T`; `serde_json::Value` reads any.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, HostError> {
        let value = self.backend.setting(name)?;
        value.map(|json| from_json(called(name), &json)).transpose()
    }

    /// Whether there is a setting of this name.
    pub fn exists(&self, name: &str) -> Result<bool, HostError> {
        self.backend.setting_exists(name)
    }

    /// The names of all settings that begin with `prefix`, in their order.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>, HostError> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let page = self.backend.setting_names(prefix, names.last().map(String::as_str), NAMES_AT_ONCE)?;
            let is_last = page.len() < NAMES_AT_ONCE as usize;
            names.extend(page);
            if is_last {
                return Ok(names);
            }
        }
    }

    /// Makes the setting or replaces its value.
    ///
    /// Refused with `json.invalid` where the value cannot be written as JSON, with `record.readonly`, and with
    /// `request.too-large` beyond 1 MiB.
    pub fn save(&self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), HostError> {
        self.backend.save_setting(name, &to_json(called(name), value)?)
    }

    /// Deletes the setting for good. Gives whether there was one.
    ///
    /// Refused with `record.readonly`.
    pub fn delete(&self, name: &str) -> Result<bool, HostError> {
        self.backend.delete_setting(name)
    }

    /// Replaces the value of the setting if it is `expected`, where none stands for no such setting: as a value, none
    /// deletes it. Values are compared whole, and as JSON: neither blanks nor the order of members matter. Gives whether it
    /// was replaced.
    ///
    /// Refused as [`save`](Self::save) is.
    ///
    /// Of several executions that take a lock, one gets it:
    ///
    /// ```
    /// # let this = flowhost_guest::Execution::for_test();
    /// let me = this.id();
    /// if this.settings().compare_and_set("stock.lock", None, Some(&me))? {
    ///     this.info("the stock is mine");
    ///     this.settings().compare_and_set("stock.lock", Some(&me), None)?;
    /// }
    /// # Ok::<(), flowhost_guest::HostError>(())
    /// ```
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &self,
        name: &str,
        expected: Option<&T>,
        value: Option<&T>,
    ) -> Result<bool, HostError> {
        let expected = expected.map(|expected| to_json(called(name), expected)).transpose()?;
        let value = value.map(|value| to_json(called(name), value)).transpose()?;
        self.backend.compare_and_set_setting(name, expected.as_deref(), value.as_deref())
    }

    /// Adds to the whole number in the setting, which counts as 0 where there is no such setting, and gives the sum.
    ///
    /// Refused with `settings.not-a-number` where its value is not a whole number of 64 bits, or the sum is not; and as
    /// [`save`](Self::save) is.
    pub fn increment(&self, name: &str, by: i64) -> Result<i64, HostError> {
        self.backend.increment_setting(name, by)
    }
}

fn called(name: &str) -> String {
    format!("setting `{name}`")
}
