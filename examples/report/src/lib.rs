//! Keeps the orders of a bakery in a file for each month, and makes a table for spreadsheets of them.
//!
//! A request with an order as its payload adds it to the file `orders/MONTH.jsonl`, a line of JSON each. Orders that come at the same
//! time do not disturb each other: `append` adds whole. A request without a payload makes the file `reports/MONTH.csv` of what was
//! ordered in the `month` of its query, and answers with it as a download. The webhook's executions need a role that lets them
//! create, read and update files, such as `Developer`.
//!
//! ```sh
//! flowhost webhook create report --flow report --role Developer --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/report/call -d @requests/bread.json
//! curl http://127.0.0.1:8080/api/latest/webhook/report/call -d @requests/rolls.json
//! curl -OJ 'http://127.0.0.1:8080/api/latest/webhook/report/call?month=2026-11'
//! ```

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Deserialize, Serialize)]
struct Order {
    /// The day of delivery: `2026-11-22`.
    day: String,
    customer: String,
    product: String,
    quantity: u32,
    cents: u64,
}

#[flow(title = "Orders and their report", description = "Keeps orders, and gives a month of them as a table.")]
fn report(this: &Execution, order: Input<Option<Order>>) -> Result<Outputs, FlowError> {
    match &order.json {
        Some(order) => keep(this, order),
        None => {
            let month = order.query_value("month").ok_or_else(|| FlowError::invalid_input("name the `month`"))?;
            tell(this, month)
        }
    }
}

/// Adds an order to its month's.
fn keep(this: &Execution, order: &Order) -> Result<Outputs, FlowError> {
    let month = order.day.get(..7).unwrap_or_default();
    check_month(month)?;
    let line = serde_json::to_string(order)? + "\n";
    let size = this.files().append(&orders_of(month), line)?;
    Ok(Outputs::new().set("month", month).set("bytes", size))
}

/// Makes the table of a month, and answers with it.
fn tell(this: &Execution, month: &str) -> Result<Outputs, FlowError> {
    check_month(month)?;
    let orders = match this.files().read_to_string(&orders_of(month)) {
        Ok(orders) => orders,
        Err(refused) if refused.code() == "files.not-found" => String::new(),
        Err(refused) => return Err(refused.into()),
    };
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["day", "customer", "product", "quantity", "price"])?;
    let (mut count, mut total) = (0_u64, 0);
    for line in orders.lines() {
        let Order { day, customer, product, quantity, cents } = serde_json::from_str(line)?;
        table.write_record([&day, &text(&customer), &text(&product), &quantity.to_string(), &money(cents)])?;
        count += 1;
        total += cents;
    }
    table.write_record(["total", "", "", "", &money(total)])?;

    let name = format!("reports/{month}.csv");
    this.files().write_with_type(&name, table.into_inner()?, "text/csv; charset=utf-8")?;
    let answer = this.response();
    answer.set_header("content-disposition", format!("attachment; filename=\"orders-{month}.csv\""))?;
    answer.file(&name)?;
    Ok(Outputs::new().set("file", name).set("orders", count))
}

fn orders_of(month: &str) -> String {
    format!("orders/{month}.jsonl")
}

/// A month becomes part of names: `2026-11` and nothing else.
fn check_month(month: &str) -> Result<(), FlowError> {
    let fits = |(at, byte): (usize, u8)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() };
    if month.len() == 7 && month.bytes().enumerate().all(fits) {
        return Ok(());
    }
    Err(FlowError::invalid_input(format_args!("`{month}` is no month such as 2026-11")))
}

/// A text that somebody else wrote. A spreadsheet takes one that begins like a formula for one, unless there is a quote before it.
fn text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

/// 1250 cents: `12.50`.
fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(file: &str) -> Input<Option<Order>> {
        Input::new(Some(serde_json::from_str(file).unwrap()))
    }

    fn month(month: &str) -> Input<Option<Order>> {
        Input::new(None).with_query("month", month)
    }

    #[test]
    fn orders_become_a_table_that_is_downloaded() {
        let this = Execution::for_test();
        for file in [
            include_str!("../requests/bread.json"),
            include_str!("../requests/december.json"),
            include_str!("../requests/rolls.json"),
        ] {
            report(&this, order(file)).unwrap();
        }
        let outputs = report(&this, month("2026-11")).unwrap();
        assert_eq!(
            (outputs.get("orders").unwrap(), outputs.get("file").unwrap()),
            (&2.into(), &"reports/2026-11.csv".into())
        );
        let expected = "day,customer,product,quantity,price\n\
                        2026-11-22,\"Café \"\"Zur Post\"\", Graz\",rye,12,46.80\n\
                        2026-11-22,Ada Lovelace,rolls,30,21.00\n\
                        total,,,,67.80\n";
        let answer = this.answer().unwrap();
        assert_eq!((answer.status, answer.text()), (200, expected));
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"orders-2026-11.csv\""));
        assert_eq!(this.files_saved()["reports/2026-11.csv"], expected.as_bytes());
    }

    #[test]
    fn a_name_is_no_formula() {
        let this = Execution::for_test();
        report(&this, order(include_str!("../requests/december.json"))).unwrap();
        report(&this, month("2026-12")).unwrap();
        assert!(this.answer().unwrap().text().contains("2026-12-01,'=1+1,stollen,1,18.90\n"));
    }

    #[test]
    fn a_month_without_orders_has_an_empty_table() {
        let this = Execution::for_test();
        assert_eq!(report(&this, month("2025-01")).unwrap().get("orders").unwrap(), 0);
        assert!(this.answer().unwrap().text().ends_with("total,,,,0.00\n"));
    }

    #[test]
    fn what_is_no_month_is_part_of_no_name() {
        let this = Execution::for_test();
        for wrong in ["", "2026-1", "2026-111", "2026/11", "../x/y", "2026-1é"] {
            assert_eq!(report(&this, month(wrong)).unwrap_err().code(), Some(FlowError::INVALID_INPUT), "{wrong}");
        }
        let mut input = order(include_str!("../requests/rolls.json"));
        input.json.as_mut().unwrap().day = "tomorrow".into();
        assert_eq!(report(&this, input).unwrap_err().code(), Some(FlowError::INVALID_INPUT));
        assert_eq!(report(&this, Input::new(None)).unwrap_err().code(), Some(FlowError::INVALID_INPUT));
        assert!(this.files_saved().is_empty());
    }
}
