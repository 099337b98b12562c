//! What a flow returns.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::FlowError;

/// A flow's outputs: a JSON object, its members in the order in which they were set.
///
/// ```
/// use flowhost_guest::{Outputs, json};
///
/// let built = Outputs::new().set("greeting", "hello").set("length", 5);
/// assert_eq!(built, Outputs::from(json!({ "greeting": "hello", "length": 5 })));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs(Map<String, Value>);

impl Outputs {
    /// No outputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The outputs that a struct or a map serialises to. Anything that gives no JSON object is refused.
    pub fn of(value: &impl Serialize) -> Result<Self, FlowError> {
        match serde_json::to_value(value)? {
            Value::Object(members) => Ok(Self(members)),
            other => Err(FlowError::new(format_args!("outputs are a JSON object, not `{other}`"))),
        }
    }

    /// The same outputs with one more, or with another value for one.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The outputs as JSON.
    pub(crate) fn into_json(self) -> Result<String, FlowError> {
        Ok(serde_json::to_string(&self.0)?)
    }

    /// One output, if it is set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl From<Map<String, Value>> for Outputs {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

/// An object gives its members, null gives none; any other value is the one output `value`.
impl From<Value> for Outputs {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            Value::Null => Self::new(),
            other => Self::new().set("value", other),
        }
    }
}

impl From<Outputs> for Value {
    fn from(outputs: Outputs) -> Self {
        Self::Object(outputs.0)
    }
}

/// The outputs as JSON.
impl fmt::Display for Outputs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        formatter.write_str(&json)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_struct_gives_its_fields() {
        #[derive(Serialize)]
        struct Total {
            total: u32,
        }
        assert_eq!(Outputs::of(&Total { total: 3 }).unwrap().to_string(), r#"{"total":3}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(Outputs::of(&[1, 2]).unwrap_err().message(), "outputs are a JSON object, not `[1,2]`");
    }

    #[test]
    fn any_json_value_has_its_outputs() {
        assert_eq!(Outputs::from(json!(null)), Outputs::new());
        assert_eq!(Outputs::from(json!([1])).to_string(), r#"{"value":[1]}"#);
        assert_eq!(Outputs::from(json!({"z": 1, "a": 2})).to_string(), r#"{"z":1,"a":2}"#);
    }
}
