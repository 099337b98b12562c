//! Data that a host cannot have are left as they are, and who started it learns why.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use flowhost_tests::{Host, NotStarted, Ran, Setup};
use serde_json::json;

/// The exit code for what is wrong on this machine.
const LOCAL: i32 = 8;

fn refused(ended: &NotStarted, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(LOCAL), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// What a service manager shows is the last line: it has path, reason and advice.
fn refused_in_one_line(ended: &NotStarted, words: &[&str]) {
    refused(ended, words);
    let last = ended.stderr.trim_end().lines().last().unwrap();
    for word in words {
        assert!(last.contains(word), "`{word}` is not in the last line: {}", ended.stderr);
    }
}

#[test]
fn a_folder_serves_one_process_at_a_time() {
    let host = Host::start();
    let hello = host.webhook("hello", "hello");
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused(&ended, &["in use by another process", "--data"]);
    // Deleting the file `lock` lets no second host in.
    fs::remove_file(host.data().join("lock")).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused(&ended, &["in use by another process", "--data"]);
    hello.call(&host, &json!({})).send().ok();
    host.kill();
    Setup::new().data_of(&host).start();
}

#[test]
fn data_of_a_newer_version_are_refused_and_left_as_they_are() {
    let host = Host::start();
    host.terminate();
    host.wait();
    let file = host.data().join("flowhost.sqlite3");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 9_999).unwrap();
    // Leaves no log beside the file.
    connection.pragma_update(None, "journal_mode", "delete").unwrap();
    drop(connection);
    let before = fs::read(&file).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused(&ended, &["schema version 9999", "use a newer flowhost"]);
    assert!(fs::read(&file).unwrap() == before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let host = Host::start();
    host.terminate();
    host.wait();
    let file = host.data().join("flowhost.sqlite3");
    fs::write(&file, "my diary\n".repeat(1000)).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused_in_one_line(&ended, &[file.to_str().unwrap(), "no SQLite database", "backup"]);
    assert_eq!(fs::read(&file).unwrap(), "my diary\n".repeat(1000).as_bytes());
}

/// Files that an operator, a restore or a mount left in the place of the database.
#[test]
fn database_that_is_not_the_hosts_is_refused() {
    let host = Host::start();
    host.terminate();
    host.wait();
    let file = host.data().join("flowhost.sqlite3");
    let path = file.to_str().unwrap();
    let own = fs::read(&file).unwrap();

    for content in [Some(&b""[..]), None] {
        fs::remove_file(&file).unwrap();
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let ended = Setup::new().data_of(&host).try_start().unwrap_err();
        refused_in_one_line(&ended, &[path, "missing or empty", "operator-token", "backup"]);
        assert_eq!(fs::read(&file).ok().as_deref(), content);
    }

    fs::write(&file, "").unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE contact (name TEXT); PRAGMA user_version = 3").unwrap();
    drop(other);
    let before = fs::read(&file).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused_in_one_line(&ended, &[path, "another program", "backup"]);
    assert!(fs::read(&file).unwrap() == before);

    // Its own, cut off behind the header.
    fs::write(&file, &own[..8192]).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused_in_one_line(&ended, &[host.data().to_str().unwrap(), "damaged", "backup"]);

    fs::write(&file, own).unwrap();
    Setup::new().data_of(&host).start();
}

#[test]
fn folder_without_permission_is_no_damage() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::start();
    host.terminate();
    host.wait();
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(host.data(), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o500);
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    mode(0o700);
    refused_in_one_line(&ended, &[host.data().to_str().unwrap(), "ermission", "--data"]);
    assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for data in [file.clone(), file.join("below")] {
        let ran = Ran::alone(&["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
        assert_eq!(ran.exit, Some(LOCAL), "{ran:?}");
        assert!(ran.stderr.contains(file.to_str().unwrap()) && !ran.stderr.contains("panicked"), "{ran:?}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let host = Host::start();
    let folder = tempfile::tempdir().unwrap();
    let address = host.address().to_string();
    let ran = Ran::alone(&["serve", "--listen", &address, "--data", folder.path().join("data").to_str().unwrap()]);
    assert_eq!(ran.exit, Some(LOCAL), "{ran:?}");
    for word in ["cannot listen on", &address, "--listen"] {
        assert!(ran.stderr.contains(word), "`{word}` is not in: {ran:?}");
    }
}

#[test]
fn a_lost_token_is_replaced_at_the_next_start() {
    let host = Host::start();
    let former = host.token();
    host.kill();
    fs::remove_file(host.data().join("operator-token")).unwrap();
    let host = host.restart();
    assert_ne!(host.token(), former);
    host.read("flow").ok();
    let with_former = host.get("/api/latest/flow").header("Authorization", format!("Bearer {former}"));
    with_former.send().problem(401, "access.unauthorized");
}

#[test]
fn folder_that_all_users_may_write_is_refused() {
    let host = Host::start();
    host.terminate();
    host.wait();
    fs::set_permissions(host.data(), Permissions::from_mode(0o777)).unwrap();
    let ended = Setup::new().data_of(&host).try_start().unwrap_err();
    refused(&ended, &["every user of this machine may write the data folder", "chmod 700"]);
    fs::set_permissions(host.data(), Permissions::from_mode(0o700)).unwrap();
    Setup::new().data_of(&host).start();
}

#[test]
fn compiled_code_that_others_may_write_is_compiled_again() {
    let host = Host::start();
    let hello = host.webhook("hello", "hello");
    hello.call(&host, &json!({})).send().ok();
    host.terminate();
    host.wait();
    let artifacts = host.data().join("artifacts");
    let planted = artifacts.join("planted.artifact");
    fs::write(&planted, "code").unwrap();
    fs::set_permissions(&artifacts, Permissions::from_mode(0o777)).unwrap();
    let host = Setup::new().data_of(&host).start();
    assert!(host.log().contains("others may write where compiled components are kept"), "{}", host.log());
    assert!(!planted.exists());
    assert_eq!(fs::metadata(&artifacts).unwrap().permissions().mode() & 0o777, 0o700);
    hello.call(&host, &json!({})).send().ok();
}

#[test]
fn host_that_others_may_reach_without_tls_says_so() {
    const WARNING: &str = "it speaks no TLS";
    let start =
        |url: &str| Setup::new().flag("--listen", "0.0.0.0:0").flag("--set", &format!("public_url={url}")).start();
    assert!(start("").log().contains(WARNING));
    assert!(!start("https://flows.example").log().contains(WARNING));
    assert!(!Host::start().log().contains(WARNING));
}
