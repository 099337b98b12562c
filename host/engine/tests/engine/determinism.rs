//! What a flow reads of time and chance comes from its execution, so that a flow which is run again reads the same.

use flowhost_engine::{Invocation, Outcome};

use crate::component::Component;
use crate::sandbox::{BUDGET, Sandbox, invocation, run};

/// What a flow draws from three sources of chance, with this seed.
async fn drawn(seed: u8) -> String {
    let component = Component {
        outside: r#"
            (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
            (import "wasi:random/insecure@0.2.0" (instance $insecure
                (export "get-insecure-random-u64" (func (result u64)))))
            (core func $secure (canon lower (func $random "get-random-u64")))
            (core func $insecure (canon lower (func $insecure "get-insecure-random-u64")))"#,
        with: r#"(with "random" (instance (export "secure" (func $secure)) (export "insecure" (func $insecure))))"#,
        fields: r#"
            (import "random" "secure" (func $secure (result i64)))
            (import "random" "insecure" (func $insecure (result i64)))
            (func $as_text (param i64) (result i64)
                (i64.add (i64.and (local.get 0) (i64.const 0x0f0f0f0f0f0f0f0f)) (i64.const 0x4141414141414141)))"#,
        // 24 letters at 64.
        run: "(i64.store (i32.const 64) (call $as_text (call $secure)))
              (i64.store (i32.const 72) (call $as_text (call $insecure)))
              (i64.store (i32.const 80) (call $as_text (call $secure)))
              (i32.store (i32.const 36) (i32.const 64)) (i32.store (i32.const 40) (i32.const 24))
              i32.const 32",
        ..Component::default()
    };
    let sandbox = Sandbox::new();
    let program = sandbox.compile(&component.build()).await.unwrap();
    let invocation = Invocation { seed: [seed; 32], ..invocation(BUDGET) };
    match program.invoke(invocation, "null", std::future::pending()).await.outcome {
        Outcome::Success(letters) => letters,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_chance() {
    let first = drawn(1).await;
    assert_eq!(drawn(1).await, first);
    assert_ne!(drawn(2).await, first);
}

#[tokio::test]
async fn clocks_stand_still_while_a_flow_computes() {
    let component = Component {
        outside: r#"
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
            (core func $now (canon lower (func $clock "now")))"#,
        with: r#"(with "clock" (instance (export "now" (func $now))))"#,
        fields: r#"(import "clock" "now" (func $now (result i64))) (global $count (mut i32) (i32.const 0))"#,
        run: "(loop $again
                (if (i64.ne (call $now) (i64.const 0)) (then unreachable))
                (global.set $count (i32.add (global.get $count) (i32.const 1)))
                (br_if $again (i32.lt_u (global.get $count) (i32.const 10000))))
              i32.const 16",
        ..Component::default()
    };
    let outcome = run(&component, BUDGET).await;
    assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?}");
}
