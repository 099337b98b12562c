//! That nothing which happens often, or while others wait, reads what waits by the million.
//!
//! Every statement that a piece of work runs is looked at: its plan, and how many steps SQLite took for it.

use std::cell::RefCell;

use rusqlite::StatementStatus;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::rows::{entries, running, waiting};
use super::*;
use crate::sqlite::open::{self, Files};
use crate::sqlite::{executions, locks, queue, records, recovery, suspension, waits};
use crate::{Awaits, JournalWrite, LockKey, OwnerId, Suspension};

/// How many executions wait.
const WAITING: i32 = 200_000;
/// The most steps of one statement. One that read all that wait would take at least as many as they are.
const STEPS: i32 = 2_000;

const OWNER: OwnerId = OwnerId(1);

thread_local! {
    /// The statements that ran, and their steps.
    static RAN: RefCell<Vec<(String, i32)>> = const { RefCell::new(Vec::new()) };
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event {
        let steps = statement.get_status(StatementStatus::VmStep);
        RAN.with_borrow_mut(|ran| ran.push((statement.sql().into_owned(), steps)));
    }
}

/// A store with many executions that wait for children and for times, in development mode, and one live child of theirs.
fn crowded(folder: &Path) -> (Connection, Execution) {
    drop(open(folder));
    let connection = open::writer(&Files::new(folder), &SqliteOptions::default()).unwrap();
    // So that the steps of a statement are those of one run.
    connection.set_prepared_statement_cache_capacity(0);
    let child = running(OWNER);
    executions::insert(&connection, &child, false).unwrap();
    connection
        .execute(
            "WITH RECURSIVE number (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM number WHERE value < ?)
             INSERT INTO execution (id, status, flow_id, flow_name, flow_version, flow_digest, is_productive, is_durable,
                 attempt, created_at, input_value, output_value, seed, wake_at, wake_is_relative, parent_id)
             SELECT unhex(format('%032x', value)), 2, zeroblob(16), 'f', 1, zeroblob(32), value % 2, TRUE, 1, value,
                 '1', '{}', zeroblob(32), 1000000 + value, value % 2, randomblob(16) FROM number",
            [WAITING],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO awaited (event, waiter, return_when) SELECT randomblob(16), seq, 0 FROM execution WHERE status = 2",
            [],
        )
        .unwrap();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note));
    (connection, child.execution)
}

/// The plans of all statements that ran since the last look.
fn look(connection: &Connection) -> Vec<(String, Vec<String>, i32)> {
    let ran = RAN.take();
    assert!(!ran.is_empty());
    connection.trace_v2(TraceEventCodes::empty(), None);
    let plans = ran.into_iter().map(|(sql, steps)| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // The plan is the same whatever the values, so none are bound.
        let plan = statement.raw_query().mapped(|row| row.get("detail")).collect::<rusqlite::Result<_>>().unwrap();
        (sql, plan, steps)
    });
    let plans = plans.collect();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note));
    plans
}

/// That no statement read more than a few rows, or a whole table of which there are many.
fn assert_few_are_read(what: &str, connection: &Connection) {
    for (sql, plan, steps) in look(connection) {
        // How many wait is counted in the index alone, once, at the start.
        if sql.contains("SELECT COUNT(*) FROM execution ") {
            assert_eq!(plan, ["SEARCH execution USING COVERING INDEX execution_by_status (status=?)"], "{what}: {sql}");
            continue;
        }
        // Those that are paused are counted by user, once, at the start.
        if sql.contains("SELECT user_id, COUNT(*) FROM execution ") {
            assert_eq!(plan[0], "SEARCH execution USING INDEX execution_by_status (status=?)", "{what}: {sql}");
            continue;
        }
        // What runs is few.
        if sql.contains("status = 1 AND owner IS NULL") {
            assert_eq!(plan, ["SEARCH execution USING INDEX execution_by_status (status=?)"], "{what}: {sql}");
            continue;
        }
        assert!(steps < STEPS, "{what}: {steps} steps of {sql}: {plan:?}");
        for step in plan {
            assert!(is_narrow(&step), "{what}: {step} in {sql}");
        }
    }
}

/// Indexes of all executions, or of all that wait, that are entered at the right place.
const ENTERED: [&str; 4] = [
    "execution_by_id (id=?)",
    "execution_by_parent (parent_id=? AND status<?)",
    "execution_by_wake (wake_at",
    "execution_waiting_in_development (id>?)",
];
/// Indexes that hold nothing but what is looked for.
const SMALL: [&str; 3] = ["execution_to_claim", "execution_by_owner", "execution_cancelled"];

fn is_narrow(step: &str) -> bool {
    match step.split_whitespace().collect::<Vec<_>>()[..] {
        ["SCAN" | "SEARCH", "execution", "USING", "INDEX" | "COVERING", ..] => {
            step.starts_with("SEARCH") && ENTERED.iter().any(|index| step.contains(index))
                || SMALL.iter().any(|index| step.contains(index))
        }
        // Of one row.
        ["SCAN", "execution_skew" | "revision"] => true,
        // Of another table, or by the number of the row.
        ["SEARCH", ..] | ["SCALAR", "SUBQUERY", _] | ["CORRELATED", "SCALAR", "SUBQUERY", _] => true,
        _ => false,
    }
}

