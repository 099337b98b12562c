//! The compiler's process, as far as the engine sees it: processes of the shell stand in for it. The real one is tested
//! with the program that it is a part of.

use std::time::Duration;

use flowhost_engine::{CompileError, CompileLimits, Compiler, InvalidComponent, Pooling};

use crate::component::Component;
use crate::sandbox::Sandbox;

/// What the engine makes of a compiler that does this.
async fn compiled_by(script: &str, limits: CompileLimits) -> CompileError {
    let arguments = vec!["-c".into(), script.into()];
    let compiler = Compiler::Process { program: "/bin/sh".into(), arguments };
    let sandbox = Sandbox::with(Pooling::Never, compiler, limits);
    let Err(error) = sandbox.compile(&Component::default().build()).await else { panic!("it compiled") };
    // Nor are files left of what it was given.
    assert_eq!(sandbox.folder.path().read_dir().unwrap().count(), 0);
    error
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_ended() {
    let limits = CompileLimits { time: Duration::from_millis(1), ..CompileLimits::default() };
    let error = compiled_by("exec sleep 600", limits).await;
    assert!(matches!(error, CompileError::Invalid(InvalidComponent::CompileLimit(_))), "{error}");
}

#[tokio::test]
async fn a_compiler_that_is_killed_says_so() {
    let error = compiled_by("kill -9 $$", CompileLimits::default()).await;
    let expected =
        "the host has no memory to compile the component: the compiler was killed, as a system without memory does";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_a_compiler_says_of_a_component_is_passed_on() {
    let error = compiled_by("echo 'no such opcode' >&2; exit 65", CompileLimits::default()).await;
    assert!(matches!(error, CompileError::Invalid(_)));
    assert!(error.to_string().contains("no such opcode"), "{error}");
}

#[tokio::test]
async fn a_compiler_that_fails_is_the_hosts_fault() {
    let error = compiled_by("echo 'no room' >&2; exit 1", CompileLimits::default()).await;
    assert!(matches!(&error, CompileError::Host(said) if said.contains("no room")), "{error}");
    let error = compiled_by("exit 0", CompileLimits::default()).await;
    assert!(matches!(error, CompileError::Host(_)), "{error}");
}

#[tokio::test]
async fn a_compiler_that_is_not_there_is_the_hosts_fault() {
    let compiler = Compiler::Process { program: "/nowhere/flowhost".into(), arguments: Vec::new() };
    let sandbox = Sandbox::with(Pooling::Never, compiler, CompileLimits::default());
    let Err(error) = sandbox.compile(&Component::default().build()).await else { panic!("it compiled") };
    assert!(matches!(&error, CompileError::Host(said) if said.contains("/nowhere/flowhost")), "{error}");
}
