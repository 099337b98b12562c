//! Orders from the shelves of the program that embeds the host.

use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde::Deserialize;

wit_bindgen::generate!({ path: "../wit", world: "shop" });

use acme::shop::stock;

/// What is ordered.
#[derive(Deserialize)]
struct Order {
    article: String,
    pieces: u32,
}

#[flow]
fn order(input: Input<Order>) -> Result<Outputs, FlowError> {
    let Order { article, pieces } = &input.json;
    match stock::take(article, *pieces) {
        Ok(left) => Ok(Outputs::new().set("ordered", *pieces).set("left", left)),
        Err(left) => {
            let message = format!("only {left} of {article} left");
            Err(FlowError::new(message).with_code("shop.sold-out"))
        }
    }
}
