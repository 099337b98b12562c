//! The schemas of records, made of their types' definitions, and those of what goes with them.

use std::collections::BTreeSet;

use flowhost::Code;
use flowhost::model::{
    Access, Comparison, Home, Kind, LONG_TEXT_BYTES, Property, RecordType, SCHEMA_VERSION, TypeDefinition, definition,
};
use serde_json::{Map, Value, json};

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of a type's schema: `Webhook`.
pub(super) fn schema_name(definition: &TypeDefinition) -> String {
    let mut characters = definition.path.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

pub(super) fn schemas() -> Value {
    let mut schemas = Map::new();
    for record_type in RecordType::ALL {
        let definition = definition(record_type);
        let name = schema_name(definition);
        let readable = definition.all_properties().filter(|property| property.access != Access::WriteOnly);
        schemas.insert(name.clone(), object_schema(readable, |_| true));
        schemas.insert(format!("{name}Filter"), filter_schema(definition));
        if definition.is_managed {
            schemas.insert(format!("New{name}"), written_schema(definition, true));
        }
        if !matches!(record_type, RecordType::Execution | RecordType::Message) {
            schemas.insert(format!("{name}Change"), written_schema(definition, false));
        }
    }
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    schemas.insert(
        "Problem".into(),
        json!({
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "fault", "retryable"],
            "properties": {
                "type": { "type": "string" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "code": { "type": "string", "enum": codes },
                "fault": { "type": "string", "enum": ["caller", "flow", "host"] },
                "retryable": { "type": "boolean" },
                "execution": { "type": "object" },
                "violations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["place", "reason"],
                        "properties": { "place": { "type": "string" }, "reason": { "type": "string" } },
                    },
                },
            },
        }),
    );
    Value::Object(schemas)
}

/// What is read: every property is there, `null` where it is unset.
fn object_schema(
    properties: impl Iterator<Item = &'static Property>,
    is_nullable: impl Fn(&Property) -> bool,
) -> Value {
    let properties: Map<String, Value> = properties
        .map(|property| {
            (property.name.to_owned(), property_schema(property, property.is_optional && is_nullable(property)))
        })
        .collect();
    json!({ "type": "object", "properties": properties })
}

/// What is written: other members are refused.
fn written_schema(definition: &'static TypeDefinition, is_new: bool) -> Value {
    let writable = definition
        .all_properties()
        .filter(|property| property.access != Access::ReadOnly && (is_new || property.access != Access::Create));
    let mut schema = object_schema(writable, |_| true);
    schema["additionalProperties"] = Value::Bool(false);
    if is_new {
        let required: Vec<&str> = definition
            .all_properties()
            .filter(|property| !property.is_optional && property.access == Access::ReadWrite)
            .map(|property| property.name)
            .collect();
        schema["required"] = json!(required);
    }
    if definition.home == Home::ProjectOrBundle {
        schema["not"] = both_homes();
    }
    schema
}

/// What no record may say: that it belongs to a project and to a bundle.
fn both_homes() -> Value {
    let text = || json!({ "type": "string" });
    let both = |project: &str, bundle: &str| {
        let properties = Map::from_iter([(project.to_owned(), text()), (bundle.to_owned(), text())]);
        json!({ "required": [project, bundle], "properties": properties })
    };
    let pairs = [("id", "id"), ("id", "name"), ("name", "id"), ("name", "name")];
    let both: Vec<Value> =
        pairs.iter().map(|(one, other)| both(&format!("project_{one}"), &format!("bundle_{other}"))).collect();
    json!({ "anyOf": both })
}

fn property_schema(property: &Property, is_nullable: bool) -> Value {
    let mut schema = match property.kind {
        _ if property.name == "schema_version" => json!({ "type": "string", "enum": [SCHEMA_VERSION] }),
        // Nothing that controls a terminal.
        Kind::Text(limit) if property.name == "name" => {
            json!({ "type": "string", "maxLength": limit, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" })
        }
        Kind::Text(limit) => json!({ "type": "string", "maxLength": limit }),
        Kind::NameOf(_) => json!({ "type": "string", "maxLength": 128 }),
        // What the host writes has limits of its own.
        Kind::LongText if property.access != Access::ReadOnly => {
            json!({ "type": "string", "maxLength": LONG_TEXT_BYTES })
        }
        Kind::LongText | Kind::Content => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Timestamp => json!({ "type": "string", "format": "date-time" }),
        Kind::Id(_) => json!({ "type": "string", "format": "uuid" }),
        Kind::Enum(options) => json!({ "type": "string", "enum": options }),
        Kind::Json => json!({}),
        Kind::Object => json!({ "type": "object" }),
        Kind::Array => json!({ "type": "array" }),
    };
    if is_nullable && let Some(value_type) = schema.get("type").cloned() {
        schema["type"] = json!([value_type, "null"]);
        if let Some(options) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            options.push(Value::Null);
        }
    }
    schema["description"] = json!(property.description);
    if property.access == Access::ReadOnly {
        schema["readOnly"] = Value::Bool(true);
    }
    schema
}

/// A condition on records of a type. What a term's value may be depends on its property.
fn filter_schema(definition: &'static TypeDefinition) -> Value {
    let this = reference(&format!("{}Filter", schema_name(definition)));
    let group = |name: &str, inner: Value| {
        let properties = Map::from_iter([(name.to_owned(), inner)]);
        json!({ "type": "object", "required": [name], "additionalProperties": false, "properties": properties })
    };
    let list = json!({ "type": "array", "minItems": 1, "items": this });
    let fields: Vec<&str> = comparable(definition).collect();
    let term = json!({
        "type": "object",
        "required": ["field"],
        "additionalProperties": false,
        "properties": {
            "field": { "type": "string", "enum": fields },
            "op": { "type": "string", "enum": Comparison::NAMES, "default": "eq" },
            "value": {},
        },
    });
    json!({ "anyOf": [term, group("and", list.clone()), group("or", list), group("not", this)] })
}

/// The properties that lists can be filtered and ordered by.
pub(super) fn comparable(definition: &'static TypeDefinition) -> impl Iterator<Item = &'static str> {
    definition.all_properties().filter(|property| property.is_comparable()).map(|property| property.name)
}
