//! Settings in memory, by the rules of the host.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::Value;

use super::{Backend, checked_name};
use crate::crossing::from_json;
use crate::{Execution, HostError};

/// The largest value as JSON, in bytes.
const LARGEST_VALUE: usize = 1024 * 1024;

/// Tests: native only.
impl Execution {
    /// The same execution with a setting.
    #[must_use]
    pub fn with_setting(self, name: &str, value: impl Into<Value>) -> Self {
        self.backend.settings.borrow_mut().insert(name.into(), value.into());
        self
    }

    /// All settings as they stand now.
    pub fn settings_saved(&self) -> BTreeMap<String, Value> {
        self.backend.settings.borrow().clone()
    }
}

impl Backend {
    pub(crate) fn setting(&self, name: &str) -> Result<Option<String>, HostError> {
        checked(name)?;
        Ok(self.settings.borrow().get(name).map(Value::to_string))
    }

    pub(crate) fn setting_exists(&self, name: &str) -> Result<bool, HostError> {
        checked(name)?;
        Ok(self.settings.borrow().contains_key(name))
    }

    pub(crate) fn setting_names(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, HostError> {
        let settings = self.settings.borrow();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = settings.range::<str, _>((start, Bound::Unbounded)).map(|(name, _)| name);
        Ok(names.filter(|name| name.starts_with(prefix)).take(limit as usize).cloned().collect())
    }

    pub(crate) fn save_setting(&self, name: &str, json: &str) -> Result<(), HostError> {
        checked(name)?;
        let value = value(name, json)?;
        self.settings.borrow_mut().insert(name.into(), value);
        Ok(())
    }

    pub(crate) fn delete_setting(&self, name: &str) -> Result<bool, HostError> {
        checked(name)?;
        Ok(self.settings.borrow_mut().remove(name).is_some())
    }

    pub(crate) fn compare_and_set_setting(
        &self,
        name: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, HostError> {
        checked(name)?;
        let expected = expected.map(|json| value(name, json)).transpose()?;
        let new = new.map(|json| value(name, json)).transpose()?;
        let mut settings = self.settings.borrow_mut();
        if settings.get(name) != expected.as_ref() {
            return Ok(false);
        }
        match new {
            Some(new) => settings.insert(name.into(), new),
            None => settings.remove(name),
        };
        Ok(true)
    }

    pub(crate) fn increment_setting(&self, name: &str, by: i64) -> Result<i64, HostError> {
        checked(name)?;
        let mut settings = self.settings.borrow_mut();
        let number = settings.get(name).map_or(Some(0), Value::as_i64);
        let sum = number.and_then(|number| number.checked_add(by)).ok_or_else(|| {
            let message = format_args!("setting `{name}`: neither it nor the sum may be other than a whole number");
            HostError::new("settings.not-a-number", message)
        })?;
        settings.insert(name.into(), sum.into());
        Ok(sum)
    }
}

fn checked(name: &str) -> Result<(), HostError> {
    checked_name("a setting", name)
}

fn value(name: &str, json: &str) -> Result<Value, HostError> {
    if json.len() > LARGEST_VALUE {
        return Err(HostError::new("request.too-large", format_args!("setting `{name}` is larger than 1 MiB")));
    }
    from_json(format_args!("setting `{name}`"), json)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::super::LONGEST_NAME;
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Shop {
        currency: String,
    }

    #[test]
    fn a_setting_is_what_was_saved_last() {
        let this = Execution::for_test().with_setting("shop", json!({ "currency": "EUR" }));
        let settings = this.settings();
        assert_eq!(settings.get::<Shop>("shop").unwrap(), Some(Shop { currency: "EUR".into() }));
        assert_eq!(settings.get::<Shop>("stock").unwrap(), None);
        settings.save("shop", &json!({ "currency": "CHF" })).unwrap();
        settings.save("note", "text").unwrap();
        assert_eq!(settings.get::<Shop>("shop").unwrap().unwrap().currency, "CHF");
        assert!(settings.exists("note").unwrap() && settings.delete("note").unwrap());
        assert!(!settings.exists("note").unwrap() && !settings.delete("note").unwrap());
        assert_eq!(this.settings_saved(), BTreeMap::from([("shop".into(), json!({ "currency": "CHF" }))]));
    }

    #[test]
    fn a_setting_may_be_null() {
        let this = Execution::for_test().with_setting("odd", Value::Null);
        assert_eq!(this.settings().get::<Value>("odd").unwrap(), Some(Value::Null));
        assert_eq!(this.settings().get::<Option<u8>>("odd").unwrap(), Some(None));
        assert_eq!(this.settings().get::<Value>("none").unwrap(), None);
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_its_place() {
        let this = Execution::for_test().with_setting("shop", json!({ "currency": 3 }));
        let refused = this.settings().get::<Shop>("shop").unwrap_err();
        assert_eq!(refused.code(), "json.invalid");
        assert!(refused.message().starts_with("setting `shop`: `currency`: invalid type"), "{refused}");
    }

    #[test]
    fn all_names_come_in_their_order() {
        let mut this = Execution::for_test().with_setting("a", 0).with_setting("c", 0);
        for number in 0..2500 {
            this = this.with_setting(&format!("b{number:04}"), number);
        }
        let names = this.settings().names("b").unwrap();
        assert_eq!((names.len(), names[0].as_str(), names[2499].as_str()), (2500, "b0000", "b2499"));
        assert!(names.is_sorted());
        assert_eq!(this.settings().names("").unwrap().len(), 2502);
        assert!(this.settings().names("d").unwrap().is_empty());
    }

    #[test]
    fn a_full_last_page_is_followed_by_none() {
        let mut this = Execution::for_test();
        for number in 0..2000 {
            this = this.with_setting(&number.to_string(), number);
        }
        assert_eq!(this.settings().names("").unwrap().len(), 2000);
    }

    #[test]
    fn a_value_is_replaced_only_where_it_is_the_expected() {
        let this = Execution::for_test();
        let settings = this.settings();
        assert!(settings.compare_and_set("lock", None, Some("me")).unwrap());
        assert!(!settings.compare_and_set("lock", None, Some("you")).unwrap());
        assert!(!settings.compare_and_set("lock", Some("you"), None).unwrap());
        assert!(settings.compare_and_set("lock", Some("me"), None).unwrap());
        assert!(!settings.exists("lock").unwrap());
        settings.save("pair", &json!({ "a": 1, "b": 2 })).unwrap();
        assert!(settings.compare_and_set("pair", Some(&json!({ "b": 2, "a": 1 })), Some(&json!(3))).unwrap());
        assert_eq!(this.settings_saved()["pair"], 3);
    }

    #[test]
    fn a_number_grows_and_shrinks() {
        let this = Execution::for_test().with_setting("text", "7").with_setting("most", i64::MAX);
        let settings = this.settings();
        assert_eq!((settings.increment("count", 5).unwrap(), settings.increment("count", -7).unwrap()), (5, -2));
        for name in ["text", "most"] {
            assert_eq!(settings.increment(name, 1).unwrap_err().code(), "settings.not-a-number");
        }
        assert_eq!(this.settings_saved()["most"], i64::MAX);
    }

    #[test]
    fn names_and_values_have_their_rules() {
        let this = Execution::for_test();
        let settings = this.settings();
        let long = "n".repeat(LONGEST_NAME + 1);
        for name in ["", " a", "a ", &long] {
            assert_eq!(settings.save(name, &1).unwrap_err().code(), "record.invalid");
            assert_eq!(settings.get::<Value>(name).unwrap_err().code(), "record.invalid");
            assert_eq!(settings.increment(name, 1).unwrap_err().code(), "record.invalid");
        }
        settings.save(&long[1..], &1).unwrap();
        let large = "v".repeat(LARGEST_VALUE);
        assert_eq!(settings.save("large", &large).unwrap_err().code(), "request.too-large");
        let odd = BTreeMap::from([(vec![1], 2)]);
        assert_eq!(settings.save("odd", &odd).unwrap_err().code(), "json.invalid");
    }
}
