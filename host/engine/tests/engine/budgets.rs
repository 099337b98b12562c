//! A call that wants too much ends by its budget, wherever in the call it wants it.

use std::time::Duration;

use flowhost_engine::{Budget, LimitedOutput, Outcome};

use crate::component::Component;
use crate::sandbox::{BUDGET, Sandbox, invocation, run, run_until};

const FOREVER: &str = "(loop $again (br $again)) unreachable";

#[tokio::test]
async fn an_untouched_component_is_a_flow() {
    let outcome = run(&Component::default(), BUDGET).await;
    assert!(matches!(&outcome, Outcome::Success(output) if output == "{}"), "{outcome:?}");
}

#[tokio::test]
async fn an_endless_loop_ends_wherever_it_is() {
    let ends = [
        Component { run: FOREVER, ..Component::default() },
        Component { realloc: FOREVER, ..Component::default() },
        Component { post_return: FOREVER, ..Component::default() },
        Component { fields: "(func $start (loop $again (br $again))) (start $start)", ..Component::default() },
        // No back edge: a call to itself in tail position, and a tree of calls that takes as good as for ever.
        Component { fields: "(func $tail (return_call $tail))", run: "call $tail unreachable", ..Component::default() },
        Component {
            fields: "(func $tree (param i32) (if (local.get 0) (then
                (call $tree (i32.sub (local.get 0) (i32.const 1))) (call $tree (i32.sub (local.get 0) (i32.const 1))))))",
            run: "(call $tree (i32.const 200)) unreachable",
            ..Component::default()
        },
    ];
    for component in ends {
        let outcome = run(&component, BUDGET).await;
        assert!(matches!(outcome, Outcome::CpuLimit), "{outcome:?} of {}", component.run);
    }
}

#[tokio::test]
async fn a_loop_over_bulk_operations_ends() {
    let component = Component {
        memory: "32",
        run: "(loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576)) (br $again)) unreachable",
        ..Component::default()
    };
    assert!(matches!(run(&component, BUDGET).await, Outcome::CpuLimit));
}

