//! The kill loop: clients call over real sockets while the host dies again and again, and in the end it is seen whether it
//! kept what it promised.
//!
//! Everything that is decided comes from a seed: what is called in which order, how the host is set up, and when it dies,
//! counted in answers or commits. What the operating system decides, such as which thread runs first, does not.

mod adds;
mod call;
mod death;
mod kept;
mod kill_loop;
mod ledger;
mod promise;
mod random;
mod round;
mod summary;
mod sweep;
mod target;

pub use kill_loop::{KillLoop, Until};
pub use promise::Broken;
pub use summary::Summary;
pub use sweep::{Swept, sweep};
