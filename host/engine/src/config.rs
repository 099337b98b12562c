//! The one place that configures wasmtime.

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// The wasmtime release that this crate is built with. An artifact of another release is compiled anew: a patch release
/// may mend the code generator, and wasmtime's own tag names only the major version.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// Core instances that one component may hold. A Rust flow has 3; Python's, which links its libraries as modules, some 30.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// Memories that one component may hold. One from every known toolchain; more only in a composition of components.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 4;

/// Tables that one component may hold.
pub(crate) const TABLES_PER_COMPONENT: u32 = 16;

/// Elements of a table. wasmtime's default of 20,000 is too small for the tables of JavaScript, Go and C# guests.
const TABLE_ELEMENTS: usize = 100_000;

/// The largest metadata of one instance; large Python components exceed wasmtime's default of 1 MiB.
const INSTANCE_BYTES: usize = 8 << 20;

/// Bytes of a memory that stay mapped when its slot is given back, and are cleared by hand instead.
///
/// A flow built with a small stack dirties less than this, so that a call causes no page fault: 18 to 25 µs in place of 42
/// to 52.
const MEMORY_KEEP_RESIDENT: usize = 256 << 10;

/// The same for tables: some 10,000 pointers.
const TABLE_KEEP_RESIDENT: usize = 64 << 10;

/// Slots that keep their memory for the next call of the same component. Only running instances need one, and few run at
/// once on a worker; more would keep memory for nothing: 32 × 256 KiB are 8 MiB.
const WARM_SLOTS: u32 = 32;

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// From a pool of slots reserved at the start; from the system where the address space is too small for it.
    Auto,
    /// From the system, per call. Slower; for places with little address space.
    Never,
}

/// The settings that decide what code a component becomes. The compiler's process uses the same.
pub(crate) fn base() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // A flow's contract is synchronous; the task structures of the asynchronous one cost each call.
        .concurrency_support(false)
        // Runaway guests are stopped by epochs: about a tenth of their speed, where fuel costs half.
        .epoch_interruption(true)
        // A flow that is run again must compute what it computed before, on any machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Shared memories would let a guest measure time and wait without the host.
        .shared_memory(false)
        .wasm_memory64(false)
        // Traces name functions; source lines would need debug sections parsed at each trap.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .max_wasm_stack(512 << 10)
        // What is left of it beyond the guest's part is for host functions.
        .async_stack_size(2 << 20);
    config
}

/// [`base`] with a pool for `instances` calls at once.
pub(crate) fn pooled(instances: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memories_per_module(MEMORIES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .max_unused_warm_slots(WARM_SLOTS);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_model_async_stays_out() {
        let engine = wasmtime::Engine::new(&base()).unwrap();
        assert!(!engine.get_concurrency_support());
        let features = engine.get_wasm_features();
        let kept_out = wasmtime::WasmFeatures::CM_ASYNC | wasmtime::WasmFeatures::THREADS;
        assert!(!features.intersects(kept_out), "{features:?}");
    }

    #[test]
    fn the_version_in_the_artifact_key_is_the_one_built_with() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"");
        assert!(lock.contains(&entry), "Cargo.lock has another wasmtime than {WASMTIME_VERSION}");
    }
}
