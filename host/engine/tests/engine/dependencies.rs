//! What is built in: one crate that asks for more of wasmtime would turn it on for all.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn wasmtime_has_the_features_that_are_needed_and_no_others() {
    // `test-guests` and other native builds of flows know nothing of wasmtime; the default members are what is shipped.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let features = |package: &str| -> BTreeSet<String> {
        let lines = tree.lines().filter(|line| line.split(' ').next() == Some(package));
        lines.filter_map(|line| line.split(' ').nth(2)).flat_map(|list| list.split(',')).map(str::to_owned).collect()
    };
    let expected = [
        "addr2line",
        "async",
        "backtrace",
        "component-model",
        "cranelift",
        "once_cell",
        "parallel-compilation",
        "pooling-allocator",
        "runtime",
        "std",
        "wasmtime-jit-icache-coherence",
    ];
    assert_eq!(features("wasmtime"), expected.map(str::to_owned).into());
    assert!(!features("wasmtime-wasi").contains("p3"));
    // It takes exponential time on a crafted name.
    assert!(tree.lines().all(|line| !line.starts_with("cpp_demangle ")));
    assert!(tree.lines().all(|line| !line.starts_with("wasmtime-internal-cache ")));
}
