//! The compiler's process: bounded in time and memory, and gone when it is not wanted any more.

use std::fs;

use flowhost_tests::{Host, Setup, component, until};
use serde_json::json;

/// A component with one function that is so long that compiling it takes much memory.
fn demanding() -> Vec<u8> {
    let step = |number: usize| {
        let (to, one, other) = (number % 1000, number * 7 % 1000, number * 13 % 1000);
        format!(
            "(local.set {to} (i32.add (local.get {one}) (i32.mul (local.get {other}) (i32.load (i32.const {number})))))"
        )
    };
    let (locals, steps) = ("i32 ".repeat(1000), (0..200_000).map(step).collect::<String>());
    wat::parse_str(format!(
        r#"(component
            (import "flowhost:flow/types@1.0.0" (instance $types
                (type $record (record (field "message" string) (field "code" (option string))
                    (field "details" (option string)) (field "retryable" bool)))
                (export "flow-error" (type (eq $record)))))
            (alias export $types "flow-error" (type $flow-error))
            (core module $module
                (memory (export "memory") 1)
                (func (export "run") (param i32 i32) (result i32) (local {locals}) {steps} i32.const 0)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))
            (core instance $instance (instantiate $module))
            (func $run (param "input" string) (result (result string (error $flow-error)))
                (canon lift (core func $instance "run") (memory $instance "memory") (realloc (func $instance "realloc"))))
            (instance $handler (export "run" (func $run)))
            (export "flowhost:flow/handler@1.0.0" (instance $handler)))"#
    ))
    .unwrap()
}

/// The processes that a host has started and that still run.
fn children(host: &Host) -> String {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.process_id())).unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok()).collect()
}

fn refused_beyond(host: &Host, component: &[u8], words: &str) {
    let problem = host.deploy_as("demanding", component).problem(422, "component.invalid");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("it could not be compiled within its limits: ") && detail.contains(words), "{detail}");
    until("the compiler is gone", || children(host).trim().is_empty().then_some(()));
    host.read("flow/demanding?by=name").problem(404, "record.not-found");
}

#[test]
fn a_compilation_that_takes_too_long_is_ended() {
    let host = Setup::new().set("compile_time_ms", 1).start();
    refused_beyond(&host, &component("hello"), "longer than 1ms");
    host.read("alive").ok();
}

#[test]
fn a_compilation_that_takes_too_much_memory_is_ended() {
    let host = Setup::new().set("compile_memory_bytes", 256 << 20).start();
    refused_beyond(&host, &demanding(), "it may use 256 MiB");
    // What needs less still compiles.
    host.webhook("hello", "hello").call(&host, &json!({})).send().ok();
}

#[test]
fn what_the_compiler_finds_wrong_is_told() {
    let host = Host::shared();
    let mut broken = component("hello");
    let third = broken.len() / 3;
    broken[third..third + 2_000].fill(0xff);
    let problem = host.deploy_as("broken", broken).problem(422, "component.invalid");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("damaged WebAssembly: ") && !detail.contains('\n'), "{detail}");
    assert_eq!(detail.matches("damaged").count(), 1, "{detail}");
}
