//! The operator gets in, whatever became of the token's file, and wherever its replacement was cut off.

use std::fs;

use flowhost_tests::{Host, Setup};

fn stop(host: &Host) {
    host.terminate();
    host.wait();
}

fn status(host: &Host, token: &str) -> u16 {
    host.get("/api/latest/user").header("Authorization", token).send().status
}

#[test]
fn token_that_is_not_the_records_is_replaced_at_start() {
    let (mut host, other) = (Host::start(), Host::start());
    for (what, content) in [
        ("missing", None),
        ("empty", Some(String::new())),
        ("garbage", Some("\u{0}not a token".to_owned())),
        ("another host's", Some(other.token())),
    ] {
        let former = host.token();
        stop(&host);
        let file = host.data().join("operator-token");
        match content {
            None => fs::remove_file(&file).unwrap(),
            Some(content) => fs::write(&file, content).unwrap(),
        }
        host = host.restart();
        assert_eq!((status(&host, &host.token()), status(&host, &former)), (200, 401), "{what}");
        assert!(host.log().contains("a new token is written"), "{what}: {}", host.log());
        // Once it is right it stays.
        let token = host.token();
        stop(&host);
        host = host.restart();
        assert_eq!((status(&host, &token), host.token() == token), (200, true), "{what}");
        assert!(!host.log().contains("a new token is written"), "{what}: {}", host.log());
    }
}

#[test]
fn operator_gets_in_after_a_replacement_that_was_cut_off() {
    let mut host = Host::start();
    for damage in ["missing", "empty", "whole"] {
        for commits in 1.. {
            let former = host.token();
            stop(&host);
            let file = host.data().join("operator-token");
            match damage {
                "missing" => fs::remove_file(&file).unwrap(),
                "empty" => fs::write(&file, "").unwrap(),
                _ => {}
            }
            let cut_off = Setup::new().data_of(&host).flag("--abort-after-commits", &commits.to_string()).try_start();
            let survived = cut_off.is_ok();
            drop(cut_off);
            host = Setup::new().data_of(&host).start();
            assert_eq!(status(&host, &host.token()), 200, "{damage}, after {commits} commits");
            let is_valid = status(&host, &former) == 200;
            assert_eq!(is_valid, damage == "whole", "{damage}, after {commits} commits");
            if survived {
                break;
            }
        }
    }
}

#[test]
fn operator_gets_in_after_a_first_start_that_was_cut_off() {
    for commits in 1.. {
        // For a folder of its own, which is emptied.
        let folder = Host::start();
        stop(&folder);
        for entry in fs::read_dir(folder.data()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() { fs::remove_file(path).unwrap() } else { fs::remove_dir_all(path).unwrap() }
        }
        let cut_off = Setup::new().data_of(&folder).flag("--abort-after-commits", &commits.to_string()).try_start();
        let survived = cut_off.is_ok();
        drop(cut_off);
        let host = Setup::new().data_of(&folder).start();
        assert_eq!(status(&host, &host.token()), 200, "after {commits} commits");
        if survived {
            break;
        }
    }
}
