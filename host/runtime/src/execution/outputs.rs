//! The outputs of an execution: what it set while it ran, and what it returned.

use flowhost_model::RawValue;
use indexmap::IndexMap;

/// Named outputs in the order of their first setting, within a budget of bytes.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    values: IndexMap<String, Output>,
    bytes: usize,
}

#[derive(Debug)]
enum Output {
    Value(Box<RawValue>),
    /// A list that grows: its JSON text without the final bracket.
    List(String),
}

impl Output {
    /// Its bytes as JSON.
    fn len(&self) -> usize {
        match self {
            Self::Value(value) => value.get().len(),
            Self::List(list) => list.len() + 1,
        }
    }

    /// The list without its final bracket, and whether it is empty; none where this is no list.
    fn open_list(&self) -> Option<(&str, bool)> {
        let open = match self {
            Self::Value(value) => value.get().starts_with('[').then(|| value.get().strip_suffix(']'))??.trim_end(),
            Self::List(list) => list,
        };
        // Of a list with items the last byte is that of an item.
        Some((open, open.len() == 1))
    }
}

/// Why an output was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("outputs must be JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("outputs must be a JSON object, or null for none; the flow returned {0}")]
    NotAnObject(&'static str),
    #[error("the output `{0}` is not a list that could be added to")]
    NotAList(String),
    #[error("the outputs exceed their budget")]
    TooLarge,
}

impl Outputs {
    /// Sets one output to a JSON text.
    pub(crate) fn set(&mut self, name: String, value: String, budget: usize) -> Result<(), OutputError> {
        fits(&value, budget)?;
        let value = RawValue::from_string(value).map_err(OutputError::NotJson)?;
        self.put(name, Output::Value(value), budget)
    }

    /// Sets those that a JSON object names.
    pub(crate) fn merge(&mut self, values: &str, budget: usize) -> Result<(), OutputError> {
        for (name, value) in members(values, budget)? {
            self.put(name, Output::Value(value), budget)?;
        }
        Ok(())
    }

    /// Puts the members of a JSON object in place of all.
    pub(crate) fn replace(&mut self, values: &str, budget: usize) -> Result<(), OutputError> {
        let values = members(values, budget)?;
        *self = Self::default();
        values.into_iter().try_for_each(|(name, value)| self.put(name, Output::Value(value), budget))
    }

    /// Adds a JSON text to the end of a list.
    pub(crate) fn append(&mut self, name: String, value: String, budget: usize) -> Result<(), OutputError> {
        fits(&value, budget)?;
        let value = RawValue::from_string(value).map_err(OutputError::NotJson)?;
        let value = value.get();
        match self.values.get_mut(&name) {
            None => self.put(name, Output::List(format!("[{value}")), budget),
            Some(output) => {
                let before = output.len();
                let Some((open, is_empty)) = output.open_list() else { return Err(OutputError::NotAList(name)) };
                let separator = if is_empty { "" } else { "," };
                let bytes = self.bytes - before + open.len() + separator.len() + value.len() + 1;
                if bytes > budget {
                    return Err(OutputError::TooLarge);
                }
                self.bytes = bytes;
                match output {
                    // In place: what a flow adds up one by one is not copied each time.
                    Output::List(list) => list.extend([separator, value]),
                    Output::Value(_) => *output = Output::List([open, separator, value].concat()),
                }
                Ok(())
            }
        }
    }

    fn put(&mut self, name: String, value: Output, budget: usize) -> Result<(), OutputError> {
        let former = self.values.get(&name).map_or(0, |former| name.len() + former.len());
        let bytes = self.bytes - former + name.len() + value.len();
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
        let mut json = String::with_capacity(self.bytes + self.values.len() * 4 + 2);
        json.push('{');
        for (name, value) in &self.values {
            if json.len() > 1 {
                json.push(',');
            }
            // A text is always JSON.
            json.push_str(&serde_json::to_string(name).unwrap_or_default());
            json.push(':');
            match value {
                Output::Value(value) => json.push_str(value.get()),
                Output::List(list) => json.extend([list, "]"]),
            }
        }
        json.push('}');
        RawValue::from_string(json).unwrap_or_else(|_| empty_object())
    }

