//! JSON Schemas that flows bring along, and what does not fit them.
//!
//! Both come from strangers, so nothing is fetched, nothing recurses, regular expressions take linear time, and how much work
//! a schema makes for each value is limited when it is compiled.

use std::collections::HashMap;
use std::io;

use flowhost_model::bounded_text;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::Serialize;
use serde_json::{Map, Value};

/// The largest schema, as text in bytes.
pub(crate) const SIZE_LIMIT: usize = 64 << 10;

/// How many schemas may be within each other, or refer to one another in a row: each level takes stack.
const DEPTH_LIMIT: usize = 64;

/// How many schemas one schema may stand for once all references are followed. Without this, forty definitions that each refer
/// twice to the next would stand for a trillion.
const WORK_LIMIT: u64 = 2_000;

/// How often more the library looks at what is within a schema that has `unevaluatedProperties` or `unevaluatedItems`: once for
/// itself, and once or twice for the keyword. Within each other they multiply: eighteen levels in 800 bytes took four seconds
/// for `{"a":1}`, and each two more seven times as long.
const UNEVALUATED_FACTOR: u64 = 3;

/// The most that holding a value against a schema may take, in schemas and the like times places of the value: a few seconds.
const VALUE_WORK_LIMIT: u64 = 50_000_000;

/// What a regular expression and a place of a value are worth, as steps of that work, and how many bytes of a text one is.
const PATTERN_WORK: u64 = 4;
const TEXT_BYTES_OF_STEP: u64 = 32;

/// The most that is done right where a value arrives, as [`VALUE_WORK_LIMIT`] counts: some milliseconds.
const WORK_AT_ONCE: u64 = 1 << 20;

/// How many regular expressions a schema may have, and how much memory each may take, in bytes.
const PATTERNS_LIMIT: usize = 100;
const PATTERN_BYTES: usize = 256 << 10;

/// How many violations are told at once, and the most bytes of what is said about one, and of its place.
const VIOLATIONS: usize = 20;
const REASON_LIMIT: usize = 500;

/// The most that all violations of a value may take while they are collected, in bytes. Where they could take more, the first
/// alone is looked for: the library finds one or all, and of a body of a megabyte every byte may be a violation of its own.
const COLLECTED_BYTES: u64 = 32 << 20;

/// What one violation takes at least, in bytes, and how much more than as text a part of a schema takes that it has a copy of.
const VIOLATION_BYTES: u64 = 300;
const COPY_FACTOR: u64 = 20;

/// A JSON Schema that values can be held against.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    cost: Cost,
    /// Whether one violation may be made of many, those of each alternative.
    has_alternatives: bool,
}

/// Where a value does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The place in the value, as a JSON pointer: empty for all of it.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

/// A schema of draft 4, 6, 7, 2019-09 or 2020-12, which is what it is where it does not say. References lead to places within
/// it, as `#/$defs/name`, and not in circles.
///
/// Error: why it is none, or none that can be used here.
pub(crate) fn compile(schema: &Value) -> Result<Schema, String> {
    let size = text_length(schema);
    if size > SIZE_LIMIT {
        return Err(format!("the schema has {size} bytes, at most {SIZE_LIMIT} are allowed"));
    }
    let mut survey = Survey { root: schema, costs: HashMap::new(), patterns: 0, has_alternatives: false };
    let cost = survey.cost(schema, 0)?;
    let has_alternatives = survey.has_alternatives;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    let built = jsonschema::options().offline().with_pattern_options(patterns).build(schema);
    built.map(|validator| Schema { validator, cost, has_alternatives }).map_err(|error| {
        let place = bounded_text(error.instance_path(), REASON_LIMIT);
        let place = if place.is_empty() { String::new() } else { format!("`{place}`: ") };
        format!("{place}{}", bounded_text(error, REASON_LIMIT))
    })
}

impl Schema {
    /// What of the value does not fit, the first of it where that is or could be much; nothing where all of it does.
    pub(crate) fn violations(&self, value: &Value) -> Vec<Violation> {
        let size = Size::of(value);
        if self.cost.work.saturating_mul(size.steps()) > VALUE_WORK_LIMIT {
            let reason = "the value is too large for the host to check it against this schema";
            return vec![Violation { place: String::new(), reason: reason.to_owned() }];
        }
        match self.way(&size) {
            Way::All => self.validator.iter_errors(value).take(VIOLATIONS).map(Violation::from).collect(),
            Way::First => self.validator.validate(value).err().map(Violation::from).into_iter().collect(),
            Way::Whether if self.validator.is_valid(value) => Vec::new(),
            Way::Whether => {
                let reason = "the value is too large for the host to say where it does not fit";
                vec![Violation { place: String::new(), reason: reason.to_owned() }]
            }
        }
    }

