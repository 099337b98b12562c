//! The example does what its documentation says.

use std::process::Command;

const FLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests/embed-capability-flow.wasm");

#[test]
fn the_flow_takes_from_the_programs_own_shelves() {
    let ran = Command::new(env!("CARGO_BIN_EXE_embed-capability")).arg(FLOW).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "run `cargo xtask guests` first: {}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(said, "{\"ordered\":2,\"left\":1}\nflow.error: only 1 of lamp left\n");
}

#[test]
fn the_program_is_as_short_as_it_is_said_to_be() {
    assert!(include_str!("../src/main.rs").lines().count() < 80);
}
