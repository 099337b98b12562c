//! Tells whether the host has run out of memory, which no flow is to blame for.

use std::error::Error as StdError;
use std::io;

use flowhost_model::bounded_line;
use rustix::io::Errno;
use wasmtime::{OutOfMemory, PoolConcurrencyLimitError};

use crate::outcome::Outcome;

/// The longest reason that is kept, in bytes.
const REASON_LIMIT: usize = 500;

/// Returns how a call ended if the host has run out of memory, or `None` if something else is wrong.
pub(crate) fn exhausted(error: &wasmtime::Error) -> Option<Outcome> {
    // The root cause alone: the rest of the chain holds the guest's frames, with the names that it chose.
    is_exhausted(error).then(|| Outcome::HostExhausted(bounded_line(error.root_cause(), REASON_LIMIT)))
}

/// Whether an error of wasmtime comes from a host without memory: the system did not map a stack, a memory or code, an
/// allocation failed, or the pool of instances has no place left.
pub(crate) fn is_exhausted(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>() || error.is::<OutOfMemory>() || error.chain().any(is_out_of_memory)
}

/// [`is_exhausted`] for an error of the system.
pub(crate) fn is_io_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(Errno::NOMEM.raw_os_error())
}

fn is_out_of_memory(cause: &(dyn StdError + 'static)) -> bool {
    cause.downcast_ref::<Errno>().is_some_and(|errno| *errno == Errno::NOMEM)
        || cause.downcast_ref::<io::Error>().is_some_and(is_io_exhausted)
        || cause.is::<OutOfMemory>()
}

#[cfg(test)]
mod tests {
    use wasmtime::{Trap, format_err};

    use super::*;

    #[test]
    fn failed_mapping_is_the_hosts_at_any_depth() {
        let mapping = || wasmtime::Error::from(Errno::NOMEM);
        let system = io::Error::from_raw_os_error(Errno::NOMEM.raw_os_error());
        for error in [
            mapping(),
            mapping().context("failed to create a memory image").context("instantiation"),
            wasmtime::Error::from(system).context("mmap failed to allocate 0x1000 bytes"),
            wasmtime::Error::from(io::Error::from(io::ErrorKind::OutOfMemory)),
            wasmtime::Error::from(OutOfMemory::new(64)).context("instantiation"),
        ] {
            assert!(is_exhausted(&error), "{error:?}");
        }
    }

    #[test]
    fn other_failures_are_not_the_hosts() {
        for error in [
            format_err!("Memory maximum size exceeded"),
            format_err!("Cannot allocate memory"),
            Trap::UnreachableCodeReached.into(),
            Errno::INVAL.into(),
            io::Error::from(io::ErrorKind::StorageFull).into(),
        ] {
            assert!(!is_exhausted(&error), "{error:?}");
        }
    }

    #[test]
    fn full_pool_is_the_hosts() {
        let mut pool = wasmtime::PoolingAllocationConfig::new();
        pool.total_core_instances(1).total_memories(1).total_tables(1);
        let mut config = wasmtime::Config::new();
        config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config).unwrap();
        let module = wasmtime::Module::new(&engine, wat::parse_str("(module (memory 1))").unwrap()).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let refused = wasmtime::Instance::new(&mut store, &module, &[]).unwrap_err();
        assert!(is_exhausted(&refused), "{refused:?}");
    }
}
