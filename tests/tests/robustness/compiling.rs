//! The compiler's process: bounded in time and memory, and gone when it is not wanted any more.

use std::fs;

use flowhost_tests::{Host, Setup, component, until};
use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, waitpid};
use serde_json::json;

use crate::written;

/// A component with one function that is so long that compiling it takes much memory.
fn demanding() -> Vec<u8> {
    let step = |number: usize| {
        let (to, one, other) = (number % 1000, number * 7 % 1000, number * 13 % 1000);
        format!(
            "(local.set {to} (i32.add (local.get {one}) (i32.mul (local.get {other}) (i32.load (i32.const {number})))))"
        )
    };
    let (locals, steps) = ("i32 ".repeat(1000), (0..200_000).map(step).collect::<String>());
    written::flow(&format!(
        r#"(memory (export "memory") 1)
           (func (export "run") (param i32 i32) (result i32) (local {locals}) {steps} i32.const 0)
           (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)"#
    ))
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
fn small_component_of_a_large_program_is_refused() {
    let host = Setup::new().set("compile_artifact_bytes", 8 << 20).start();
    // A memory whose data begin and end far apart is in the program as a whole, with all that is between them.
    let sparse = r#"(data (i32.const 0) "a") (data (i32.const 16000000) "z")"#;
    let small = written::flow(&written::returning("{}", "").replace(") 1)", &format!(") 300) {sparse}")));
    assert!(small.len() < 2_000);
    refused_beyond(&host, &small, "at most 8388608 are allowed");
}

#[test]
fn compiler_ends_when_its_host_is_killed() {
    // The worker without a host becomes this process's child, which so learns how it ended.
    set_child_subreaper(Some(getpid())).unwrap();
    let host = Host::start();
    let upload = host.post("/api/latest/flow?name=demanding", demanding());
    let _upload = upload.header("Content-Type", "application/wasm").as_operator().start();
    let worker = until("the compiler has its component", || {
        let worker: i32 = children(&host).split_whitespace().next()?.parse().ok()?;
        let threads = fs::read_dir(format!("/proc/{worker}/task")).ok()?;
        let mut names = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.any(|name| name.trim() == "host-watch").then_some(worker)
    });
    until("the compiler has its limits", || {
        let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
        let limited = |what: &str| limits.lines().any(|line| line.starts_with(what) && !line.contains("unlimited"));
        ["Max cpu time", "Max address space", "Max file size"].into_iter().all(limited).then_some(())
    });
    host.kill();
    let (_, ended) = waitpid(Pid::from_raw(worker), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(ended.terminating_signal(), Some(Signal::KILL.as_raw()), "{ended:?}");
    assert_eq!(fs::read_dir(host.data().join("artifacts")).unwrap().count(), 0);
}

#[test]
fn unwritable_artifacts_are_told_once_and_fail_no_call() {
    let host = Host::start();
    let former = host.webhook("former", "hello");
    host.kill();
    let artifacts = host.data().join("artifacts");
    fs::remove_dir_all(&artifacts).unwrap();
    fs::write(&artifacts, "not a folder").unwrap();
    let host = host.restart();
    for webhook in [former, host.webhook("echo", "echo")] {
        webhook.call(&host, &json!({})).send().ok();
    }
    let told = "compiled programs cannot be kept";
    assert_eq!(host.log().matches(told).count(), 1, "{}", host.log());
    assert!(!host.log().contains("ERROR"), "{}", host.log());
    fs::remove_file(&artifacts).unwrap();
    host.deploy("exit");
    assert!(host.log().contains("compiled programs are kept again"), "{}", host.log());
    assert_eq!(fs::read_dir(&artifacts).unwrap().count(), 1);
}

#[test]
fn deployment_on_a_full_disk_is_refused_as_such() {
    let host = Setup::new().set("data_bytes", 4 << 20).start();
    let ballast = json!({ "ballast": "x".repeat(20_000) }).to_string();
    let mut names = (0..1_000).map(|number| format!("ballast-{number}"));
    let refused = names.find_map(|name| Some(host.set(&name, &ballast)).filter(|answer| answer.status >= 400));
    refused.expect("the disk is full some time").problem(503, "host.storage-full");
    let answer = host.deploy_as("hello", component("hello"));
    assert_eq!(answer.problem(503, "host.storage-full")["fault"], "host");
    host.read("flow/hello?by=name").problem(404, "record.not-found");
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
