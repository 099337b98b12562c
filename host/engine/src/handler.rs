//! The type of what a flow exports.
//!
//! wasmtime compares it when an instance is made, which is at the first call; an author should learn of it before.

use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use crate::error::InvalidComponent;

/// The handler's name, with the version that it was first there.
const HANDLER: &str = "flowhost:flow/handler@1.0.0";

/// What `run` is, for authors.
const RUN: &str = "`run: func(input: string) -> result<string, flow-error>`";

/// Checks that a component's handler has the type that the contract says.
pub(crate) fn check(component: &Component) -> Result<(), InvalidComponent> {
    let instance = component.get_export_index(None, HANDLER);
    match instance.and_then(|instance| component.get_export(Some(&instance), "run")) {
        Some((ComponentItem::ComponentFunc(run), _)) if is_run(&run) => Ok(()),
        _ => Err(InvalidComponent::WrongExport(format!("`{HANDLER}` has no {RUN}"))),
    }
}

fn is_run(run: &ComponentFunc) -> bool {
    let mut parameters = run.params();
    let takes_text = matches!((parameters.next(), parameters.next()), (Some((_, Type::String)), None));
    let mut results = run.results();
    let gives_result = match (results.next(), results.next()) {
        (Some(Type::Result(result)), None) => {
            result.ok() == Some(Type::String) && result.err().is_some_and(|error| is_flow_error(&error))
        }
        _ => false,
    };
    takes_text && gives_result && !run.async_()
}

fn is_flow_error(error: &Type) -> bool {
    let is_optional_text = |ty: &Type| matches!(ty, Type::Option(option) if option.ty() == Type::String);
    let Type::Record(record) = error else { return false };
    let fields: Vec<_> = record.fields().collect();
    match fields.as_slice() {
        [message, code, details, retryable] => {
            (message.name, code.name, details.name, retryable.name) == ("message", "code", "details", "retryable")
                && message.ty == Type::String
                && is_optional_text(&code.ty)
                && is_optional_text(&details.ty)
                && retryable.ty == Type::Bool
        }
        _ => false,
    }
}
