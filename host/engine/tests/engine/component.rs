//! Components as text: the least that a flow can be, with the places where a hostile one does harm left open.

/// A flow whose parts can be replaced. Untouched it returns `{}`.
pub(crate) struct Component {
    /// Imports and definitions before the module, in the component.
    pub(crate) outside: &'static str,
    /// What the module's instance is given: `(with "name" (instance …))`.
    pub(crate) with: &'static str,
    /// Fields of the module, imports first.
    pub(crate) fields: &'static str,
    /// The module's memory, in pages: `MIN` or `MIN MAX`.
    pub(crate) memory: &'static str,
    /// The body of the handler's function, which gives the address of its result.
    pub(crate) run: &'static str,
    /// The body of `cabi_realloc`, which gives an address for the input.
    pub(crate) realloc: &'static str,
    /// The body of the function that is called when the host has read the result.
    pub(crate) post_return: &'static str,
}

impl Default for Component {
    fn default() -> Self {
        Self {
            outside: "",
            with: "",
            fields: "",
            memory: "1",
            run: "i32.const 16",
            realloc: "i32.const 4096",
            post_return: "",
        }
    }
}

impl Component {
    /// The component's bytes.
    pub(crate) fn build(&self) -> Vec<u8> {
        let Self { outside, with, fields, memory, run, realloc, post_return } = self;
        // At 16 stands the result `ok("{}")`: its case, the text's address and length.
        binary(&format!(
            r#"(component
                {TYPES}
                {outside}
                (core module $module
                    {fields}
                    (memory (export "memory") {memory})
                    (data (i32.const 8) "{{}}")
                    (data (i32.const 16) "\00\00\00\00\08\00\00\00\02\00\00\00")
                    (func (export "run") (param i32 i32) (result i32) {run})
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                    (func (export "post-return") (param i32) {post_return}))
                (core instance $instance (instantiate $module {with}))
                (func $run (param "input" string) (result (result string (error $flow-error)))
                    (canon lift (core func $instance "run") (memory $instance "memory")
                        (realloc (func $instance "realloc")) (post-return (func $instance "post-return"))))
                (instance $handler (export "run" (func $run)))
                (export "flowhost:flow/handler@1.0.0" (instance $handler)))"#
        ))
    }
}

/// The type that a flow's handler needs.
pub(crate) const TYPES: &str = r#"
    (import "flowhost:flow/types@1.0.0" (instance $types
        (type $record (record (field "message" string) (field "code" (option string)) (field "details" (option string))
            (field "retryable" bool)))
        (export "flow-error" (type (eq $record)))))
    (alias export $types "flow-error" (type $flow-error))"#;

/// Text as WebAssembly.
pub(crate) fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
