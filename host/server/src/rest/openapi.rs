//! The description of the API, made of the record types' definitions and of the table of codes.

mod parameter;
mod schema;

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use flowhost::model::{RecordType, Status, TypeDefinition, definition};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::answer;

use parameter::{
    commit_message, common_parameters, flag, id_parameters, list_parameters, page_parameters, parameter, plain,
    trash_parameter,
};
use schema::{reference, schema_name, schemas};

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
            "description": "Records and executions of a flowhost. The addresses of webhooks are not part of it: what they take and answer is up to their flows. What is no HTTP, or has a head beyond 64 KiB, is answered 400, 414 or 431 without a body, wherever it goes.",
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

/// The answers that every address may give, whatever is asked of it.
fn with_problems(mut answers: Map<String, Value>, codes: &[u16]) -> Value {
    for status in [400, 401, 403, 404, 431, 500, 503].iter().chain(codes) {
        answers.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    Value::Object(answers)
}

fn json_answer(description: &str, schema: Value) -> Map<String, Value> {
    let answer = json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    Map::from_iter([("200".to_owned(), answer)])
}

/// An answer with a record: its entity tag guards a change against those of others.
fn record_answer(record: &Value) -> Map<String, Value> {
    with_etag(json_answer("The record.", record.clone()))
}

fn with_etag(mut answer: Map<String, Value>) -> Map<String, Value> {
    answer["200"]["headers"] = json!({
        "ETag": { "required": true, "schema": { "type": "string" }, "description": "The revision, for `If-Match`." },
    });
    answer
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

const CHANGE_PROBLEMS: &[u16] = &[408, 409, 412, 413, 422];

fn add_type(paths: &mut Map<String, Value>, definition: &'static TypeDefinition) {
    let (path, name) = (definition.path, schema_name(definition));
    let record = wrapped(path, reference(&name));
    let records = wrapped(path, json!({ "type": "array", "items": reference(&name) }));
    let is_execution = definition.record_type == RecordType::Execution;

    let mut parameters = [common_parameters(definition), list_parameters(definition)].concat();
    if is_execution {
        let text = || json!({ "type": "string" });
        for (name, schema, description) in [
            ("status", json!({ "type": "string", "enum": Status::NAMES }), "Of this status; short for a filter."),
            ("flow", text(), "Of the flow of this name."),
            ("webhook", text(), "Of the webhook of this name."),
            ("before", json!({ "type": "string", "format": "uuid" }), "Older than the execution with this id."),
        ] {
            parameters.push(parameter(name, "query", schema, description));
        }
    } else {
        parameters.push(trash_parameter());
    }
    let list = operation(
        format!("list_{path}"),
        format!("A page of records: {}", definition.description),
        parameters,
        with_problems(json_answer("The page.", records), &[422]),
    );
    let mut collection = Map::from_iter([("get".to_owned(), list)]);
    if definition.is_managed {
        let mut create = operation(
            format!("create_{path}"),
            format!("Makes a {path}."),
            common_parameters(definition),
            with_problems(record_answer(&record), CHANGE_PROBLEMS),
        );
        create["requestBody"] = body(reference(&format!("New{name}")));
        if definition.record_type == RecordType::Flow {
            add_deployment(&mut create);
        }
        collection.insert("post".into(), create);
    }
    paths.insert(format!("/api/latest/{path}"), Value::Object(collection));

    let mut parameters = [id_parameters(), common_parameters(definition)].concat();
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
        with_problems(
            if is_execution { json_answer("The record.", record.clone()) } else { record_answer(&record) },
            &[],
        ),
    );
    let mut one = Map::from_iter([("get".to_owned(), read)]);
    if !is_execution {
        let tag = json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,19}\")$" });
        let if_match = parameter("If-Match", "header", tag, "The `ETag` that the writer has read.");
        if definition.record_type != RecordType::Message {
            let mut update = operation(
                format!("update_{path}"),
                format!("Changes a {path}; what is absent stays as it is."),
                [parameters.clone(), vec![if_match.clone()]].concat(),
                with_problems(record_answer(&record), CHANGE_PROBLEMS),
            );
            update["requestBody"] = body(reference(&format!("{name}Change")));
            one.insert("patch".into(), update);
        }
        if definition.record_type == RecordType::Setting {
            let mut put = operation(
                "put_setting".into(),
                "Makes a setting or replaces its value.".into(),
                [parameters.clone(), vec![if_match.clone()]].concat(),
                with_problems(record_answer(&record), CHANGE_PROBLEMS),
            );
            put["requestBody"] = json!({
                "required": true,
                "description": "The value itself; a body that holds none is refused.",
                "content": { "application/json": { "schema": {} }, "application/yaml": { "schema": {} } },
            });
            one.insert("put".into(), put);
        }
        if definition.is_managed {
            let permanently = flag("permanently", "Past the trash, for good.");
            let delete = operation(
                format!("delete_{path}"),
                format!("Puts a {path} into the trash."),
                [id_parameters(), vec![permanently, commit_message(), if_match]].concat(),
                with_problems(no_content("Done."), &[409, 412]),
            );
            one.insert("delete".into(), delete);
            let restore = operation(
                format!("restore_{path}"),
                format!("Takes a {path} out of the trash."),
                [parameters, vec![commit_message()]].concat(),
                with_problems(record_answer(&record), &[409, 412]),
            );
            paths.insert(format!("/api/latest/{path}/{{id}}/action/restore"), json!({ "post": restore }));
        }
        let history = operation(
            format!("history_{path}"),
            format!("What was done with a {path}, newest first."),
            [id_parameters(), vec![plain()], page_parameters("Entries")].concat(),
            with_problems(json_answer("The history.", json!({})), &[422]),
        );
        paths.insert(format!("/api/latest/{path}/{{id}}/history"), json!({ "get": history }));
    }
    paths.insert(format!("/api/latest/{path}/{{id}}"), Value::Object(one));
}