    /// Whether a value of so many bytes of JSON is checked in some milliseconds at the most. What takes longer must not be
    /// checked on a thread that others wait for.
    pub(crate) fn is_quick(&self, bytes: usize) -> bool {
        self.cost.work.saturating_mul(bytes as u64) <= WORK_AT_ONCE
    }

    /// How violations of a value of this size can be looked for.
    fn way(&self, size: &Size) -> Way {
        let paths = self.cost.violations.saturating_mul(size.paths);
        if self.cost.bytes.saturating_mul(size.places).saturating_add(paths) <= COLLECTED_BYTES {
            Way::All
        } else if self.has_alternatives {
            Way::Whether
        } else {
            Way::First
        }
    }
}

/// What is found of a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All violations.
    All,
    /// The first.
    First,
    /// That there is one.
    Whether,
}

/// How much of a value violations can be about.
#[derive(Default)]
struct Size {
    places: u64,
    /// The length of all their pointers together.
    paths: u64,
    /// The length of all texts together, names of members among them.
    texts: u64,
}

impl Size {
    fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.count(value, 0);
        size
    }

    /// How often a schema that stands for one is looked at.
    fn steps(&self) -> u64 {
        self.places + self.texts / TEXT_BYTES_OF_STEP
    }

    fn count(&mut self, value: &Value, path: u64) {
        self.places += 1;
        self.paths = self.paths.saturating_add(path);
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.count(item, path + 8)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.texts += name.len() as u64;
                    self.count(member, path + 1 + name.len() as u64);
                }
            }
            Value::String(text) => self.texts += text.len() as u64,
            _ => {}
        }
    }
}

impl From<ValidationError<'_>> for Violation {
    fn from(error: ValidationError<'_>) -> Self {
        // Both may repeat all of the value.
        Self { place: bounded_text(error.instance_path(), REASON_LIMIT), reason: bounded_text(error, REASON_LIMIT) }
    }
}

/// The length of a value as text, in bytes.
fn text_length(value: &Value) -> usize {
    struct Length(usize);
    impl io::Write for Length {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0 += piece.len();
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // Neither a value nor the counter fails.
    let _counted = serde_json::to_writer(&mut length, value);
    length.0
}

/// What holding a value against a schema may cost, references followed.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// How many schemas it stands for.
    schemas: u64,
    /// How many schemas, values to compare with and the like each place of a value may be held against.
    work: u64,
    /// How many violations one place of a value may be told of, and how much they take in bytes.
    violations: u64,
    bytes: u64,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            schemas: self.schemas.saturating_add(other.schemas),
            work: self.work.saturating_add(other.work),
            violations: self.violations.saturating_add(other.violations),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What a keyword costs by itself.
    fn of_keyword(keyword: &str, value: &Value) -> Self {
        let (violations, work, copied) = match keyword {
            // One for each name.
            "required" | "dependentRequired" | "dependencies" => {
                let names = Size::of(value).places;
                (names, names, text_length(value) as u64)
            }
            "not" => (1, 0, text_length(value) as u64),
            "pattern" => (1, PATTERN_WORK, text_length(value) as u64),
            "patternProperties" => (1, PATTERN_WORK * value.as_object().map_or(0, Map::len) as u64, 0),
            "enum" | "const" => (1, Size::of(value).places, 0),
            _ => (1, 0, 0),
        };
        Self { schemas: 0, work, violations, bytes: violations * VIOLATION_BYTES + copied * COPY_FACTOR }
    }
}

/// Finds out what a schema stands for before it is used.
struct Survey<'a> {
    root: &'a Value,
    /// What each schema costs; none as long as that is being counted.
    costs: HashMap<*const Value, Option<Cost>>,
    patterns: usize,
    has_alternatives: bool,
}