#[tokio::test]
async fn a_loop_over_host_calls_ends() {
    let component = Component {
        outside: r#"
            (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
            (core func $random (canon lower (func $random "get-random-u64")))"#,
        with: r#"(with "random" (instance (export "u64" (func $random))))"#,
        fields: r#"(import "random" "u64" (func $random (result i64)))"#,
        run: "(loop $again (drop (call $random)) (br $again)) unreachable",
        ..Component::default()
    };
    assert!(matches!(run(&component, BUDGET).await, Outcome::CpuLimit));
}

/// Waits by WASI's clock for 2⁶² nanoseconds.
fn sleeper() -> Component {
    Component {
        outside: r#"
            (import "wasi:io/poll@0.2.0" (instance $poll
                (export "pollable" (type $pollable (sub resource)))
                (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $p))
                (export "pollable" (type $pollable (eq $p)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
            (core func $subscribe (canon lower (func $clock "subscribe-duration")))
            (core func $block (canon lower (func $poll "[method]pollable.block")))"#,
        with: r#"(with "wasi" (instance (export "subscribe" (func $subscribe)) (export "block" (func $block))))"#,
        fields: r#"
            (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
            (import "wasi" "block" (func $block (param i32)))"#,
        run: "(call $block (call $subscribe (i64.const 0x4000000000000000))) unreachable",
        ..Component::default()
    }
}

#[tokio::test]
async fn waiting_is_bounded_neither_by_wall_time_nor_by_cpu_time() {
    let budget = Budget { cpu: Duration::from_millis(300), wall: Duration::from_millis(300), ..BUDGET };
    let outcome = run_until(&sleeper(), budget, || tokio::time::sleep(Duration::from_secs(1))).await;
    assert!(matches!(outcome, Outcome::Cancelled), "{outcome:?}");
}

#[tokio::test]
async fn running_is_bounded_by_wall_time() {
    let busy = Component { run: FOREVER, ..Component::default() };
    let budget = Budget { cpu: Duration::from_secs(600), wall: Duration::from_millis(50), ..BUDGET };
    assert!(matches!(run(&busy, budget).await, Outcome::TimeLimit));
}

#[tokio::test]
async fn a_busy_flow_can_be_cancelled_and_so_can_one_that_waits() {
    let busy = Component { run: FOREVER, ..Component::default() };
    let budget = Budget { cpu: Duration::from_secs(600), ..BUDGET };
    for component in [busy, sleeper()] {
        let after_a_while = || tokio::time::sleep(Duration::from_millis(30));
        let outcome = run_until(&component, budget, after_a_while).await;
        assert!(matches!(outcome, Outcome::Cancelled), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_call_whose_future_is_dropped_gives_its_instance_back() {
    let sandbox = Sandbox::new();
    let busy = sandbox.compile(&Component { run: FOREVER, ..Component::default() }.build()).await.unwrap();
    let waits = sandbox.compile(&sleeper().build()).await.unwrap();
    let budget = Budget { cpu: Duration::from_secs(600), ..BUDGET };
    // More than the pool has instances.
    for program in [&busy, &waits] {
        for _ in 0..40 {
            let call = program.invoke(invocation(budget), "null", std::future::pending());
            assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
        }
    }
    let flow = sandbox.compile(&Component::default().build()).await.unwrap();
    let report = flow.invoke(invocation(BUDGET), "null", std::future::pending()).await;
    assert!(matches!(report.outcome, Outcome::Success(_)), "{:?}", report.outcome);
}

#[tokio::test]
async fn memories_and_tables_are_counted_together() {
    let grow = |fields, run| Component { fields, run, ..Component::default() };
    let too_much = [
        // 4 memories of 32 pages are 8 MiB, where 4 are allowed.
        grow("(memory $a 32) (memory $b 32) (memory $c 32)", "i32.const 16"),
        grow(
            "(memory $a 1) (memory $b 1) (memory $c 1)",
            "(drop (memory.grow $a (i32.const 30))) (drop (memory.grow $b (i32.const 30)))
             (if (i32.eq (memory.grow $c (i32.const 30)) (i32.const -1)) (then unreachable)) i32.const 16",
        ),
        // 8 tables of 80,000 elements.
        grow(
            "(table $a 80000 funcref) (table $b 80000 funcref) (table $c 80000 funcref) (table $d 80000 funcref)
             (table $e 80000 funcref) (table $f 80000 funcref) (table $g 80000 funcref)",
            "i32.const 16",
        ),
        grow(
            "(table $a 0 funcref)",
            "(loop $again
                (drop (table.grow $a (ref.null func) (i32.const 10000)))
                (br_if $again (i32.ne (memory.grow (i32.const 4)) (i32.const -1))))
             unreachable",
        ),
    ];
    for component in too_much {
        let outcome = run(&component, BUDGET).await;
        assert!(matches!(outcome, Outcome::MemoryLimit), "{outcome:?} of {} {}", component.fields, component.run);
    }
}

#[tokio::test]
async fn a_flow_may_live_with_a_refused_growth() {
    let component = Component { run: "(drop (memory.grow (i32.const 1000))) i32.const 16", ..Component::default() };
    assert!(matches!(run(&component, BUDGET).await, Outcome::Success(_)));
}

#[tokio::test]
async fn deep_recursion_traps() {
    let fields = "(func $dive (param i64) (result i64) (i64.add (local.get 0) (call $dive (i64.add (local.get 0) (i64.const 1)))))";
    let run_body = "(drop (call $dive (i64.const 0))) i32.const 16";
    let outcome = run(&Component { fields, run: run_body, ..Component::default() }, BUDGET).await;
    let Outcome::Trap { message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("stack"), "{message}");
}

#[tokio::test]
async fn handles_are_counted() {
    let component = Component {
        outside: r#"
            (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
            (alias export $streams "output-stream" (type $stream))
            (import "wasi:cli/stdout@0.2.0" (instance $stdout
                (alias outer 1 $stream (type $s))
                (export "output-stream" (type $stream (eq $s)))
                (export "get-stdout" (func (result (own $stream))))))
            (core func $stdout (canon lower (func $stdout "get-stdout")))"#,
        with: r#"(with "wasi" (instance (export "stdout" (func $stdout))))"#,
        fields: r#"(import "wasi" "stdout" (func $stdout (result i32)))"#,
        run: "(loop $again (drop (call $stdout)) (br $again)) unreachable",
        ..Component::default()
    };
    let outcome = run(&component, BUDGET).await;
    assert!(matches!(outcome, Outcome::OutputLimit(LimitedOutput::Handles)), "{outcome:?}");
}
