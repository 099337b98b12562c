//! Takes the orders of a bakery's web page: a plain HTML form, no script on the page.
//!
//! A browser sends such a form as `application/x-www-form-urlencoded`, every field as text. The flow reads the fields into
//! their types, prices the order and returns what the order's e-mail needs. Amounts are in cents, since cents add up
//! exactly. Who asks for HTML, as browsers do, is shown a page, which they do
//! not send again without a question; a program gets the outputs.
//!
//! ```html
//! <form method="post" action="https://flows.example/api/latest/webhook/order-form/call">
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
//! flowhost webhook create order-form --flow order-form --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/order-form/call -H @requests/order.headers --data-binary @requests/order.form
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

#[flow(title = "Take orders", description = "Prices the order of a web page's form.")]
fn order_form(this: &Execution, input: Input<Order>) -> Result<Outputs, FlowError> {
    let is_browser = input.header("accept").is_some_and(|accept| accept.contains("text/html"));
    match confirm(input.json) {
        Ok(order) => {
            let fields = json!({ "quantity": order.quantity, "total_cents": order.total_cents });
            this.log(Level::Info, "order taken", &fields);
            if is_browser {
                this.response().html(order.page())?;
            }
            Outputs::of(&order)
        }
        Err(mistake) if is_browser => {
            this.response().set_status(422)?;
            let said = escaped(mistake.message());
            this.response().html(page("That is no order yet", &format!("{said}. Go back and change it.")))?;
            Ok(Outputs::new().set("mistake", mistake.message()))
        }
        Err(mistake) => Err(mistake),
    }
}

/// Checks an order and prices it.
fn confirm(order: Order) -> Result<Confirmation, FlowError> {
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
    Ok(Confirmation {
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

impl Confirmation {
    /// What the customer is shown.
    fn page(&self) -> String {
        let Self { quantity, product, extras, total, .. } = self;
        let with = if extras.is_empty() { String::new() } else { format!(" ({})", escaped(&extras.join(", "))) };
        let email = escaped(&self.email);
        let bought = format!("{quantity} × {}{with} for {total}. We write to {email}.", product.name());
        page(&format!("Thank you, {}!", escaped(&self.customer)), &bought)
    }
}

/// A page with a title and a text, both of them HTML.
fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{text}</p></html>"
    )
}

/// A text that somebody else wrote, as HTML: nothing in it is markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Rye => "rye",
            Self::Spelt => "spelt",
            Self::Baguette => "baguette",
        }
    }

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

    /// What a browser is shown, and with which status.
    fn shown(fields: &serde_json::Value) -> (u16, String) {
        let this = Execution::for_test();
        let input: Input<Order> = Input::from_json(&fields.to_string()).unwrap();
        order_form(&this, input.with_header("accept", "text/html,*/*;q=0.8")).unwrap();
        let answer = this.answer().unwrap();
        (answer.status, answer.text().to_owned())
    }

    #[test]
    fn a_browser_is_shown_a_page_and_what_customers_write_is_no_markup() {
        let fields = |customer: &str, voucher: &str| json!({ "customer": customer, "email": "a@b.org", "product": "rye", "quantity": "3", "voucher": voucher });
        let (status, page) = shown(&fields("<b>Ada</b> & Co", ""));
        assert_eq!(status, 200);
        assert!(page.contains("<h1>Thank you, &lt;b&gt;Ada&lt;/b&gt; &amp; Co!</h1>"), "{page}");
        assert!(page.contains("3 × rye for 12.60 €. We write to a@b.org."), "{page}");
        let (status, page) = shown(&fields("Ada", "<script>"));
        assert_eq!(status, 422);
        assert!(page.contains("the voucher `&lt;script&gt;` is not valid"), "{page}");
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
