//! Which records a list holds, and in which order.

use serde::Deserialize;
use serde_json::Value;

use crate::{Access, Kind, LONG_TEXT_BYTES, ORDERED_CHARACTERS, TypeDefinition};

/// How deep groups of a filter may be nested, and how many terms it may have: more than any person writes.
const DEPTH_LIMIT: usize = 8;
const TERM_LIMIT: usize = 100;

/// How many patterns a filter may have, and of how many characters all together: each record of a list is held against all
/// of them, at a cost of a pattern's length times that of the text.
const LIKE_LIMIT: usize = 20;
const LIKE_CHARACTERS: usize = 512;

/// A condition on a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A property compared with a value.
    Term {
        /// The property's name.
        field: &'static str,
        /// What it holds.
        kind: Kind,
        /// How it is compared.
        op: Comparison,
        /// With what. Fits the property.
        value: Value,
    },
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal. `null` is equal to `null`.
    Eq,
    /// Not equal.
    Ne,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// A text like a pattern: `%` stands for any text, `_` for one character; case does not matter for ASCII.
    Like,
    /// One of a list of values.
    In,
    /// Whether it is null: the value is `true` or `false`.
    IsNull,
}

impl Comparison {
    /// The names in filters.
    pub const NAMES: &'static [&'static str] = &["eq", "ne", "lt", "le", "gt", "ge", "like", "in", "is_null"];
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The property's name.
    pub field: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Greatest first.
    pub is_descending: bool,
}

/// Why a filter or an order is refused: the place and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}`: {reason}")]
pub struct InvalidFilter {
    /// Where: `filter.and[1].field`.
    pub place: String,
    /// Why.
    pub reason: String,
}

fn refuse(place: &str, reason: impl Into<String>) -> InvalidFilter {
    InvalidFilter { place: place.to_owned(), reason: reason.into() }
}

impl Filter {
    /// Reads a filter from JSON: a term `{"field", "op", "value"}`, or a group `{"and": […]}`, `{"or": […]}`,
    /// `{"not": …}`.
    pub fn parse(value: &Value, definition: &TypeDefinition) -> Result<Self, InvalidFilter> {
        parse(value, definition, "filter", 0, &mut Cost::default())
    }
}

/// What a filter has cost up to a place in it.
#[derive(Default)]
struct Cost {
    terms: usize,
    patterns: usize,
    pattern_characters: usize,
}

impl Cost {
    /// Adds a pattern. Returns whether the filter may have it.
    fn add_pattern(&mut self, pattern: &str) -> bool {
        self.patterns += 1;
        self.pattern_characters += pattern.chars().count();
        self.patterns <= LIKE_LIMIT && self.pattern_characters <= LIKE_CHARACTERS
    }
}

fn parse(
    value: &Value,
    definition: &TypeDefinition,
    place: &str,
    depth: usize,
    cost: &mut Cost,
) -> Result<Filter, InvalidFilter> {
    cost.terms += 1;
    if depth > DEPTH_LIMIT || cost.terms > TERM_LIMIT {
        return Err(refuse(place, format!("at most {TERM_LIMIT} terms, nested {DEPTH_LIMIT} deep")));
    }
    let Value::Object(members) = value else {
        return Err(refuse(place, "must be an object"));
    };
    let list = |value: &Value, place: &str, cost: &mut Cost| match value {
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(index, item)| parse(item, definition, &format!("{place}[{index}]"), depth + 1, cost))
            .collect(),
        _ => Err(refuse(place, "must be a list that is not empty")),
    };
    if members.len() == 1 {
        if let Some(group) = members.get("and") {
            return list(group, &format!("{place}.and"), cost).map(Filter::And);
        }
        if let Some(group) = members.get("or") {
            return list(group, &format!("{place}.or"), cost).map(Filter::Or);
        }
        if let Some(inner) = members.get("not") {
            let inner = parse(inner, definition, &format!("{place}.not"), depth + 1, cost)?;
            return Ok(Filter::Not(Box::new(inner)));
        }
    }
    if let Some(unknown) = members.keys().find(|name| !matches!(name.as_str(), "field" | "op" | "value")) {
        return Err(refuse(&format!("{place}.{unknown}"), "a term has `field`, `op` and `value`"));
    }
    let name = members.get("field").and_then(Value::as_str);
    let name = name.ok_or_else(|| refuse(&format!("{place}.field"), "must be the name of a property"))?;
    let (field, kind) = column(name, definition, &format!("{place}.field"))?;
    let op = match members.get("op") {
        None => Comparison::Eq,
        Some(op) => Comparison::deserialize(op)
            .map_err(|_| refuse(&format!("{place}.op"), format!("must be one of {}", Comparison::NAMES.join(", "))))?,
    };
    let value = members.get("value").cloned().unwrap_or(Value::Null);
    check_value(kind, op, &value, &format!("{place}.value"))?;
    if let (Comparison::Like, Value::String(pattern)) = (op, &value)
        && !cost.add_pattern(pattern)
    {
        let reason = format!("a filter has at most {LIKE_LIMIT} patterns with {LIKE_CHARACTERS} characters in all");
        return Err(refuse(&format!("{place}.value"), reason));
    }
    Ok(Filter::Term { field, kind, op, value })
}

