//! The memory of the process: where it comes from, and how long what is free is kept.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// A call makes some two hundred small allocations on one thread and frees some of them on another: the store's writer
/// frees what the call made. The system's allocator spends a quarter of the host's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The option that says after how many milliseconds free memory goes back to the system. The crate has no name for it.
const PURGE_DELAY: mi_option_t = 15;

/// Ten times sooner than by default. Under a load of large payloads the process takes a hundred megabytes less, and no longer for
/// a call.
const PURGE_DELAY_MS: c_long = 100;

/// Chooses how long free memory is kept. `MIMALLOC_PURGE_DELAY` in the environment has precedence.
///
/// To be called while the process has one thread.
pub(crate) fn configure() {
    // SAFETY: the option exists, and no other thread sets or reads one.
    #[allow(unsafe_code)]
    unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    fn option_is_the_one_whose_default_is_a_second() {
        let value = || {
            // SAFETY: the option exists, and no other thread sets one.
            #[allow(unsafe_code)]
            unsafe {
                mi_option_get(PURGE_DELAY)
            }
        };
        assert_eq!(value(), 1_000);
        configure();
        assert_eq!(value(), PURGE_DELAY_MS);
    }
}
