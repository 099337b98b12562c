//! The description of the API, made of the record types' definitions and of the table of codes.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use flowhost::Code;
use flowhost::model::{Access, Kind, Property, RecordType, TypeDefinition, definition};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

pub(super) async fn serve() -> Response {
    answer::json(StatusCode::OK, &*DOCUMENT).map(Body::new)
}

/// The OpenAPI 3.1 document of the REST API.
pub fn document() -> Value {
    let mut paths = Map::new();
    for record_type in RecordType::ALL {
        add_type(&mut paths, definition(record_type));
    }
    add_special(&mut paths);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "flowhost",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records and executions of a flowhost. The addresses of webhooks are not part of it: what they take and answer is up to their flows.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
            "responses": { "Problem": problem_response() },
        },
    })
}

fn problem_response() -> Value {
    json!({
        "description": "What was wrong; `code` is stable.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of a type's schema: `Webhook`.
fn schema_name(definition: &TypeDefinition) -> String {
    let mut characters = definition.path.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

fn schemas() -> Value {
    let mut schemas = Map::new();
    for record_type in RecordType::ALL {
        let definition = definition(record_type);
        let name = schema_name(definition);
        let readable = definition.all_properties().filter(|property| property.access != Access::WriteOnly);
        schemas.insert(name.clone(), object_schema(readable, |_| true));
        if definition.is_managed {
            schemas.insert(format!("New{name}"), written_schema(definition, true));
        }
        if record_type != RecordType::Execution {
            schemas.insert(format!("{name}Change"), written_schema(definition, false));
        }
    }
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
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
    schema
}

fn property_schema(property: &Property, is_nullable: bool) -> Value {
    let mut schema = match property.kind {
        Kind::Text(limit) => json!({ "type": "string", "maxLength": limit }),
        Kind::NameOf(_) => json!({ "type": "string", "maxLength": 128 }),
        Kind::LongText => json!({ "type": "string" }),
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

fn parameter(name: &str, place: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema, "description": description })
}

fn common_parameters() -> Vec<Value> {
    vec![
        parameter("plain", "query", json!({ "type": "boolean" }), "Records without a wrapping object."),
        parameter("fields", "query", json!({ "type": "string" }), "Only these properties, separated by commas."),
    ]
}

fn id_parameters() -> Vec<Value> {
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

fn list_parameters() -> Vec<Value> {
    vec![
        parameter(
            "filter",
            "query",
            json!({ "type": "string" }),
            "A condition as JSON: `{\"field\", \"op\", \"value\"}`, `{\"and\": […]}`, `{\"or\": […]}`, `{\"not\": …}`.",
        ),
        parameter(
            "order",
            "query",
            json!({ "type": "string" }),
            "Properties, separated by commas; `-` for greatest first.",
        ),
        parameter("after", "query", json!({ "type": "string" }), "Where the page before ended: `next`."),
        parameter(
            "limit",
            "query",
            json!({ "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32 }),
            "Records on a page: 50 unless set, 1,000 at most.",
        ),
    ]
}

fn trash_parameter() -> Value {
    parameter("trash", "query", json!({ "type": "boolean" }), "Those in the trash, in place of the others.")
}

/// The answers that every address may give, whatever is asked of it.
fn with_problems(mut answers: Map<String, Value>, codes: &[u16]) -> Value {
    for status in [400, 401, 403, 404, 500, 503].iter().chain(codes) {
        answers.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    Value::Object(answers)
}

fn json_answer(description: &str, schema: Value) -> Map<String, Value> {
    let answer = json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    Map::from_iter([("200".to_owned(), answer)])
}

fn no_content(description: &str) -> Map<String, Value> {
    Map::from_iter([("204".to_owned(), json!({ "description": description }))])
}

fn body(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

/// A record or a list, bare or in an object.
fn wrapped(name: &str, content: Value) -> Value {
    let in_object = json!({ "type": "object", "required": [name], "properties": { name: content.clone() } });
    json!({ "anyOf": [content, in_object] })
}

fn operation(id: String, summary: String, parameters: Vec<Value>, answers: Value) -> Value {
    json!({ "operationId": id, "summary": summary, "parameters": parameters, "responses": answers })
}

const CHANGE_PROBLEMS: &[u16] = &[405, 408, 409, 412, 413, 422];

fn add_type(paths: &mut Map<String, Value>, definition: &'static TypeDefinition) {
    let (path, name) = (definition.path, schema_name(definition));
    let record = wrapped(path, reference(&name));
    let records = wrapped(path, json!({ "type": "array", "items": reference(&name) }));
    let is_execution = definition.record_type == RecordType::Execution;

    let mut parameters = [common_parameters(), list_parameters()].concat();
    if is_execution {
        for (name, description) in [
            ("status", "Of this status; short for a filter."),
            ("flow", "Of the flow of this name."),
            ("webhook", "Of the webhook of this name."),
            ("before", "Older than the execution with this id."),
        ] {
            parameters.push(parameter(name, "query", json!({ "type": "string" }), description));
        }
    } else {
        parameters.push(trash_parameter());
    }
    let list = operation(
        format!("list_{path}"),
        format!("A page of records: {}", definition.description),
        parameters,
        with_problems(json_answer("The page.", records), &[]),
    );
    let mut collection = Map::from_iter([("get".to_owned(), list)]);
    if definition.is_managed {
        let mut create = operation(
            format!("create_{path}"),
            format!("Makes a {path}."),
            common_parameters(),
            with_problems(json_answer("The record.", record.clone()), CHANGE_PROBLEMS),
        );
        create["requestBody"] = body(reference(&format!("New{name}")));
        collection.insert("post".into(), create);
    }
    paths.insert(format!("/api/latest/{path}"), Value::Object(collection));

    let mut parameters = [id_parameters(), common_parameters()].concat();
    if is_execution {
        parameters.retain(|parameter| parameter["name"] != "by");
        parameters.push(parameter(
            "ticket",
            "query",
            json!({ "type": "string" }),
            "The ticket of an asynchronous call.",
        ));
    }
    let read = operation(
        format!("read_{path}"),
        format!("A {path}."),
        parameters.clone(),
        with_problems(json_answer("The record.", record.clone()), &[]),
    );
    let mut one = Map::from_iter([("get".to_owned(), read)]);
    if !is_execution {
        let if_match =
            parameter("If-Match", "header", json!({ "type": "string" }), "The `ETag` that the writer has read.");
        let mut update = operation(
            format!("update_{path}"),
            format!("Changes a {path}; what is absent stays as it is."),
            [parameters.clone(), vec![if_match.clone()]].concat(),
            with_problems(json_answer("The record.", record.clone()), CHANGE_PROBLEMS),
        );
        update["requestBody"] = body(reference(&format!("{name}Change")));
        one.insert("patch".into(), update);
        if definition.is_managed {
            let permanently =
                parameter("permanently", "query", json!({ "type": "boolean" }), "Past the trash, for good.");
            let message = parameter("commit_message", "query", json!({ "type": "string" }), "Why.");
            let delete = operation(
                format!("delete_{path}"),
                format!("Puts a {path} into the trash."),
                [id_parameters(), vec![permanently, message, if_match]].concat(),
                with_problems(no_content("Done."), &[405, 409, 412]),
            );
            one.insert("delete".into(), delete);
            let restore = operation(
                format!("restore_{path}"),
                format!("Takes a {path} out of the trash."),
                parameters,
                with_problems(json_answer("The record.", record), &[405, 409, 412]),
            );
            paths.insert(format!("/api/latest/{path}/{{id}}/action/restore"), json!({ "post": restore }));
        }
        let history = operation(
            format!("history_{path}"),
            format!("What was done with a {path}, newest first."),
            [id_parameters(), common_parameters()].concat(),
            with_problems(json_answer("The history.", json!({})), &[]),
        );
        paths.insert(format!("/api/latest/{path}/{{id}}/history"), json!({ "get": history }));
    }
    paths.insert(format!("/api/latest/{path}/{{id}}"), Value::Object(one));
}

/// What is special to a type.
fn add_special(paths: &mut Map<String, Value>) {
    let any = || json!({});
    let by_id = || vec![id_parameters().swap_remove(0)];
    let get = |id: &str, summary: &str, parameters: Vec<Value>, answers: Value| json!({ "get": operation(id.into(), summary.into(), parameters, answers) });
    let post = |id: &str, summary: &str, parameters: Vec<Value>, answers: Value| json!({ "post": operation(id.into(), summary.into(), parameters, answers) });
    let mut add = |path: &str, item: Value| paths.insert(format!("/api/latest/{path}"), item);

    let open = |mut item: Value, verb: &str| {
        item[verb]["security"] = json!([]);
        item
    };
    add(
        "alive",
        open(
            get("alive", "Whether the host lives.", vec![], with_problems(json_answer("It does.", any()), &[])),
            "get",
        ),
    );
    add(
        "ready",
        open(
            get("ready", "Whether new calls are taken.", vec![], with_problems(json_answer("They are.", any()), &[])),
            "get",
        ),
    );
    add(
        "openapi.json",
        open(get("openapi", "This document.", vec![], with_problems(json_answer("It.", any()), &[])), "get"),
    );

    let mut login = open(
        post(
            "login",
            "Begins a session.",
            vec![],
            with_problems(json_answer("The session, also as a cookie.", any()), &[408, 413, 422, 429]),
        ),
        "post",
    );
    login["post"]["requestBody"] = body(json!({
        "type": "object",
        "required": ["user_name", "password"],
        "additionalProperties": false,
        "properties": {
            "user_name": { "type": "string" },
            "password": { "type": "string" },
            "authentication_method": { "type": ["string", "null"], "enum": ["cloudomation", null] },
        },
    }));
    add("auth/login", login);
    add("auth/logout", post("logout", "Ends the user's sessions.", vec![], with_problems(no_content("Done."), &[])));

    let log_parameters = vec![
        id_parameters().swap_remove(0),
        parameter("plain", "query", json!({ "type": "boolean" }), "Without a wrapping object."),
        parameter("from", "query", json!({ "type": "integer", "minimum": 0 }), "The first line, counted from 0."),
        parameter(
            "limit",
            "query",
            json!({ "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32 }),
            "Lines at most.",
        ),
    ];
    add(
        "execution/{id}/log",
        get("execution_log", "The log.", log_parameters, with_problems(json_answer("The lines.", any()), &[])),
    );
    for (verb, summary) in [
        ("cancel", "Ends an execution."),
        ("pause", "Takes an execution out of memory until somebody resumes it."),
        ("resume", "Lets a paused execution run."),
        ("rerun", "Starts the same flow with the same input."),
        ("set-productive", "Switches a paused execution to productive mode, and lets it run."),
    ] {
        let answers =
            with_problems(json_answer("The execution.", wrapped("execution", reference("Execution"))), &[409]);
        let parameters = [by_id(), common_parameters()].concat();
        add(
            &format!("execution/{{id}}/action/{verb}"),
            post(&format!("execution_{}", verb.replace('-', "_")), summary, parameters, answers),
        );
    }

    let plain = || vec![parameter("plain", "query", json!({ "type": "boolean" }), "Without a wrapping object.")];
    add(
        "flow/{id}/version",
        get(
            "flow_versions",
            "The versions, newest first.",
            [id_parameters(), plain()].concat(),
            with_problems(json_answer("The versions.", any()), &[]),
        ),
    );
    let version = parameter("version", "path", json!({ "type": "integer", "minimum": 1 }), "The version's number.");
    let component = json!({ "description": "The component.", "content": { "application/wasm": {} } });
    add(
        "flow/{id}/version/{version}/component",
        get(
            "flow_component",
            "The component of a version.",
            [id_parameters(), vec![version]].concat(),
            with_problems(Map::from_iter([("200".to_owned(), component)]), &[]),
        ),
    );
    let mut upload = post(
        "flow_upload",
        "Uploads a component as the next version, checks it and activates it.",
        id_parameters(),
        with_problems(json_answer("What was done.", any()), CHANGE_PROBLEMS),
    );
    upload["post"]["requestBody"] = json!({ "required": true, "content": { "application/wasm": {} } });
    add("flow/{id}/action/upload", upload);
    let mut activate = post(
        "flow_activate",
        "Makes an earlier version the active one.",
        id_parameters(),
        with_problems(json_answer("What was done.", any()), CHANGE_PROBLEMS),
    );
    activate["post"]["requestBody"] = body(json!({
        "type": "object", "required": ["version"], "additionalProperties": false,
        "properties": { "version": { "type": "integer", "minimum": 1, "maximum": u32::MAX } },
    }));
    add("flow/{id}/action/activate", activate);
    add(
        "webhook/{id}/action/rotate-key",
        post(
            "webhook_rotate_key",
            "Gives a webhook another key, which is shown this once.",
            [id_parameters(), plain()].concat(),
            with_problems(json_answer("The key.", any()), &[405, 409, 412, 422]),
        ),
    );

    let tokens = get(
        "user_tokens",
        "The API tokens of a user.",
        [id_parameters(), plain()].concat(),
        with_problems(json_answer("The tokens.", any()), &[]),
    );
    let mut tokens = tokens;
    let mut create = operation(
        "create_user_token".into(),
        "Makes an API token, which is shown this once.".into(),
        [id_parameters(), plain()].concat(),
        with_problems(json_answer("The token.", any()), CHANGE_PROBLEMS),
    );
    create["requestBody"] = body(json!({
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 128 },
            "expires_at": { "type": ["string", "null"], "format": "date-time" },
            "role_ids": { "type": ["array", "null"], "items": { "type": "string", "format": "uuid" } },
        },
    }));
    tokens["post"] = create;
    add("user/{id}/token", tokens);
    let token = parameter("token", "path", json!({ "type": "string" }), "The token's id.");
    let revoke = operation(
        "revoke_user_token".into(),
        "Ends a token.".into(),
        [id_parameters(), vec![token]].concat(),
        with_problems(no_content("Done."), &[409]),
    );
    add("user/{id}/token/{token}", json!({ "delete": revoke }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_document_is_the_generated_one() {
        let checked_in: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        assert_eq!(checked_in, document(), "write it anew with `cargo xtask openapi`");
    }
}