fn check_value(kind: Kind, op: Comparison, value: &Value, place: &str) -> Result<(), InvalidFilter> {
    let fits = |value: &Value| match kind.refusal(value) {
        Some(reason) => Err(refuse(place, reason)),
        None => Ok(()),
    };
    match (op, value) {
        (Comparison::Eq | Comparison::Ne, Value::Null) | (Comparison::IsNull, Value::Bool(_)) => Ok(()),
        (Comparison::IsNull, _) => Err(refuse(place, "must be true or false")),
        (Comparison::In, Value::Array(values)) if values.len() <= TERM_LIMIT => values.iter().try_for_each(fits),
        (Comparison::In, _) => Err(refuse(place, format!("must be a list of at most {TERM_LIMIT} values"))),
        (Comparison::Like, Value::String(pattern)) if pattern.chars().count() <= crate::NAME_LIMIT => match kind {
            Kind::Text(_) | Kind::LongText | Kind::Enum(_) | Kind::NameOf(_) => Ok(()),
            _ => Err(refuse(place, "only texts are like a pattern")),
        },
        (Comparison::Like, _) => {
            Err(refuse(place, format!("must be a pattern of at most {} characters", crate::NAME_LIMIT)))
        }
        (_, value) => fits(value),
    }
}

/// The property of this name, where it can be compared and sorted by.
fn column(name: &str, definition: &TypeDefinition, place: &str) -> Result<(&'static str, Kind), InvalidFilter> {
    let property = definition.property(name).filter(|property| property.access != Access::WriteOnly);
    let property = property.ok_or_else(|| refuse(place, format!("a {} has no property `{name}`", definition.path)))?;
    if property.is_comparable() {
        return Ok((property.name, property.kind));
    }
    let why = if property.is_derived { " is worked out when it is read; it" } else { "" };
    Err(refuse(place, format!("`{name}`{why} can neither be compared nor sorted by")))
}

impl Filter {
    /// Whether a record as it is read fits the filter.
    pub fn matches(&self, members: &serde_json::Map<String, Value>) -> bool {
        match self {
            Self::And(terms) => terms.iter().all(|term| term.matches(members)),
            Self::Or(terms) => terms.iter().any(|term| term.matches(members)),
            Self::Not(term) => !term.matches(members),
            Self::Term { field, kind, op, value } => {
                compare(*kind, *op, members.get(*field).unwrap_or(&Value::Null), value)
            }
        }
    }
}

fn compare(kind: Kind, op: Comparison, held: &Value, value: &Value) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordering = |value: &Value| order_of(kind, held, value);
    match op {
        Comparison::IsNull => Value::Bool(held.is_null()) == *value,
        Comparison::Eq => is_equal(kind, held, value),
        Comparison::Ne => !is_equal(kind, held, value),
        Comparison::In => value.as_array().is_some_and(|values| values.iter().any(|value| is_equal(kind, held, value))),
        Comparison::Like => match (held, value) {
            (Value::String(held), Value::String(pattern)) => is_like(held, pattern),
            _ => false,
        },
        Comparison::Lt => ordering(value) == Some(Less),
        Comparison::Le => matches!(ordering(value), Some(Less | Equal)),
        Comparison::Gt => ordering(value) == Some(Greater),
        Comparison::Ge => matches!(ordering(value), Some(Greater | Equal)),
    }
}

