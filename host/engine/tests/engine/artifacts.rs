//! The artifact cache: an artifact that is stale, damaged or gone is compiled again.

use std::fs;
use std::path::PathBuf;

use flowhost_engine::{CompileLimits, Compiler, Outcome, Pooling, Program};

use crate::component::Component;
use crate::sandbox::{BUDGET, Sandbox, digest, engine, invocation};

/// The artifacts in the sandbox's folder.
fn artifacts(sandbox: &Sandbox) -> Vec<PathBuf> {
    fs::read_dir(sandbox.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn runs(program: Program) {
    let outcome = program.invoke(invocation(BUDGET), "null", std::future::pending()).await.outcome;
    assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_compiled_component_is_loaded_by_the_next_engine() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    assert!(sandbox.engine.load(digest(&component)).await.unwrap().is_none());
    sandbox.compile(&component).await.unwrap();
    assert_eq!(artifacts(&sandbox).len(), 1);
    let next = engine(&sandbox.folder, Pooling::Auto, Compiler::InProcess, CompileLimits::default());
    runs(next.load(digest(&component)).await.unwrap().unwrap()).await;
}

#[tokio::test]
async fn a_damaged_artifact_is_compiled_again() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    sandbox.compile(&component).await.unwrap();
    let [artifact] = artifacts(&sandbox).try_into().unwrap();
    let whole = fs::read(&artifact).unwrap();
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes
    };
    let half = whole[..whole.len() / 2].to_vec();
    let damaged =
        [Vec::new(), b"short".to_vec(), whole[..32].to_vec(), half, flipped(0), flipped(32), flipped(whole.len() - 1)];
    for damaged in damaged {
        fs::write(&artifact, damaged).unwrap();
        assert!(sandbox.engine.load(digest(&component)).await.unwrap().is_none());
        runs(sandbox.compile(&component).await.unwrap()).await;
        assert!(fs::read(&artifact).unwrap() == whole);
    }
}

#[tokio::test]
async fn an_artifact_that_is_whole_but_no_artifact_is_compiled_again() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    sandbox.compile(&component).await.unwrap();
    let [artifact] = artifacts(&sandbox).try_into().unwrap();
    let content = b"not what wasmtime wrote";
    fs::write(&artifact, [digest(content).0.as_slice(), content].concat()).unwrap();
    assert!(sandbox.engine.load(digest(&component)).await.unwrap().is_none());
    runs(sandbox.compile(&component).await.unwrap()).await;
}

#[tokio::test]
async fn artifacts_of_another_engine_and_unfinished_files_are_removed() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    sandbox.compile(&component).await.unwrap();
    let [artifact] = artifacts(&sandbox).try_into().unwrap();
    let name = artifact.file_name().unwrap().to_str().unwrap();
    let (digest_part, _) = name.split_once('.').unwrap();
    fs::rename(&artifact, sandbox.folder.path().join(format!("{digest_part}.47.0.0-0123456789abcdef.artifact")))
        .unwrap();
    fs::write(sandbox.folder.path().join(".tmpABCDEF"), b"half").unwrap();
    let next = engine(&sandbox.folder, Pooling::Auto, Compiler::InProcess, CompileLimits::default());
    assert!(artifacts(&sandbox).is_empty());
    assert!(next.load(digest(&component)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_refused_component_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.refusal(&Component { fields: "(func (result i32))", ..Component::default() }.build()).await;
    sandbox
        .refusal(&Component { fields: "(memory 1) (memory 1) (memory 1) (memory 1)", ..Component::default() }.build())
        .await;
    assert!(artifacts(&sandbox).is_empty());
}

#[tokio::test]
async fn a_flow_runs_where_its_artifact_cannot_be_kept() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    fs::remove_dir(sandbox.folder.path()).unwrap();
    runs(sandbox.compile(&component).await.unwrap()).await;
}
