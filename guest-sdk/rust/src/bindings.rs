//! The contract in `wit/` as Rust, for flows that need it raw. Not part of the stable API.

#![allow(missing_docs, unsafe_code, unreachable_pub)]

wit_bindgen::generate!({
    path: "wit",
    world: "flow",
    pub_export_macro: true,
});