/// A flow is also made by uploading its first version.
fn add_deployment(create: &mut Value) {
    create["requestBody"]["content"]["application/wasm"] = json!({});
    if let Some(parameters) = create["parameters"].as_array_mut() {
        let name = json!({ "type": "string", "maxLength": 128 });
        parameters.push(parameter("name", "query", name, "With a component: the flow to make, or to give a version."));
        parameters.push(commit_message());
    }
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
            get(
                "ready",
                "Whether new calls are taken and can be kept.",
                vec![],
                with_problems(json_answer("They are.", any()), &[]),
            ),
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
        plain(),
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
        ("resume", "Lets a paused execution run, for a user who may do all that it may."),
        (
            "rerun",
            "Starts the same flow with the same input, request and permissions, for a user who may do all that it may.",
        ),
        ("set-productive", "Switches a paused execution to productive mode, and lets it run."),
    ] {
        let answers =
            with_problems(json_answer("The execution.", wrapped("execution", reference("Execution"))), &[409]);
        let parameters = [by_id(), common_parameters(definition(RecordType::Execution))].concat();
        add(
            &format!("execution/{{id}}/action/{verb}"),
            post(&format!("execution_{}", verb.replace('-', "_")), summary, parameters, answers),
        );
    }

    add(
        "flow/{id}/version",
        get(
            "flow_versions",
            "The versions, newest first.",
            [id_parameters(), vec![plain()]].concat(),
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

    let mut content = get(
        "file_content",
        "The bytes of a file.",
        id_parameters(),
        with_problems(
            with_etag(Map::from_iter([(
                "200".to_owned(),
                json!({ "description": "The bytes, in the file's media type.", "content": { "*/*": {} } }),
            )])),
            &[],
        ),
    );
    let mut replace = operation(
        "replace_file_content".into(),
        "Replaces the bytes of a file. By name, it is made where there is none.".into(),
        [id_parameters(), vec![plain()]].concat(),
        with_problems(with_etag(json_answer("The file.", wrapped("file", reference("File")))), CHANGE_PROBLEMS),
    );
    // Without a body the file is empty.
    replace["requestBody"] = json!({ "content": { "application/octet-stream": {} } });
    content["put"] = replace;
    add("file/{id}/content", content);
    let mut upload = post(
        "flow_upload",
        "Uploads a component as the next version, checks it and activates it.",
        [id_parameters(), vec![commit_message()]].concat(),
        with_problems(with_etag(json_answer("What was done.", any())), CHANGE_PROBLEMS),
    );
    upload["post"]["requestBody"] = json!({ "required": true, "content": { "application/wasm": {} } });
    add("flow/{id}/action/upload", upload);
    let mut activate = post(
        "flow_activate",
        "Makes an earlier version the active one.",
        [id_parameters(), vec![commit_message()]].concat(),
        with_problems(with_etag(json_answer("What was done.", any())), CHANGE_PROBLEMS),
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
            [id_parameters(), vec![plain()]].concat(),
            with_problems(json_answer("The key.", any()), &[409, 412, 422]),
        ),
    );
    add(
        "secret/action/reseal",
        post(
            "secret_reseal",
            "Seals all secrets with the first of the host's keys; names those that the host has no key for.",
            vec![plain()],
            with_problems(json_answer("What became of them.", any()), &[409]),
        ),
    );

    let mut respond = post(
        "message_respond",
        "Responds to a message, whose execution goes on with that.",
        [by_id(), common_parameters(definition(RecordType::Message))].concat(),
        with_problems(
            with_etag(json_answer("The message.", wrapped("message", reference("Message")))),
            CHANGE_PROBLEMS,
        ),
    );
    respond["post"]["requestBody"] = body(any());
    add("message/{id}/respond", respond);

    let lock = json!({
        "type": "object",
        "required": ["name", "project_id", "project_name", "execution_id", "flow_name", "since"],
        "properties": {
            "name": { "type": "string" },
            "project_id": { "type": ["string", "null"], "format": "uuid" },
            "project_name": { "type": ["string", "null"] },
            "execution_id": { "type": "string", "format": "uuid" },
            "flow_name": { "type": "string" },
            "since": { "type": "string", "format": "date-time" },
        },
    });
    let locks = wrapped("lock", json!({ "type": "array", "items": lock }));
    add(
        "lock",
        get(
            "list_locks",
            "The locks that executions hold, by name.",
            [vec![plain()], page_parameters("Locks")].concat(),
            with_problems(json_answer("The page.", locks), &[422]),
        ),
    );
    let name = parameter("name", "path", json!({ "type": "string" }), "The lock's name.");
    let project = parameter(
        "project",
        "query",
        json!({ "type": "string" }),
        "The name of the lock's project, or nothing for executions of no project; needed where several have such a lock.",
    );
    let break_lock = operation(
        "break_lock".into(),
        "Takes a lock from the execution that holds it, which goes on without.".into(),
        vec![name, project],
        with_problems(no_content("Done."), &[409, 422]),
    );
    add("lock/{name}", json!({ "delete": break_lock }));

    let tokens = get(
        "user_tokens",
        "The API tokens of a user.",
        [id_parameters(), vec![plain()]].concat(),
        with_problems(json_answer("The tokens.", any()), &[]),
    );
    let mut tokens = tokens;
    let mut create = operation(
        "create_user_token".into(),
        "Makes an API token, which is shown this once.".into(),
        [id_parameters(), vec![plain()]].concat(),
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