fn is_equal(kind: Kind, held: &Value, value: &Value) -> bool {
    if held.is_null() || value.is_null() {
        return held.is_null() && value.is_null();
    }
    order_of(kind, held, value).map_or(held == value, std::cmp::Ordering::is_eq)
}

fn order_of(kind: Kind, held: &Value, value: &Value) -> Option<std::cmp::Ordering> {
    match (held, value) {
        (Value::String(held), Value::String(value)) if kind == Kind::Timestamp => {
            Some(held.parse::<crate::Timestamp>().ok()?.cmp(&value.parse().ok()?))
        }
        (Value::String(held), Value::String(value)) if matches!(kind, Kind::Id(_)) => {
            Some(held.parse::<crate::RecordId>().ok()?.cmp(&value.parse().ok()?))
        }
        (Value::String(held), Value::String(value)) => Some(held.cmp(value)),
        (Value::Bool(held), Value::Bool(value)) => Some(held.cmp(value)),
        (Value::Number(held), Value::Number(value)) => Some(held.as_u64()?.cmp(&value.as_u64()?)),
        _ => None,
    }
}

/// SQL's `LIKE`: `%` is any text, `_` one character, ASCII letters are alike in both cases.
fn is_like(text: &str, pattern: &str) -> bool {
    // What an earlier version of this program took may be longer than any text is now.
    let text = text.chars().take(LONG_TEXT_BYTES);
    let text: Vec<char> = text.map(|character| character.to_ascii_lowercase()).collect();
    let pattern: Vec<char> = pattern.chars().map(|character| character.to_ascii_lowercase()).collect();
    let (mut at, mut in_pattern) = (0, 0);
    // Where the last `%` stands, and up to where the text was given to it.
    let mut last_any: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('%') => {
                last_any = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(character) if *character == '_' || *character == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            _ => match last_any {
                Some((any, given)) => {
                    last_any = Some((any, given + 1));
                    in_pattern = any + 1;
                    at = given + 1;
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|character| *character == '%')
}

impl Order {
    /// How two records as they are read stand in this order: null before everything else, texts by the numbers of their
    /// first characters.
    pub fn compare(
        &self,
        one: &serde_json::Map<String, Value>,
        other: &serde_json::Map<String, Value>,
    ) -> std::cmp::Ordering {
        fn held<'a>(members: &'a serde_json::Map<String, Value>, field: &str) -> Option<&'a Value> {
            members.get(field).filter(|value| !value.is_null())
        }
        let ordering = match (held(one, self.field), held(other, self.field)) {
            (Some(Value::String(one)), Some(Value::String(other))) if self.kind == Kind::LongText => {
                one.chars().take(ORDERED_CHARACTERS).cmp(other.chars().take(ORDERED_CHARACTERS))
            }
            (Some(one), Some(other)) => order_of(self.kind, one, other).unwrap_or(std::cmp::Ordering::Equal),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        if self.is_descending { ordering.reverse() } else { ordering }
    }

    /// Reads an order: names of properties, separated by commas; a `-` before a name for greatest first.
    pub fn parse(text: &str, definition: &TypeDefinition) -> Result<Vec<Self>, InvalidFilter> {
        text.split(',')
            .map(|part| {
                let part = part.trim();
                let (name, is_descending) = part.strip_prefix('-').map_or((part, false), |name| (name, true));
                let (field, kind) = column(name, definition, "order")?;
                Ok(Self { field, kind, is_descending })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{RecordType, definition};

    fn parsed(filter: Value) -> Result<Filter, InvalidFilter> {
        Filter::parse(&filter, definition(RecordType::Webhook))
    }

    #[test]
    fn terms_and_groups() {
        let filter = parsed(json!({"and": [
            {"field": "name", "op": "like", "value": "sign%"},
            {"not": {"field": "is_enabled", "value": true}},
        ]}));
        let Ok(Filter::And(terms)) = filter else { panic!("{filter:?}") };
        assert!(matches!(&terms[0], Filter::Term { field: "name", op: Comparison::Like, .. }));
        assert!(matches!(&terms[1], Filter::Not(_)));
    }

    #[test]
    fn what_is_refused_names_the_place() {
        for (filter, place) in [
            (json!([]), "filter"),
            (json!({"and": []}), "filter.and"),
            (json!({"or": [{"field": "nam"}]}), "filter.or[0].field"),
            (json!({"field": "key", "value": "x"}), "filter.field"),
            (json!({"field": "options", "value": {}}), "filter.field"),
            (json!({"field": "name", "op": "near", "value": "x"}), "filter.op"),
            (json!({"field": "is_enabled", "value": "yes"}), "filter.value"),
            (json!({"field": "created_at", "op": "gt", "value": "today"}), "filter.value"),
            (json!({"field": "name", "op": "in", "value": "x"}), "filter.value"),
            (json!({"field": "name", "value": "x", "or": 1}), "filter.or"),
        ] {
            assert_eq!(parsed(filter.clone()).unwrap_err().place, place, "{filter}");
        }
        let mut deep = json!({"field": "name", "value": "x"});
        for _ in 0..20 {
            deep = json!({"not": deep});
        }
        assert!(parsed(deep).is_err());
    }

    #[test]
    fn filter_has_few_and_short_patterns() {
        let like = |pattern: &str| json!({"field": "name", "op": "like", "value": pattern});
        let filter = |pattern: &str, count| parsed(json!({"or": vec![like(pattern); count]}));
        assert!(filter("%a%", LIKE_LIMIT).is_ok());
        assert_eq!(filter("%a%", LIKE_LIMIT + 1).unwrap_err().place, format!("filter.or[{LIKE_LIMIT}].value"));
        let long = "%".repeat(crate::NAME_LIMIT);
        let fitting = LIKE_CHARACTERS / crate::NAME_LIMIT;
        assert!(filter(&long, fitting).is_ok());
        let refused = parsed(json!({"and": [{"or": vec![like(&long); fitting]}, {"not": like("a")}]})).unwrap_err();
        assert_eq!(refused.place, "filter.and[1].not.value");
    }

    #[test]
    fn order_by_a_long_text_ends_at_its_first_characters() {
        let order = &Order::parse("description", definition(RecordType::Flow)).unwrap()[0];
        let record = |end: &str| {
            let text = format!("{}{end}", "ä".repeat(ORDERED_CHARACTERS - 1));
            serde_json::Map::from_iter([("description".to_owned(), Value::String(text))])
        };
        assert!(order.compare(&record("a"), &record("b")).is_lt());
        assert!(order.compare(&record("ab"), &record("aa")).is_eq());
    }

    #[test]
    fn a_record_as_it_is_read_fits_or_not() {
        let Value::Object(record) = json!({"name": "Sign-up", "is_enabled": true, "flow_id": null}) else { panic!() };
        for (filter, fits) in [
            (json!({"field": "name", "op": "like", "value": "sign%"}), true),
            (json!({"field": "name", "op": "like", "value": "%-_p"}), true),
            (json!({"field": "name", "op": "like", "value": "sign"}), false),
            (json!({"field": "is_enabled", "op": "ne", "value": true}), false),
            (json!({"field": "flow_id", "value": null}), true),
            (json!({"field": "flow_id", "op": "is_null", "value": false}), false),
            (json!({"not": {"field": "flow_id", "value": crate::RecordId::new()}}), true),
            (
                json!({"or": [{"field": "name", "value": "x"}, {"field": "name", "op": "in", "value": ["Sign-up"]}]}),
                true,
            ),
        ] {
            assert_eq!(parsed(filter.clone()).unwrap().matches(&record), fits, "{filter}");
        }
    }

    #[test]
    fn orders() {
        let order = Order::parse("-created_at, name", definition(RecordType::Flow)).unwrap();
        assert_eq!((order[0].field, order[0].is_descending), ("created_at", true));
        assert_eq!((order[1].field, order[1].is_descending), ("name", false));
        assert!(Order::parse("nothing", definition(RecordType::Flow)).is_err());
        let Value::Object(one) = json!({"name": "a", "created_at": null}) else { panic!() };
        let Value::Object(other) = json!({"name": "b", "created_at": "2026-11-22T09:48:44.000000+00:00"}) else {
            panic!()
        };
        assert!(order[0].compare(&one, &other).is_gt() && order[1].compare(&one, &other).is_lt());
    }
}
