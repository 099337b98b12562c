//! What a flow hands back is taken within limits, and what is no result is a trap.

use flowhost_engine::{Budget, LimitedOutput, Outcome};

use crate::component::Component;
use crate::sandbox::{BUDGET, run};

/// A flow that writes its result at 32 and returns it.
fn returning(run: &'static str) -> Component {
    Component { memory: "512", run, ..Component::default() }
}

const ROOMY: Budget = Budget { memory_bytes: 64 << 20, ..BUDGET };

#[tokio::test]
async fn a_huge_result_is_too_much_output() {
    for text in [
        // 30 MiB: far beyond the outputs' budget, within the memory's.
        "(i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 64))
         (i32.store (i32.const 40) (i32.const 0x1e00000)) i32.const 32",
        // The same as an error's message, and as its code.
        "(i32.store8 (i32.const 32) (i32.const 1)) (i32.store (i32.const 36) (i32.const 64))
         (i32.store (i32.const 40) (i32.const 0x1e00000)) i32.const 32",
        "(i32.store8 (i32.const 32) (i32.const 1)) (i32.store8 (i32.const 44) (i32.const 1))
         (i32.store (i32.const 48) (i32.const 64))
         (i32.store (i32.const 52) (i32.const 0x1e00000)) i32.const 32",
    ] {
        let outcome = run(&returning(text), ROOMY).await;
        assert!(matches!(outcome, Outcome::OutputLimit(LimitedOutput::Outputs)), "{:.200}", format!("{outcome:?}"));
    }
}

#[tokio::test]
async fn what_is_no_result_is_a_trap() {
    for nonsense in [
        // Beyond the memory's end: the result, its text, the whole of both.
        "i32.const 0x2000000",
        "i32.const 0x7ffffff0",
        "(i32.store (i32.const 36) (i32.const 0x1fffff0)) (i32.store (i32.const 40) (i32.const 17)) i32.const 32",
        "(i32.store (i32.const 36) (i32.const 1)) (i32.store (i32.const 40) (i32.const -1)) i32.const 32",
        // No such case, not aligned, no UTF-8.
        "(i32.store8 (i32.const 32) (i32.const 9)) i32.const 32",
        "i32.const 33",
        "(i32.store8 (i32.const 64) (i32.const 0xff)) (i32.store (i32.const 36) (i32.const 64))
         (i32.store (i32.const 40) (i32.const 1)) i32.const 32",
    ] {
        let outcome = run(&returning(nonsense), ROOMY).await;
        assert!(matches!(outcome, Outcome::Trap { .. }), "{outcome:?} of {nonsense}");
    }
}

#[tokio::test]
async fn an_allocator_that_lies_is_a_trap() {
    for realloc in ["i32.const -1", "i32.const 0x7fffffff", "unreachable"] {
        let outcome = run(&Component { realloc, ..Component::default() }, BUDGET).await;
        assert!(matches!(outcome, Outcome::Trap { .. }), "{outcome:?} of {realloc}");
    }
}
