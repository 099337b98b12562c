//! `wasi:random`: a stream of ChaCha20 from the execution's seed, so that a flow which is run again draws the same.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::State;
use crate::outcome::Outcome;

/// The most that one call gives. Keys and nonces are far smaller, and the bytes count against no other budget.
const MAX_BYTES: u64 = 1 << 20;

impl State {
    fn rng(&mut self) -> &mut ChaCha20Rng {
        let seed = self.wasi.seed;
        self.wasi.random.get_or_insert_with(|| ChaCha20Rng::from_seed(seed))
    }

    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        match usize::try_from(len) {
            Ok(size) if len <= MAX_BYTES => {
                let mut bytes = vec![0; size];
                self.rng().fill_bytes(&mut bytes);
                Ok(bytes)
            }
            _ => {
                let message = format!("asked for {len} random bytes in one call; the most is {MAX_BYTES}");
                Err(self.end(Outcome::Trap { message, trace: None }))
            }
        }
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.rng().next_u64())
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.rng().next_u64())
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.rng().next_u64(), self.rng().next_u64()))
    }
}
