//! What a crash leaves behind.

use std::process::Command;

use super::*;

/// Where the process that crashes finds its data, and after which commit it does.
const FOLDER: &str = "FLOWHOST_STORE_CRASH_FOLDER";
const COMMITS: &str = "FLOWHOST_STORE_CRASH_COMMITS";

/// Not a test by itself: what [`a_crash_after_a_commit_leaves_what_it_wrote`] runs in another process.
#[tokio::test]
async fn crashing() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let commits = std::env::var(COMMITS).unwrap().parse().unwrap();
    let options = SqliteOptions { abort_after_commits: Some(commits), ..SqliteOptions::default() };
    let store = SqliteStore::open(Path::new(&folder), options).unwrap();
    for _ in 0..5 {
        store.end_execution(ended(1), Vec::new(), false).await.unwrap();
        println!("answered");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crash_after_a_commit_leaves_what_it_wrote() {
    for (commits, answered) in [(1, 0), (3, 2), (6, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::tests::crash::crashing", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(COMMITS, commits.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.matches("answered").count(), answered, "{said}");
        assert_eq!(output.status.success(), answered == 5, "{said}");
        assert_eq!(count(&open(folder.path())).await, 5.min(commits));
    }
}
