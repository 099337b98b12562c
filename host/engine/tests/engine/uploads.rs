//! What is no flow is refused with words for its author.

use flowhost_engine::{CompileError, CompileLimits, Compiler, InvalidComponent, Outcome, Pooling};

use crate::component::{Component, TYPES, binary};
use crate::sandbox::{BUDGET, Sandbox, invocation};

async fn refused(component: &[u8]) -> String {
    Sandbox::new().refusal(component).await.to_string()
}

#[tokio::test]
async fn every_beginning_of_a_component_is_refused() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    for end in 0..component.len() {
        // Without its last section, which holds names for people, it is still whole.
        if let Err(error) = sandbox.compile(&component[..end]).await {
            assert!(matches!(error, CompileError::Invalid(_)), "{end} bytes of {}: {error}", component.len());
        } else {
            let dropped = String::from_utf8_lossy(&component[end..]).into_owned();
            assert!(dropped.contains("component-name"), "{end} bytes of {}", component.len());
        }
    }
}

#[tokio::test]
async fn damaged_bytes_are_refused_or_run_but_never_panic() {
    let component = Component::default().build();
    let sandbox = Sandbox::new();
    for place in 0..component.len() {
        let mut damaged = component.clone();
        damaged[place] ^= 0x55;
        if let Err(error) = sandbox.compile(&damaged).await {
            assert!(matches!(error, CompileError::Invalid(_)), "byte {place}: {error}");
        }
    }
}

#[tokio::test]
async fn a_core_module_is_named() {
    let said = refused(&binary("(module (func (export \"run\")))")).await;
    assert!(said.starts_with("a core module, not a component"), "{said}");
}

#[tokio::test]
async fn a_component_of_another_world_is_named() {
    for other in [
        "(component)",
        r#"(component (instance $empty) (export "wasi:cli/run@0.2.0" (instance $empty)))"#,
        r#"(component (instance $empty) (export "flowhost:flow/handler@2.0.0" (instance $empty)))"#,
    ] {
        let said = refused(&binary(other)).await;
        assert!(said.starts_with("exports no `flowhost:flow/handler`"), "{said}");
    }
}

#[tokio::test]
async fn an_unknown_import_is_named() {
    for import in ["wasi:nn/graph@0.2.0-rc-2024-10-28", "wasi:http/outgoing-handler@0.2.0", "acme:billing/invoices"] {
        let text = format!(r#"(component (import "{import}" (instance)))"#);
        assert_eq!(refused(&binary(&text)).await, format!("imports `{import}`, which this host does not offer"));
    }
}

#[tokio::test]
async fn a_handler_of_another_shape_is_refused() {
    for (handler, expected) in [
        (r#"(instance $handler)"#, "run"),
        (
            r#"(core module $module (func (export "run") (result i32) i32.const 1))
               (core instance $instance (instantiate $module))
               (func $run (result u32) (canon lift (core func $instance "run")))
               (instance $handler (export "run" (func $run)))"#,
            "run",
        ),
    ] {
        let text =
            format!(r#"(component {TYPES} {handler} (export "flowhost:flow/handler@1.0.0" (instance $handler)))"#);
        let said = refused(&binary(&text)).await;
        assert!(said.starts_with("its exports do not fit the contract: ") && said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn an_import_of_another_shape_is_refused() {
    for shape in [
        r#"(export "two" (func))"#,
        r#"(export "one" (func (param "of" string) (result u32)))"#,
        r#"(export "one" (func (result string)))"#,
    ] {
        let outside = format!(r#"(import "test:host/shapes" (instance {shape}))"#);
        let component = Component { outside: outside.leak(), ..Component::default() };
        let said = refused(&component.build()).await;
        assert!(said.starts_with("its imports do not fit the contract: "), "{said}");
    }
}

/// As many copies of a definition as it is said.
fn many(definition: &str, count: usize) -> &'static str {
    definition.repeat(count).leak()
}

#[tokio::test]
async fn more_than_the_sandbox_holds_is_refused() {
    let too_many = |component: Component| async move { refused(&component.build()).await };
    for (fields, count) in
        [(many("(memory 1)", 4), "5"), (many("(table 1 funcref)", 17), "17"), ("(table 100001 funcref)", "100001")]
    {
        let said = too_many(Component { fields, ..Component::default() }).await;
        assert!(
            said.starts_with("needs more of the sandbox than one flow may have: ") && said.contains(count),
            "{said}"
        );
    }
    let outside = format!("(core module $small) {}", many("(core instance (instantiate $small))", 64)).leak();
    let said = too_many(Component { outside, ..Component::default() }).await;
    assert!(said.starts_with("needs more of the sandbox than one flow may have: ") && said.contains("65"), "{said}");
}

#[tokio::test]
async fn the_sandbox_is_no_larger_without_a_pool() {
    let sandbox = Sandbox::with(Pooling::Never, Compiler::InProcess, CompileLimits::default());
    for (fields, expected) in [
        (many("(memory 1)", 4), "needs 5 memories; a flow may have at most 4"),
        (many("(table 1 funcref)", 17), "needs 17 tables; a flow may have at most 16"),
    ] {
        let invalid = sandbox.refusal(&Component { fields, ..Component::default() }.build()).await;
        assert_eq!(invalid.to_string(), expected);
    }
    let outside = format!("(core module $small) {}", many("(core instance (instantiate $small))", 64)).leak();
    let flow = sandbox.compile(&Component { outside, ..Component::default() }.build()).await.unwrap();
    let outcome = flow.invoke(invocation(BUDGET), "null", std::future::pending()).await.outcome;
    assert!(matches!(&outcome, Outcome::Trap { message, .. } if message.contains("instance")), "{outcome:?}");
}

#[tokio::test]
async fn a_component_may_need_as_much_as_the_sandbox_holds() {
    let outside = format!("(core module $small) {}", many("(core instance (instantiate $small))", 63)).leak();
    let fields = format!("{} {}", many("(memory 1)", 3), many("(table 100000 funcref)", 16)).leak();
    Sandbox::new().compile(&Component { outside, fields, ..Component::default() }.build()).await.unwrap();
}

#[tokio::test]
async fn proposals_that_stay_out_are_refused() {
    for fields in [
        "(memory $shared 1 1 shared)",
        "(memory $large i64 1)",
        "(type $struct (struct (field i32)))",
        "(tag $thrown) (func $throw (throw $thrown))",
    ] {
        let invalid = Sandbox::new().refusal(&Component { fields, ..Component::default() }.build()).await;
        assert!(matches!(invalid, InvalidComponent::Malformed(_)), "{invalid}");
    }
}

#[tokio::test]
async fn a_component_beyond_the_size_limit_is_refused_unread() {
    let limits = CompileLimits { component_bytes: 100, ..CompileLimits::default() };
    let sandbox = Sandbox::with(Pooling::Never, Compiler::InProcess, limits);
    assert_eq!(sandbox.refusal(&[0; 101]).await.to_string(), "101 bytes; a flow may have at most 100");
}
