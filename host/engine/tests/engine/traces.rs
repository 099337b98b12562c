//! Traces of components whose names are hostile.

use std::fmt::Write;

use flowhost_engine::{InvalidComponent, Outcome};

use crate::component::Component;
use crate::sandbox::{BUDGET, Sandbox, run};

/// A mangled C++ name of some 450 bytes. Each of its types has six of the type before it: written out it has 6^20 parts.
fn cpp_name() -> String {
    let mut name = "_Z1f1aIiiiiiiE".to_owned();
    // Each level adds two substitutions, for the template and for the type; the last one so far is the type.
    for level in 0..20_u32 {
        let last = substitution(2 * level + 1);
        write!(name, "1bI{}E", last.repeat(6)).unwrap();
    }
    name
}

/// The name of the n-th substitution: `S_`, `S0_`, …, `SZ_`, `S10_`, ….
fn substitution(number: u32) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digit = |number: u32| char::from(digits[number as usize]);
    match number.checked_sub(1) {
        None => "S_".to_owned(),
        Some(number) if number < 36 => format!("S{}_", digit(number)),
        Some(number) => format!("S{}{}_", digit(number / 36), digit(number % 36)),
    }
}

/// A flow that traps in a function of this name.
fn trapping_in(name: &str) -> Component {
    let field = format!("(func ${name} (@name \"{name}\") unreachable)");
    Component { fields: field.leak(), run: format!("call ${name} i32.const 16").leak(), ..Component::default() }
}

#[tokio::test]
async fn crafted_name_in_a_trap_costs_nothing() {
    let name = cpp_name();
    assert!(name.len() < 1_000);
    let Outcome::Trap { trace: Some(trace), .. } = run(&trapping_in(&name), BUDGET).await else {
        panic!("no trap with a trace");
    };
    assert!(trace.contains("_Z1f1aI") && trace.len() < 2_000, "{trace}");
}

#[tokio::test]
async fn rust_name_in_a_trap_is_readable() {
    let flow = trapping_in("_ZN6orders5price17h0123456789abcdefE");
    let Outcome::Trap { trace: Some(trace), .. } = run(&flow, BUDGET).await else { panic!("no trap with a trace") };
    assert!(trace.contains("!orders::price\n"), "{trace}");
}

#[tokio::test]
async fn component_with_an_endless_name_is_rejected() {
    let flow = trapping_in(&"n".repeat(70_000)).build();
    let refusal = Sandbox::new().refusal(&flow).await;
    assert!(matches!(refusal, InvalidComponent::LongName { size: 70_000, .. }), "{refusal}");
}
