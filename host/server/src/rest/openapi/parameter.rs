//! Parameters of requests.

use flowhost::model::TypeDefinition;
use serde_json::{Value, json};

use super::schema::{comparable, reference, schema_name};
use crate::rest::parameters::LEFT_OUT;

pub(super) fn parameter(name: &str, place: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema, "description": description })
}

/// A parameter that is set by being there: without a value it is true.
pub(super) fn flag(name: &str, description: &str) -> Value {
    let mut flag = parameter(name, "query", json!({ "type": "boolean" }), description);
    flag["allowEmptyValue"] = Value::Bool(true);
    flag
}

pub(super) fn plain() -> Value {
    flag("plain", "Without a wrapping object.")
}

/// A parameter that is a list of names from these, separated by commas.
fn names(name: &str, names: &[String], description: &str) -> Value {
    let items = json!({ "type": "string", "enum": names });
    let mut list = parameter(name, "query", json!({ "type": "array", "minItems": 1, "items": items }), description);
    list["explode"] = Value::Bool(false);
    list
}

pub(super) fn common_parameters(definition: &'static TypeDefinition) -> Vec<Value> {
    let fields: Vec<String> = definition.all_properties().map(|property| property.name.to_owned()).collect();
    let mut description = "Only these properties, separated by commas.".to_owned();
    if LEFT_OUT.iter().any(|name| definition.property(name).is_some()) {
        let left_out = LEFT_OUT.map(|name| format!("`{name}`")).join(" and ");
        description.push_str(&format!(" Lists leave out {left_out} unless these are named here."));
    }
    vec![plain(), names("fields", &fields, &description)]
}

pub(super) fn id_parameters() -> Vec<Value> {
    vec![
        parameter("id", "path", json!({ "type": "string" }), "The id, or the name with `by=name`."),
        parameter(
            "by",
            "query",
            json!({ "type": "string", "enum": ["id", "name"] }),
            "What the segment in the path is.",
        ),
    ]
}

pub(super) fn list_parameters(definition: &'static TypeDefinition) -> Vec<Value> {
    let filter = reference(&format!("{}Filter", schema_name(definition)));
    let orders: Vec<String> = comparable(definition).flat_map(|name| [name.to_owned(), format!("-{name}")]).collect();
    vec![
        json!({
            "name": "filter",
            "in": "query",
            "content": { "application/json": { "schema": filter } },
            "description":
                "A condition: `{\"field\", \"op\", \"value\"}`, `{\"and\": […]}`, `{\"or\": […]}`, `{\"not\": …}`.",
        }),
        names("order", &orders, "Properties, separated by commas; `-` for greatest first."),
    ]
    .into_iter()
    .chain(page_parameters("Records"))
    .collect()
}

/// Where a page of so called items begins and ends.
pub(super) fn page_parameters(items: &str) -> Vec<Value> {
    let limit = format!("{items} on a page: 50 unless set, 1,000 at most. A page may end earlier, at 4 MiB.");
    vec![
        parameter("after", "query", json!({ "type": "string" }), "Where the page before ended: `next`."),
        parameter("limit", "query", json!({ "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32 }), &limit),
    ]
}

pub(super) fn commit_message() -> Value {
    parameter("commit_message", "query", json!({ "type": "string" }), "Why; kept in the history.")
}

pub(super) fn trash_parameter() -> Value {
    flag("trash", "Those in the trash, in place of the others.")
}
