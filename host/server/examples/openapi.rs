//! Prints the OpenAPI document of the REST API. `cargo xtask openapi` keeps it in `docs/openapi.json`.

fn main() {
    println!("{:#}", flowhost_server::openapi_document());
}
