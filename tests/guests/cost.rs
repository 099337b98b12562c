//! Makes the call that its payload's `call` names, `times` times: what `host/runtime/examples/capability_cost.rs` measures.

#![cfg(target_family = "wasm")]

use std::hint::black_box;

use flowhost_guest::bindings::flowhost::flow::{execution, response, settings};
use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    call: Call,
    times: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    Nothing,
    Deadline,
    Id,
    Log,
    LogFields,
    SetOutput,
    AppendOutput,
    SetStatus,
    SetHeader,
    GetSetting,
}

#[flow]
fn cost(_this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    for _ in 0..plan.times {
        perform(black_box(plan.call)).map_err(flowhost_guest::HostError::from)?;
    }
    Ok(Outputs::new())
}

fn perform(call: Call) -> Result<(), flowhost_guest::bindings::flowhost::flow::types::HostError> {
    match call {
        Call::Nothing => Ok(()),
        Call::Deadline => {
            black_box(execution::deadline());
            Ok(())
        }
        Call::Id => {
            black_box(execution::id());
            Ok(())
        }
        Call::Log => {
            execution::log(execution::Level::Info, "a line of some length", None);
            Ok(())
        }
        Call::LogFields => {
            execution::log(execution::Level::Info, "a line of some length", Some(r#"{"orders":3,"customer":"Ada"}"#));
            Ok(())
        }
        Call::SetOutput => execution::set_output("orders", r#"{"orders":3,"customer":"Ada"}"#),
        Call::AppendOutput => execution::append_output("orders", "3"),
        Call::SetStatus => response::set_status(201),
        Call::SetHeader => response::set_header("x-orders", b"3"),
        Call::GetSetting => settings::get("cost").map(drop),
    }
}
