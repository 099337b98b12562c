//! The generated side of the contract: what a flow exports.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package flowhost:engine;
        world flow {
            export flowhost:flow/handler@1.2.0;
        }
    ",
    exports: { default: async },
});
