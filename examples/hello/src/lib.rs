//! Greets whoever calls: by the `name` of the query, of the payload, or as the world.
//!
//! ```sh
//! flowhost webhook create hello --flow hello --enable
//! curl "http://127.0.0.1:8080/api/latest/webhook/hello/call?name=Ada" -X POST
//! curl http://127.0.0.1:8080/api/latest/webhook/hello/call -d @requests/hello.json
//! ```

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

/// The payload, which may be left out.
#[derive(Deserialize)]
struct Caller {
    name: Option<String>,
}

#[flow]
fn hello(this: &Execution, input: Input<Option<Caller>>) -> Result<Outputs, FlowError> {
    let in_payload = input.json.as_ref().and_then(|caller| caller.name.as_deref());
    let name = input.query_value("name").or(in_payload).unwrap_or("world");
    this.info(format_args!("greeting {name}"));
    Ok(Outputs::new().set("greeting", format!("Hello, {name}!")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(input: Input<Option<Caller>>) -> String {
        hello(&Execution::for_test(), input).unwrap().get("greeting").unwrap().to_string()
    }

    #[test]
    fn the_world_is_greeted_where_nobody_is_named() {
        assert_eq!(greeting(Input::new(None)), r#""Hello, world!""#);
    }

    #[test]
    fn the_payload_names_the_caller() {
        let input = Input::from_json(include_str!("../requests/hello.json")).unwrap();
        assert_eq!(greeting(input), r#""Hello, Ada!""#);
    }

    #[test]
    fn the_query_wins() {
        let input = Input::new(Some(Caller { name: Some("Ada".into()) })).with_query("name", "Grace");
        assert_eq!(greeting(input), r#""Hello, Grace!""#);
    }
}
