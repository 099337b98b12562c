//! Writes to its log in every way there is: each level, with and without fields, standard output and error, progress.

#![cfg(target_family = "wasm")]

use std::io::Write;

use flowhost_guest::bindings::flowhost::flow::execution;
use flowhost_guest::{Execution, FlowError, Level, Outputs, flow, json};

#[flow]
fn logger(this: &Execution) -> Result<Outputs, FlowError> {
    this.trace("a trace line");
    this.debug("a debug line");
    this.info("an info line");
    this.warn("a warn line");
    this.error("an error line");
    this.log(Level::Info, "with fields", &json!({ "number": 1, "nested": { "list": [true, null] } }));
    this.log(Level::Info, "with a list for fields", &json!([1, 2]));
    execution::log(execution::Level::Info, "with broken fields", Some("{not json"));
    this.info("two\nlines, a tab\t, a bell \u{7} and ünïcödé");
    println!("to standard output");
    eprintln!("to standard error");
    println!("two\nlines");
    std::io::stdout().write_all(b"bytes \xff that are no text\n")?;
    this.progress("half way");
    print!("no line end");
    std::io::stdout().flush()?;
    this.progress("done");
    Ok(Outputs::new())
}
