//! Every call that `docs/webhooks.md` shows is answered with the status that stands beside it.

use std::process::Command;

use flowhost_tests::{Host, workspace_file};

/// The lines of the page's shell blocks.
fn lines(page: &str) -> Vec<&str> {
    let mut is_shell = false;
    let shown = page.lines().filter(|line| {
        if line.starts_with("```") {
            is_shell = *line == "```sh";
            return false;
        }
        is_shell
    });
    shown.collect()
}

#[test]
fn every_call_of_the_page_is_answered_as_it_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("this machine has no curl; other tests make the same calls");
        return;
    }
    let host = Host::start();
    host.deploy("hello");
    let page = String::from_utf8(workspace_file("docs/webhooks.md")).unwrap();
    let (mut setup, mut calls) = (String::new(), 0);
    for line in lines(&page) {
        let line = line.replace("http://127.0.0.1:8080", &host.url());
        if line.starts_with("flowhost ") || line.contains("| flowhost ") {
            assert_eq!(host.shell(&line).exit, Some(0), "{line}");
        } else if let Some((call, status)) = line.strip_prefix("curl ").and_then(|call| call.rsplit_once("# ")) {
            let ran = host.shell(&format!("{setup}\ncurl -s -o /dev/null -w '%{{http_code}}' {call}"));
            assert_eq!((ran.exit, ran.stdout.as_str()), (Some(0), status), "{line}: {}", ran.stderr);
            calls += 1;
        } else {
            // A variable that a later line uses.
            setup = line;
        }
    }
    assert_eq!(calls, page.matches("\ncurl ").count());
    assert!(calls > 15, "{calls}");
}
