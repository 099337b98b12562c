//! The benchmark's results for people.

use super::{Report, neighbours};

/// Prints them.
pub(super) fn print(report: &Report) {
    println!("\n{} cores, {} rounds of {} s each, 1 KiB of JSON", report.cores, report.rounds, report.seconds);
    if !report.calls.is_empty() {
        println!(
            "\n{:<16} {:>6} {:>9} {:>17} {:>9} {:>9} {:>8} {:>10}",
            "server", "conns", "calls/s", "spread", "p50 ms", "p99 ms", "refused", "executed/s"
        );
    }
    for line in &report.calls {
        let [slowest, fastest] = line.spread;
        println!(
            "{:<16} {:>6} {:>9.0} {:>8.0}–{:<8.0} {:>9.2} {:>9.2} {:>8} {:>10}",
            line.server,
            line.connections,
            line.per_second,
            slowest,
            fastest,
            line.p50_us / 1e3,
            line.p99_us / 1e3,
            line.refused,
            line.executed_per_second.map_or(String::new(), |executed| format!("{executed:.0}")),
        );
    }
    for reason in &report.skipped {
        println!("skipped: {reason}");
    }
    if !report.neighbours.is_empty() {
        println!(
            "\n{:>5} {:>9} {:>9} {:>9} {:>10} {:>11}  calls of `hello` beside flows that loop",
            "loops", "p50 us", "p99 us", "alive ms", "cancel ms", "SIGTERM ms"
        );
    }
    for beside in &report.neighbours {
        let neighbours::Neighbours { loops, p50_us, p99_us, alive_ms, cancel_ms, sigterm_ms } = beside;
        println!("{loops:>5} {p50_us:>9.0} {p99_us:>9.0} {alive_ms:>9.1} {cancel_ms:>10.1} {sigterm_ms:>11.1}");
    }
    if let Some(start) = &report.start {
        let [fastest, slowest] = start.spread_ms;
        println!(
            "\nstart with {} flows to the first answer: {:.0} ms ({fastest:.0}–{slowest:.0}); idle memory {:.1} MB, without a flow {:.1} MB",
            start.flows,
            start.first_answer_ms,
            start.idle_bytes as f64 / 1e6,
            start.idle_empty_bytes as f64 / 1e6,
        );
    }
    if let Some(lists) = &report.lists {
        println!("\npages of 50 of {} executions, {:.0} MB", lists.executions, lists.data_bytes as f64 / 1e6);
        println!("{:<30} {:>5} {:>9} {:>9} {:>9}  found by", "list", "rows", "median ms", "worst ms", "2nd page");
        for list in &lists.lists {
            let second = list.second_page_ms.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
            let plan = list.plan.join("; ");
            println!(
                "{:<30} {:>5} {:>9.2} {:>9.2} {second:>9}  {plan}",
                list.list, list.rows, list.median_ms, list.worst_ms
            );
        }
    }
    if let Some(in_process) = &report.in_process {
        println!("\nin-process: {in_process:#}");
    }
}
