//! Takes the orders of a bakery's web page: a plain HTML form, no script on the page.
//!
//! A browser sends such a form as `application/x-www-form-urlencoded`, every field as text. The flow reads the fields into
//! their types, prices the order and returns what the order's e-mail needs. Amounts are in cents, since cents add up
//! exactly.
//!
//! ```html
//! <form method="post" action="https://flows.example/api/latest/webhook/default/order-form">
//!   <input name="customer" required> <input name="email" type="email" required>
//!   <select name="product"><option>rye</option><option>spelt</option><option>baguette</option></select>
//!   <input name="quantity" type="number" min="1" value="1">
//!   <label><input name="extras" type="checkbox" value="sliced"> sliced</label>
//!   <label><input name="extras" type="checkbox" value="gift-wrap"> gift wrap</label>
//!   <input name="voucher"> <textarea name="note"></textarea>
//!   <button>Order</button>
//! </form>
//! ```
//!
//! ```sh
//! curl http://127.0.0.1:8080/api/latest/webhook/default/order-form -H @requests/order.headers --data-binary @requests/order.form
//! ```

use flowhost_guest::{Execution, FlowError, Input, Level, Outputs, flow, form, json};
use serde::{Deserialize, Serialize};

/// More loaves than this are baked only after a talk.
const LARGEST_ORDER: u32 = 200;

/// The vouchers that are out, with the percentage that each takes off.
const VOUCHERS: [(&str, u32); 2] = [("NEIGHBOUR", 10), ("OPENING", 25)];

/// The form.
#[derive(Deserialize)]
struct Order {
    customer: String,
    email: String,
    product: Product,
    #[serde(deserialize_with = "form::parsed")]
    quantity: u32,
    #[serde(default, deserialize_with = "form::many")]
    extras: Vec<String>,
    #[serde(default, deserialize_with = "form::optional")]
    voucher: Option<String>,
    #[serde(default, deserialize_with = "form::optional")]
    note: Option<String>,
}

/// What can be ordered.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Product {
    Rye,
    Spelt,
    Baguette,
}

/// The priced order.
#[derive(Serialize)]
struct Confirmation {
    customer: String,
    email: String,
    product: Product,
    quantity: u32,
    extras: Vec<String>,
    note: Option<String>,
    subtotal_cents: u32,
    discount_cents: u32,
    total_cents: u32,
    total: String,
}

#[flow]
fn order_form(this: &Execution, input: Input<Order>) -> Result<Outputs, FlowError> {
    let order = input.json;
    if !(1..=LARGEST_ORDER).contains(&order.quantity) {
        return Err(FlowError::invalid_input(format_args!("`quantity` must be between 1 and {LARGEST_ORDER}")));
    }
    let mut each = order.product.cents();
    for extra in &order.extras {
        each += extra_cents(extra)?;
    }
    let subtotal_cents = each * order.quantity;
    let discount_cents = subtotal_cents * percent_off(order.voucher.as_deref())? / 100;
    let total_cents = subtotal_cents - discount_cents;
    this.log(Level::Info, "order taken", &json!({ "quantity": order.quantity, "total_cents": total_cents }));

    Outputs::of(&Confirmation {
        customer: order.customer,
        email: order.email,
        product: order.product,
        quantity: order.quantity,
        extras: order.extras,
        note: order.note,
        subtotal_cents,
        discount_cents,
        total_cents,
        total: format!("{}.{:02} €", total_cents / 100, total_cents % 100),
    })
}

impl Product {
    /// The price of one.
    fn cents(self) -> u32 {
        match self {
            Self::Rye => 420,
            Self::Spelt => 560,
            Self::Baguette => 190,
        }
    }
}

/// The price of an extra, for each loaf.
fn extra_cents(extra: &str) -> Result<u32, FlowError> {
    match extra {
        "sliced" => Ok(0),
        "gift-wrap" => Ok(150),
        _ => Err(FlowError::invalid_input(format_args!("`{extra}` is not one of the extras sliced, gift-wrap"))),
    }
}

fn percent_off(voucher: Option<&str>) -> Result<u32, FlowError> {
    let Some(code) = voucher else { return Ok(0) };
    let known = VOUCHERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code.trim()));
    known.map(|(_, percent)| *percent).ok_or_else(|| {
        FlowError::new(format_args!("the voucher `{code}` is not valid")).with_code("order.unknown-voucher")
    })
}

#[cfg(test)]
mod tests {
    use flowhost_guest::json;

    use super::*;

    /// A form's fields as the host hands them over: text, or a list of texts where a field was sent repeatedly.
    fn order(changed: serde_json::Value) -> Result<Outputs, FlowError> {
        let mut fields = json!({ "customer": "Ada", "email": "ada@example.org", "product": "rye", "quantity": "3" });
        for (name, value) in changed.as_object().unwrap() {
            fields[name] = value.clone();
        }
        order_form(&Execution::for_test(), Input::from_json(&fields.to_string())?)
    }

    #[test]
    fn a_form_is_priced() {
        let outputs = order(json!({ "extras": ["sliced", "gift-wrap"], "voucher": "neighbour", "note": "" })).unwrap();
        assert_eq!(outputs.get("subtotal_cents").unwrap(), 1710);
        assert_eq!(outputs.get("discount_cents").unwrap(), 171);
        assert_eq!(outputs.get("total").unwrap(), "15.39 €");
        assert!(outputs.get("note").unwrap().is_null());
    }

    #[test]
    fn one_ticked_box_is_a_list_of_one() {
        let outputs = order(json!({ "extras": "gift-wrap" })).unwrap();
        assert_eq!(outputs.get("extras").unwrap(), &json!(["gift-wrap"]));
        assert_eq!(outputs.get("total_cents").unwrap(), 1710);
    }

    #[test]
    fn a_mistake_is_told() {
        for (changed, message) in [
            (json!({ "quantity": "0" }), "`quantity` must be between 1 and 200"),
            (
                json!({ "quantity": "a few" }),
                "the input does not fit: `quantity`: cannot read `a few`: invalid digit found in string",
            ),
            (
                json!({ "product": "cake" }),
                "the input does not fit: `product`: unknown variant `cake`, expected one of `rye`, `spelt`, `baguette`",
            ),
            (json!({ "extras": "gold" }), "`gold` is not one of the extras sliced, gift-wrap"),
            (json!({ "voucher": "FREE" }), "the voucher `FREE` is not valid"),
        ] {
            assert_eq!(order(changed).unwrap_err().message(), message);
        }
    }
}
