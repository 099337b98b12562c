//! Flows that are written out, since no compiler would make them.

/// The component of a flow whose core module has these fields. They export the functions `run`, which takes the place and the
/// length of its input and returns the place of its result, and `realloc`, and the memory `memory`.
pub(crate) fn flow(fields: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (import "flowhost:flow/types@1.0.0" (instance $types
                (type $record (record (field "message" string) (field "code" (option string))
                    (field "details" (option string)) (field "retryable" bool)))
                (export "flow-error" (type (eq $record)))))
            (alias export $types "flow-error" (type $flow-error))
            (core module $module {fields})
            (core instance $instance (instantiate $module))
            (func $run (param "input" string) (result (result string (error $flow-error)))
                (canon lift (core func $instance "run") (memory $instance "memory") (realloc (func $instance "realloc"))))
            (instance $handler (export "run" (func $run)))
            (export "flowhost:flow/handler@1.0.0" (instance $handler)))"#
    ))
    .unwrap()
}

/// The fields of a module that returns these outputs after it has run these instructions.
pub(crate) fn returning(outputs: &str, instructions: &str) -> String {
    let length = outputs.len();
    let outputs = outputs.replace('"', "\\22");
    format!(
        r#"(memory (export "memory") 1)
           (data (i32.const 32) "{outputs}")
           (func (export "run") (param i32 i32) (result i32)
               {instructions}
               (i32.store (i32.const 20) (i32.const 32))
               (i32.store (i32.const 24) (i32.const {length}))
               i32.const 16)
           (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)"#
    )
}
