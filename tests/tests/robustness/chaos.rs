//! The kill loop, in short. `cargo xtask chaos` is its long form.

use flowhost_tests::chaos::{KillLoop, Until, sweep};

#[test]
fn a_host_that_is_killed_again_and_again_keeps_its_promises() {
    let summary = KillLoop { seed: 4, until: Until::Rounds(20) }.run(|line| eprintln!("{line}"));
    let summary = summary.unwrap_or_else(|broken| panic!("{}", broken.0));
    eprintln!("{summary}");
    assert!(summary.run_again() > 0, "the loop has cut nothing off");
}

#[test]
fn a_crash_after_every_commit_in_turn_loses_and_repeats_nothing() {
    let swept = sweep().unwrap_or_else(|broken| panic!("{}", broken.0));
    eprintln!("{swept:?}");
    assert!(swept.commits > 10 && swept.run_again > 10, "the sweep has cut little off: {swept:?}");
}