    /// The outputs with the returned JSON text merged over them.
    pub(crate) fn merge_returned(&mut self, returned: String, budget: usize) -> Result<Box<RawValue>, OutputError> {
        let returned = RawValue::from_string(returned).map_err(OutputError::NotJson)?;
        match returned.get().as_bytes().first() {
            Some(b'{') if self.values.is_empty() => Ok(returned),
            Some(b'{') => {
                self.merge(returned.get(), budget)?;
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

/// Refuses a text that is larger than all outputs may be, before it is parsed.
fn fits(json: &str, budget: usize) -> Result<(), OutputError> {
    if json.len() > budget { Err(OutputError::TooLarge) } else { Ok(()) }
}

/// The members of a JSON object, in their order.
fn members(object: &str, budget: usize) -> Result<IndexMap<String, Box<RawValue>>, OutputError> {
    fits(object, budget)?;
    serde_json::from_str(object).map_err(OutputError::NotJson)
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

    #[test]
    fn several_are_set_or_replaced_at_once() {
        let mut outputs = outputs(&[("a", "1"), ("b", "2")]);
        outputs.merge(r#"{"b": 3, "c": [1.50]}"#, 1000).unwrap();
        assert_eq!(outputs.to_json().get(), r#"{"a":1,"b":3,"c":[1.50]}"#);
        for wrong in ["[]", "null", "{", "", "1"] {
            assert!(matches!(outputs.merge(wrong, 1000), Err(OutputError::NotJson(_))), "{wrong}");
            assert!(matches!(outputs.replace(wrong, 1000), Err(OutputError::NotJson(_))), "{wrong}");
        }
        outputs.replace(r#"{"d":4}"#, 7).unwrap();
        assert_eq!((outputs.to_json().get(), outputs.bytes), (r#"{"d":4}"#, 2));
        assert!(matches!(outputs.replace(r#"{"d":4}"#, 6), Err(OutputError::TooLarge)));
        // Nobody looks whether it is JSON.
        for wrong in ["{".repeat(8), "x".repeat(8)] {
            assert!(matches!(outputs.merge(&wrong, 7), Err(OutputError::TooLarge)));
            assert!(matches!(outputs.set("d".into(), wrong.clone(), 7), Err(OutputError::TooLarge)));
            assert!(matches!(outputs.append("d".into(), wrong, 7), Err(OutputError::TooLarge)));
        }
    }

    #[test]
    fn a_list_grows_at_its_end() {
        let mut outputs = outputs(&[("empty", "[ ]"), ("some", "[1, [] ]"), ("text", "\"[]\""), ("object", "{}")]);
        for name in ["new", "empty", "some"] {
            outputs.append(name.into(), " {\"x\" : 1} ".into(), 1000).unwrap();
            outputs.append(name.into(), "2".into(), 1000).unwrap();
        }
        for name in ["text", "object"] {
            assert!(matches!(outputs.append(name.into(), "1".into(), 1000), Err(OutputError::NotAList(_))));
        }
        assert!(matches!(outputs.append("new".into(), "1 2".into(), 1000), Err(OutputError::NotJson(_))));
        let json = outputs.to_json();
        let expected =
            r#"{"empty":[{"x" : 1},2],"some":[1, [],{"x" : 1},2],"text":"[]","object":{},"new":[{"x" : 1},2]}"#;
        assert_eq!(json.get(), expected);
        // What it costs is what it is as JSON, however it came about.
        let before = outputs.bytes;
        for name in ["new", "empty", "some"] {
            let whole: IndexMap<String, Box<RawValue>> = serde_json::from_str(json.get()).unwrap();
            outputs.set(name.into(), whole[name].get().into(), 1000).unwrap();
        }
        assert_eq!(outputs.bytes, before);
        assert!(matches!(outputs.append("new".into(), "1".into(), before + 1), Err(OutputError::TooLarge)));
        outputs.append("new".into(), "1".into(), before + 2).unwrap();
    }
}
