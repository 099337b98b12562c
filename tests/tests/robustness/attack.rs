//! A scripted attack on every pool of the host at once, while one good caller goes on calling.
//!
//! The attackers have other addresses, webhooks, flows and users than the good caller. Each phase adds a crew of them, which
//! stays until the end, so that the last phases meet all pools under attack together.

mod crew;
mod good_caller;
mod http_2;
mod scene;

use std::thread::{self, Scope};

use flowhost_tests::{Host, until};
use serde_json::json;

use self::crew::Crew;
use self::good_caller::GoodCaller;
use self::scene::Scene;
use crate::footprint::Footprint;

/// What the process may take at its peak, in KiB.
const PEAK_KIB: u64 = 512 << 10;

/// Rounds of the good caller in each phase.
const ROUNDS: usize = 2;

/// What a phase came to.
struct Row {
    phase: &'static str,
    good: usize,
    slowest_ms: u128,
    memory_kib: u64,
}

/// An attack, as far as it has come.
struct Attack<'a> {
    host: &'a Host,
    good: GoodCaller<'a>,
    crews: Vec<Crew>,
    rows: Vec<Row>,
}

impl Attack<'_> {
    /// Lets a crew begin, waits until its attack is on, and lets the good caller call.
    fn phase<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, crew: Crew, is_on: impl Fn(&Crew) -> bool) {
        let name = crew.name;
        crew.begin(scope);
        until(&format!("the attack on {name} is on"), || is_on(&crew).then_some(()));
        self.crews.push(crew);
        self.rounds(name);
    }

    fn rounds(&mut self, phase: &'static str) {
        let before = self.good.calls();
        self.good.forget_slowest();
        (0..ROUNDS).for_each(|_| self.good.round(phase));
        let (good, slowest_ms) = (self.good.calls() - before, self.good.slowest_ms());
        let memory_kib = Footprint::of(self.host).memory_kib;
        eprintln!("{phase}: {good} good calls, the slowest {slowest_ms} ms, {} MiB", memory_kib >> 10);
        self.rows.push(Row { phase, good, slowest_ms, memory_kib });
    }

    fn print(&self) {
        println!("{:<20} {:>5} {:>11} {:>9}   requests, answers by status", "phase", "good", "slowest", "VmRSS");
        for Row { phase, good, slowest_ms, memory_kib } in &self.rows {
            let attack = self.crews.iter().find(|crew| crew.name == *phase).map(Crew::tally).unwrap_or_default();
            println!("{phase:<20} {good:>5} {slowest_ms:>8} ms {:>5} MiB   {attack}", memory_kib >> 10);
        }
    }
}

#[test]
fn attack_on_every_pool_leaves_a_good_caller_served() {
    let scene = Scene::start();
    let host = &scene.host;
    let attack = thread::scope(|scope| {
        let mut attack = Attack { host, good: GoodCaller::new(&scene), crews: Vec::new(), rows: Vec::new() };
        attack.rounds("nothing");
        attack.phase(scope, scene.wrong_keys(), Crew::is_answered);
        attack.phase(scope, scene.untaken_answers(), Crew::is_answered);
        attack.phase(scope, scene.paused_calls(), Crew::is_answered);
        attack.phase(scope, scene.accepted_calls(), Crew::is_answered);
        attack.phase(scope, scene.children(), Crew::is_sent);
        attack.phase(scope, scene.exchanges(), |_| scene.outside.waiting() >= scene::EXCHANGES);
        attack.phase(scope, scene.written_answers(), Crew::is_sent);
        attack.phase(scope, scene.hungry_guests(), Crew::is_sent);
        attack.phase(scope, scene.wrong_logins(), Crew::is_sent);
        attack.phase(scope, scene.costly_lists(), Crew::is_sent);
        attack.phase(scope, scene.large_records(), Crew::is_sent);
        attack.phase(scope, scene.forms(), Crew::is_sent);
        attack.phase(scope, scene.schemas(), Crew::is_sent);
        attack.phase(scope, scene.compilations(), Crew::is_sent);
        attack.good.deploy("compilations");
        attack.phase(scope, scene.unfinished_bodies(), Crew::is_sent);
        attack.phase(scope, scene.unfinished_bodies_over_http_2(), Crew::is_sent);
        attack.phase(scope, scene.idle_connections(), Crew::is_sent);
        attack.crews.iter().for_each(Crew::stop);
        attack
    });
    attack.print();
    let peak_kib = Footprint::of(host).peak_kib;
    println!("{} good calls, VmHWM {} MiB", attack.good.calls(), peak_kib >> 10);
    assert_eq!(attack.good.failures(), &[] as &[String]);
    assert!(peak_kib < PEAK_KIB, "{} MiB", peak_kib >> 10);
    assert_eq!(host.get("/api/latest/ready").send().json(), json!({ "status": "ready" }));
}