impl<'a> Survey<'a> {
    /// What this schema costs.
    fn cost(&mut self, schema: &'a Value, depth: usize) -> Result<Cost, String> {
        let mut cost = Cost { schemas: 1, work: 1, violations: 1, bytes: VIOLATION_BYTES };
        let Value::Object(members) = schema else { return Ok(cost) };
        match self.costs.get(&std::ptr::from_ref(schema)) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => return Err("the schema refers to itself; recursive schemas are not supported".to_owned()),
            None => {}
        }
        if depth > DEPTH_LIMIT {
            return Err(format!("the schema is deeper than {DEPTH_LIMIT} levels"));
        }
        self.costs.insert(schema, None);
        for (keyword, value) in members {
            self.has_alternatives |= matches!(keyword.as_str(), "anyOf" | "oneOf");
            let within = self.of_keyword(schema, keyword, value, depth + 1)?;
            cost = cost.plus(within).plus(Cost::of_keyword(keyword, value));
            refuse_beyond_limit(cost)?;
        }
        for _ in ["unevaluatedProperties", "unevaluatedItems"].iter().filter(|keyword| members.contains_key(**keyword))
        {
            cost.schemas = cost.schemas.saturating_mul(UNEVALUATED_FACTOR);
            cost.work = cost.work.saturating_mul(UNEVALUATED_FACTOR);
            refuse_beyond_limit(cost)?;
        }
        self.costs.insert(schema, Some(cost));
        Ok(cost)
    }

    fn of_keyword(&mut self, schema: &'a Value, keyword: &str, value: &'a Value, depth: usize) -> Result<Cost, String> {
        match (keyword, value) {
            ("$ref", Value::String(reference)) => {
                // What is escaped could be one name here and another where the schema is used.
                let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
                let target = pointer.and_then(|pointer| self.root.pointer(pointer));
                let missing = || {
                    let reference = bounded_text(reference, REASON_LIMIT);
                    format!("`$ref`: `{reference}` leads nowhere; it must be a place in the schema, as `#/$defs/name`")
                };
                self.cost(target.ok_or_else(missing)?, depth)
            }
            ("$dynamicRef" | "$recursiveRef", _) => Err(format!("`{keyword}` is not supported")),
            ("$id" | "id", Value::String(_)) if !std::ptr::eq(schema, self.root) => {
                Err(format!("`{keyword}` is supported at the root of the schema alone"))
            }
            ("pattern", _) => self.count_patterns(1).map(|()| Cost::default()),
            ("patternProperties", Value::Object(schemas)) => {
                self.count_patterns(schemas.len())?;
                self.all(schemas.values(), depth)
            }
            ("$defs" | "definitions", Value::Object(schemas)) => {
                // They stand for nothing where nothing refers to them.
                self.each(schemas, depth).map(|()| Cost::default())
            }
            ("properties" | "dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                self.all(schemas.values(), depth)
            }
            ("allOf" | "anyOf" | "oneOf" | "items" | "prefixItems", Value::Array(schemas)) => {
                self.all(schemas.iter(), depth)
            }
            (
                "additionalItems"
                | "additionalProperties"
                | "contains"
                | "contentSchema"
                | "else"
                | "if"
                | "items"
                | "not"
                | "propertyNames"
                | "then"
                | "unevaluatedItems"
                | "unevaluatedProperties",
                schema,
            ) => self.cost(schema, depth),
            _ => Ok(Cost::default()),
        }
    }

    fn all(&mut self, schemas: impl Iterator<Item = &'a Value>, depth: usize) -> Result<Cost, String> {
        schemas.into_iter().try_fold(Cost::default(), |cost, schema| Ok(cost.plus(self.cost(schema, depth)?)))
    }

    fn each(&mut self, schemas: &'a Map<String, Value>, depth: usize) -> Result<(), String> {
        schemas.values().try_for_each(|schema| self.cost(schema, depth).map(drop))
    }

    fn count_patterns(&mut self, more: usize) -> Result<(), String> {
        self.patterns += more;
        if self.patterns > PATTERNS_LIMIT {
            return Err(format!("the schema has more than {PATTERNS_LIMIT} regular expressions"));
        }
        Ok(())
    }
}