#[test]
fn what_waits_is_read_by_nobody_who_does_not_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (connection, child) = crowded(folder.path());
    RAN.take();

    // What an ordinary call does.
    executions::end(&connection, &ended(1), &[], false).unwrap();
    assert_eq!(look(&connection).len(), 1, "an end is one statement");
    let admitted = running(OWNER);
    executions::insert(&connection, &admitted, false).unwrap();
    assert_eq!(look(&connection).len(), 1, "an admission is one statement");
    let over = Execution { status: Status::EndedSuccess, ..admitted.execution };
    executions::end(&connection, &over, &[], true).unwrap();
    let ran = look(&connection);
    assert!(ran[0].0.starts_with("SELECT") && ran[1].0.starts_with("UPDATE") && ran.len() == 2, "one that changes");
    executions::insert(&connection, &running(OWNER), false).unwrap();

    // What durable ones do.
    let parent = running(OWNER);
    executions::insert(&connection, &parent, false).unwrap();
    assert!(!suspension::suspend(&connection, waiting(&parent, vec![child.id])).unwrap());
    assert_few_are_read("suspend", &connection);
    executions::load(&connection, parent.execution.id).unwrap();
    executions::mark_cancelled(&connection, parent.execution.id).unwrap();
    assert_few_are_read("load", &connection);
    let begins = Some((Timestamp(1), Timestamp(2)));
    let journal = JournalWrite { execution: child.id, begins, is_durable: true, first: 0, entries: entries(1) };
    records::write(&connection, &[Write::Journal(journal)]).unwrap();
    assert_few_are_read("journal", &connection);
    let over = Execution { status: Status::EndedSuccess, ..child };
    let woken = executions::end(&connection, &over, &[], true).unwrap().woken;
    assert_eq!(woken.len(), 1);
    assert_few_are_read("end", &connection);

    // What the queue does.
    assert!(queue::claim(&connection, OWNER, 10).unwrap().is_empty());
    assert_few_are_read("claim", &connection);
    let due = queue::claim_due(&connection, OWNER, Timestamp(1_000_003), 2).unwrap();
    assert_eq!((due.tickets.len(), due.next), (2, Some(Timestamp(1_000_003))));
    assert_few_are_read("claim_due", &connection);
    let id = RecordId::from_bytes(100_u128.to_be_bytes());
    queue::pause(&connection, id, "paused").unwrap();
    queue::resume(&connection, OWNER, id).unwrap();
    assert_few_are_read("pause", &connection);
    assert_eq!(waits::in_development(&connection, Some(id), 10).unwrap().len(), 10);
    let (_, plan, _) = &look(&connection)[0];
    assert_eq!(plan[..], ["SEARCH execution USING COVERING INDEX execution_waiting_in_development (id>?)"]);

    // What locks do.
    let lock = |name: &str| LockKey { project_id: None, name: name.to_owned() };
    let holder = running(OWNER);
    executions::insert(&connection, &holder, false).unwrap();
    for number in 0..1_000 {
        locks::acquire(&connection, &lock(&format!("other {number}")), parent.execution.id, Timestamp(1)).unwrap();
    }
    locks::acquire(&connection, &lock("own"), holder.execution.id, Timestamp(1)).unwrap();
    let waits = Suspension { awaits: Some(Awaits::Lock(lock("own"))), ..waiting(&running(OWNER), Vec::new()) };
    assert!(!suspension::suspend(&connection, Suspension { is_known: false, ..waits }).unwrap());
    RAN.take();
    locks::acquire(&connection, &lock("another"), holder.execution.id, Timestamp(1)).unwrap();
    locks::lock(&connection, &lock("another")).unwrap();
    locks::release(&connection, &lock("another"), holder.execution.id, Timestamp(1)).unwrap();
    let over = Execution { status: Status::EndedSuccess, ..holder.execution };
    assert_eq!(executions::end(&connection, &over, &[], true).unwrap().woken.len(), 1);
    assert_few_are_read("locks", &connection);

    // What the start does.
    let mut lost = running(OWNER);
    lost.execution.is_durable = false;
    executions::insert(&connection, &lost, false).unwrap();
    executions::mark_cancelled(&connection, RecordId::from_bytes(200_u128.to_be_bytes())).unwrap();
    RAN.take();
    let recovered = recovery::recover(&connection, Timestamp(1)).unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (6, 1));
    assert_eq!(recovered.waiting, WAITING as u64 - 4);
    assert_few_are_read("recover", &connection);
    assert_eq!(queue::claim(&connection, OWNER, 100).unwrap().len(), 7);
    assert_few_are_read("claim", &connection);
}

#[tokio::test]
async fn the_children_of_an_execution_are_a_scan_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let id = RecordId::new();
    let parent = json!({"field": "parent_id", "value": id});
    let error = json!({"field": "status", "value": "ENDED_ERROR"});
    let others = [json!({"field": "webhook_id", "value": id}), json!({"field": "flow_id", "value": id})];
    for (filter, scans) in [
        (parent.clone(), 7),
        (json!({"and": [parent, error]}), 1),
        (json!({"and": [parent, error, others[0]]}), 1),
        (json!({"and": [others[1], others[0], parent]}), 7),
    ] {
        let steps = plan(folder.path(), &execution_query(&filter, "-created_at"));
        assert_eq!(steps.len(), scans, "{filter}: {steps:?}");
        let index = "execution_by_parent (parent_id=? AND status=?)";
        assert!(steps.iter().all(|step| step.contains(index)), "{filter}: {steps:?}");
    }
}
