//! The example does what its documentation says.

use std::process::Command;

const FLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests/hello.wasm");

#[test]
fn a_flow_is_deployed_called_and_found_again() {
    let ran = Command::new(env!("CARGO_BIN_EXE_embed")).arg(FLOW).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "run `cargo xtask guests` first: {}", String::from_utf8_lossy(&ran.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "deployed hello version 1");
    assert_eq!(lines[1], r#"answered {"greeting":"Hello, Ada!"}"#);
    assert!(lines[2].starts_with("accepted "), "{said}");
}

#[test]
fn a_missing_file_is_named_by_the_exit_status() {
    let ran = Command::new(env!("CARGO_BIN_EXE_embed")).output().unwrap();
    assert!(!ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("usage: embed"));
}

#[test]
fn the_program_is_as_short_as_it_is_said_to_be() {
    assert!(include_str!("../src/main.rs").lines().count() < 40);
}