fn refuse_beyond_limit(cost: Cost) -> Result<(), String> {
    if cost.schemas > WORK_LIMIT {
        return Err(format!("the schema stands for more than {WORK_LIMIT} schemas"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(schema: &Value, value: &Value) -> Vec<String> {
        let violations = compile(schema).unwrap().violations(value);
        violations.into_iter().map(|one| format!("{}: {}", one.place, one.reason)).collect()
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let form = json!({
            "type": "object", "required": ["decision"], "additionalProperties": false,
            "properties": { "decision": { "enum": ["yes", "no"] }, "days": { "type": "array", "items": { "$ref": "#/$defs/day" } } },
            "$defs": { "day": { "type": "integer", "minimum": 1 } },
        });
        assert!(violations(&form, &json!({ "decision": "yes", "days": [1, 2] })).is_empty());
        assert_eq!(
            violations(&form, &json!({ "decision": "maybe", "days": [1, 0, "x"] })),
            [
                "/decision: \"maybe\" is not one of \"yes\" or \"no\"",
                "/days/1: 0 is less than the minimum of 1",
                "/days/2: \"x\" is not of type \"integer\"",
            ]
        );
        assert_eq!(violations(&form, &json!({})), [": \"decision\" is a required property"]);
        let many = json!({ "items": { "type": "null" } });
        assert_eq!(violations(&many, &json!(vec![0; 100])).len(), VIOLATIONS);
        let long = violations(&many, &json!(["x".repeat(10_000)]));
        assert!(long[0].chars().count() < 600, "{long:?}");
    }

    #[test]
    fn of_a_value_that_could_have_too_many_violations_the_first_is_told() {
        let compiled = |schema: Value| compile(&schema).unwrap();
        let way = |schema: &Schema, value: &Value| schema.way(&Size::of(value));
        let (many, few) = (json!(vec![0; 500_000]), json!(vec![0; 1_000]));
        let items = compiled(json!({ "items": { "type": "null" } }));
        assert_eq!((way(&items, &few), way(&items, &many)), (Way::All, Way::First));
        let found = items.violations(&many);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "/0");
        // One violation of alternatives has those of each of them.
        let either = json!([{ "items": { "type": "null" } }, { "items": { "type": "string" } }]);
        for keyword in ["anyOf", "oneOf"] {
            let alternatives = compiled(json!({ "properties": { "a": { keyword: either } } }));
            let many = json!({ "a": many });
            assert_eq!(way(&alternatives, &many), Way::Whether);
            assert_eq!(alternatives.violations(&many).len(), 1);
            assert!(alternatives.violations(&json!({ "a": vec!["a"; 500_000] })).is_empty());
        }
        // What a violation has a copy of counts, and so does its place.
        let excluded = compiled(json!({ "items": { "not": { "enum": vec![0; 5_000] } } }));
        assert_eq!(way(&excluded, &few), Way::First);
        let pattern = compiled(json!({ "items": { "pattern": "a".repeat(2_000) } }));
        assert_eq!(way(&pattern, &few), Way::First);
        let names: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let required = compiled(json!({ "items": { "required": names } }));
        assert_eq!(way(&required, &few), Way::First);
        assert_eq!(way(&items, &json!({ "x".repeat(100_000): few })), Way::First);
    }

    #[test]
    fn drafts_of_before_are_known() {
        for draft in ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"] {
            let schema =
                json!({ "$schema": draft, "definitions": { "a": { "type": "string" } }, "$ref": "#/definitions/a" });
            assert_eq!(violations(&schema, &json!(1)).len(), 1, "{draft}");
        }
        let exclusive =
            json!({ "$schema": "http://json-schema.org/draft-04/schema#", "maximum": 1, "exclusiveMaximum": true });
        assert_eq!(violations(&exclusive, &json!(1)).len(), 1);
        assert!(compile(&json!(true)).is_ok());
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for (wrong, reason) in [
            (json!(1), "not of type"),
            (json!("text"), "not of type"),
            (json!({ "type": "texts" }), "/type"),
            (json!({ "properties": [] }), "/properties"),
            (json!({ "pattern": "(" }), "("),
            (json!({ "$schema": "https://example.com/mine" }), "example.com"),
            (json!({ "description": "x".repeat(SIZE_LIMIT) }), "bytes"),
        ] {
            let refused = compile(&wrong).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn nothing_outside_is_referred_to() {
        for reference in
            ["https://example.com/a.json", "file:///etc/passwd", "a.json", "#nowhere", "#/$defs/none", "#/%24defs", ""]
        {
            let refused = compile(&json!({ "properties": { "a": { "$ref": reference } } })).unwrap_err();
            assert!(refused.contains("leads nowhere"), "{reference}: {refused}");
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            assert!(compile(&json!({ keyword: "#" })).is_err());
        }
        assert!(compile(&json!({ "properties": { "a": { "$id": "https://example.com/a" } } })).is_err());
        assert!(
            compile(&json!({ "$id": "https://example.com/a", "properties": { "$ref": { "const": "b" } } })).is_ok()
        );
    }

    #[test]
    fn a_schema_that_recurses_is_refused() {
        let circle = json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "not": { "$ref": "#/$defs/a" } } } });
        let tree = json!({ "properties": { "children": { "items": { "$ref": "#" } } } });
        for recursive in [json!({ "$ref": "#" }), json!({ "allOf": [{ "$ref": "#" }] }), circle, tree] {
            let refused = compile(&recursive).unwrap_err();
            assert!(refused.contains("refers to itself"), "{recursive}: {refused}");
        }
        let chain = |length: usize| {
            let mut names: Map<String, Value> = (0..length)
                .map(|number| (number.to_string(), json!({ "$ref": format!("#/$defs/{}", number + 1) })))
                .collect();
            names.insert(length.to_string(), json!({}));
            json!({ "$ref": "#/$defs/0", "$defs": names })
        };
        assert!(compile(&chain(50)).is_ok());
        assert!(compile(&chain(1_000)).unwrap_err().contains("deeper"));
    }

    #[test]
    fn unevaluated_keywords_within_each_other_are_limited() {
        for (wrap, keyword, value) in [
            ("allOf", "unevaluatedProperties", json!({ "a": 1 })),
            ("anyOf", "unevaluatedProperties", json!({ "a": 1 })),
            ("oneOf", "unevaluatedProperties", json!({ "a": 1 })),
            ("allOf", "unevaluatedItems", json!([1])),
        ] {
            let nested = |levels: usize| {
                let inmost = json!({ "properties": { "a": { "type": "integer" } }, "prefixItems": [true] });
                (0..levels).fold(inmost, |schema, _| json!({ wrap: [schema], keyword: false }))
            };
            assert!(compile(&nested(5)).unwrap().violations(&value).is_empty());
            assert!(compile(&nested(8)).unwrap_err().contains("stands for more"), "{wrap} {keyword}");
        }
        let conditional = |levels: usize| {
            let inmost = json!({ "properties": { "a": true } });
            (0..levels).fold(inmost, |schema, _| json!({ "if": schema, "unevaluatedProperties": false }))
        };
        assert!(compile(&conditional(5)).is_ok() && compile(&conditional(8)).is_err());
    }

    #[test]
    fn value_that_would_take_too_long_is_not_checked() {
        let options: Vec<Value> = (0..5_000).map(|number| json!({ "a": number })).collect();
        let schema = compile(&json!({ "items": { "enum": options } })).unwrap();
        let items = |count: usize| json!(vec![json!({ "a": 0 }); count]);
        assert!(schema.violations(&items(1_000)).is_empty());
        let refused = schema.violations(&items(25_000));
        assert!(refused.len() == 1 && refused[0].reason.contains("too large"), "{refused:?}");
        assert!(!schema.is_quick(1_000) && compile(&json!({ "type": "object" })).unwrap().is_quick(16 << 10));
        let pattern = compile(&json!({ "patternProperties": { "^(a|b)*x$": false, "c": true } })).unwrap();
        assert!(pattern.violations(&json!({ "ab": "x".repeat(1 << 20) })).is_empty());
    }

    #[test]
    fn long_value_is_told_cut() {
        let schema = compile(&json!({ "additionalProperties": { "type": "null" } })).unwrap();
        let found = schema.violations(&json!({ "n".repeat(100_000): "x".repeat(1 << 20) }));
        assert!(found[0].place.len() < REASON_LIMIT + 10 && found[0].reason.len() < REASON_LIMIT + 10);
        assert!(found[0].place.starts_with("/nnn") && found[0].reason.ends_with('…'));
    }

    #[test]
    fn the_work_that_a_schema_makes_is_limited() {
        let doubling = |levels: usize| {
            let twice = |number: usize| {
                let next = json!({ "$ref": format!("#/$defs/{}", number + 1) });
                (number.to_string(), json!({ "allOf": [next, { "properties": { "a": next } }] }))
            };
            let mut names: Map<String, Value> = (0..levels).map(twice).collect();
            names.insert(levels.to_string(), json!({ "type": "object" }));
            json!({ "$ref": "#/$defs/0", "$defs": names })
        };
        assert!(compile(&doubling(5)).is_ok());
        assert!(compile(&doubling(20)).unwrap_err().contains("stands for more"));
        let patterns: Map<String, Value> =
            (0..200).map(|number| (number.to_string(), json!({ "pattern": "a+" }))).collect();
        assert!(compile(&json!({ "properties": patterns })).unwrap_err().contains("regular expressions"));
        assert!(compile(&json!({ "pattern": "((a{1,99}){1,99}){1,99}" })).is_err());
        // Neither does one that others need years for.
        let slow = json!({ "pattern": "^(a+)+$" });
        assert_eq!(violations(&slow, &json!("a".repeat(50_000) + "b")).len(), 1);
    }
}
