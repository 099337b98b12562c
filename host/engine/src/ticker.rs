//! The thread that lets guests be interrupted.

use std::thread::Builder;
use std::time::Duration;

use wasmtime::Engine;

/// How often a running guest is asked to yield.
///
/// Ten milliseconds bound what one busy guest can add to a neighbour's latency on the same worker; finer ticks cost more
/// in yields than they gain.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Starts the thread that advances the engine's epoch. It ends by itself after the engine is gone.
///
/// It is a thread and not a timer of the async runtime, since busy guests can hold every worker that drives timers.
pub(crate) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    Builder::new().name("flowhost-epoch".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => break,
            }
        }
    })?;
    Ok(())
}
