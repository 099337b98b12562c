//! The outputs of an execution: what it set while it ran, and what it returned.

use flowhost_model::RawValue;
use indexmap::IndexMap;

/// Named outputs in the order of their first setting, within a budget of bytes.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    values: IndexMap<String, Box<RawValue>>,
    bytes: usize,
}

/// Why an output was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("outputs must be JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("outputs must be a JSON object, or null for none; the flow returned {0}")]
    NotAnObject(&'static str),
    #[error("the outputs exceed their budget")]
    TooLarge,
}

impl Outputs {
    /// Sets one output to a JSON text.
    pub(crate) fn set(&mut self, name: String, value: String, budget: usize) -> Result<(), OutputError> {
        let value = RawValue::from_string(value).map_err(OutputError::NotJson)?;
        self.put(name, value, budget)
    }

    fn put(&mut self, name: String, value: Box<RawValue>, budget: usize) -> Result<(), OutputError> {
        let former = self.values.get(&name).map_or(0, |former| name.len() + former.get().len());
        let bytes = self.bytes - former + name.len() + value.get().len();
        if bytes > budget {
            return Err(OutputError::TooLarge);
        }
        self.bytes = bytes;
        self.values.insert(name, value);
        Ok(())
    }

    /// The outputs as one JSON object.
    pub(crate) fn to_json(&self) -> Box<RawValue> {
        if self.values.is_empty() {
            return empty_object();
        }
        serde_json::value::to_raw_value(&self.values).unwrap_or_else(|_| empty_object())
    }

    /// The outputs with the returned JSON text merged over them.
    pub(crate) fn merge_returned(&mut self, returned: String, budget: usize) -> Result<Box<RawValue>, OutputError> {
        let returned = RawValue::from_string(returned).map_err(OutputError::NotJson)?;
        match returned.get().as_bytes().first() {
            Some(b'{') if self.values.is_empty() => Ok(returned),
            Some(b'{') => {
                let returned: IndexMap<String, Box<RawValue>> =
                    serde_json::from_str(returned.get()).map_err(OutputError::NotJson)?;
                for (name, value) in returned {
                    self.put(name, value, budget)?;
                }
                Ok(self.to_json())
            }
            Some(b'n') => Ok(self.to_json()),
            Some(b'[') => Err(OutputError::NotAnObject("an array")),
            Some(b'"') => Err(OutputError::NotAnObject("a string")),
            Some(b't' | b'f') => Err(OutputError::NotAnObject("a boolean")),
            _ => Err(OutputError::NotAnObject("a number")),
        }
    }
}

/// `{}`.
pub(crate) fn empty_object() -> Box<RawValue> {
    // A constant that is JSON.
    RawValue::from_string("{}".into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(values: &[(&str, &str)]) -> Outputs {
        let mut outputs = Outputs::default();
        for (name, value) in values {
            outputs.set((*name).into(), (*value).into(), 1000).unwrap();
        }
        outputs
    }

    #[test]
    fn what_is_returned_goes_over_what_was_set() {
        let mut outputs = outputs(&[("a", "1"), ("b", "2.50")]);
        let merged = outputs.merge_returned(r#"{"a": {"x" : 1},"c":3}"#.into(), 1000).unwrap();
        assert_eq!(merged.get(), r#"{"a":{"x" : 1},"b":2.50,"c":3}"#);
    }

    #[test]
    fn null_is_no_outputs_and_a_list_is_refused() {
        assert_eq!(outputs(&[]).merge_returned("null".into(), 1000).unwrap().get(), "{}");
        assert_eq!(outputs(&[("a", "1")]).merge_returned("null".into(), 1000).unwrap().get(), r#"{"a":1}"#);
        assert!(matches!(outputs(&[]).merge_returned("[1]".into(), 1000), Err(OutputError::NotAnObject("an array"))));
        assert!(matches!(outputs(&[]).merge_returned("{".into(), 1000), Err(OutputError::NotJson(_))));
    }

    #[test]
    fn a_value_that_is_replaced_gives_its_room_back() {
        let mut outputs = Outputs::default();
        for _ in 0..100 {
            outputs.set("a".into(), "\"12345678\"".into(), 11).unwrap();
        }
        assert!(matches!(outputs.set("b".into(), "1".into(), 11), Err(OutputError::TooLarge)));
    }
}
