//! Executions that leave memory before their end, and times that they wait for.

use flowhost_model::{Execution, JournalEntry, Priority, RecordId, Status, Timestamp};

use super::{assert_same, ended, execution, json, line, owner, row, running, status, suspension, ticket};
use crate::{Awaits, Error, ExecutionRow, OwnerId, ReturnWhen, Store, Suspension};

fn entry() -> JournalEntry {
    JournalEntry { at: Timestamp(1), call: "sleep".to_owned(), digest: [1; 32], result: b"null".to_vec() }
}

/// An execution that waits in the store for a time.
async fn sleeping(store: &dyn Store, owner: OwnerId, wake_at: i64, is_relative: bool) -> ExecutionRow {
    let row = running(store, owner).await;
    let mut wait = suspension(&row, None);
    (wait.row.execution.wake_at, wait.is_relative) = (Some(Timestamp(wake_at)), is_relative);
    assert!(!store.suspend_execution(wait).await.unwrap());
    row
}

/// What changed while it ran is kept; what cannot change stays.
pub async fn an_execution_leaves_memory_whole(store: &dyn Store) {
    let own = owner(store).await;
    for status in [Status::Waiting, Status::Paused, Status::Scheduled] {
        let before = running(store, own).await;
        let mut wait = suspension(&before, None);
        wait.row.deadline = Some(Timestamp(88));
        let changed = &mut wait.row.execution;
        (changed.status, changed.status_message) = (status, Some("half-way".to_owned()));
        (changed.output_value, changed.is_productive, changed.attempt) = (json("{\"a\" : 1}"), false, 3);
        (changed.started_at, changed.queue_wait_us, changed.run_time_us) = (Some(Timestamp(6)), 10, 20);
        changed.wake_at = (status == Status::Waiting).then_some(Timestamp(99));
        let expected = Execution { is_durable: true, ..changed.clone() };
        // What a row has from its beginning.
        (changed.input_value, changed.priority, changed.flow.version) = (json("[]"), Priority::High, 9);
        (wait.row.request, wait.row.seed, wait.row.actor) = (None, [0; 32], None);
        (wait.entries, wait.log) = (vec![entry()], vec![line("a")]);
        assert!(!store.suspend_execution(wait).await.unwrap());

        let found = store.load_execution(before.execution.id).await.unwrap();
        assert_same(&found.execution, &expected);
        assert_eq!((found.owner, found.deadline), (None, Some(Timestamp(88))));
        assert_eq!((found.request, found.seed, found.actor), (before.request, before.seed, before.actor));
        assert_eq!((found.journal, found.log_lines), (vec![entry()], 1));
    }
    let wait = Suspension { row: running(store, own).await, ..suspension(&running(store, own).await, None) };
    assert!(store.suspend_execution(wait).await.is_err(), "what runs is in memory");
}

/// It gets its row then.
pub async fn an_execution_leaves_memory_before_it_was_inserted(store: &dyn Store) {
    let own = owner(store).await;
    let running = Execution { is_durable: false, ..execution(Status::Running) };
    let row = ExecutionRow { owner: Some(own), ..row(running) };
    let mut wait = Suspension { is_known: false, ..suspension(&row, None) };
    wait.row.execution.wake_at = Some(Timestamp(40));
    (wait.is_relative, wait.entries, wait.log) = (true, vec![entry()], vec![line("a")]);
    assert!(!store.suspend_execution(wait.clone()).await.unwrap());
    let found = store.load_execution(row.execution.id).await.unwrap();
    assert_same(&found.execution, &Execution { is_durable: true, ..wait.row.execution.clone() });
    assert_eq!((&found.request, found.seed, found.actor), (&row.request, row.seed, row.actor));
    assert_eq!((found.owner, found.journal, found.log_lines), (None, vec![entry()], 1));
    store.shift_waits(2).await.unwrap();
    assert_eq!(store.claim_due(own, Timestamp(0), 10).await.unwrap().next, Some(Timestamp(42)));
    assert!(matches!(store.suspend_execution(wait).await, Err(Error::Conflict)));
}

/// Whoever claims next goes on with it.
pub async fn an_execution_leaves_memory_for_another_owner(store: &dyn Store) {
    let (one, two) = (owner(store).await, owner(store).await);
    let row = running(store, one).await;
    let mut wait = suspension(&row, None);
    wait.row.execution.status = Status::Scheduled;
    assert!(!store.suspend_execution(wait).await.unwrap());
    assert_eq!(store.claim_executions(two, 10).await.unwrap(), [ticket(&row)]);
}

/// What has ended stays so.
pub async fn an_ended_execution_does_not_leave_memory(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    let over = ended(&row, Status::EndedError);
    store.end_execution(over.clone(), Vec::new(), true).await.unwrap();
    assert!(matches!(store.suspend_execution(suspension(&row, None)).await, Err(Error::NotFound)));
    assert_same(&store.execution(over.id).await.unwrap().unwrap(), &over);
    let unknown = ExecutionRow { owner: Some(own), ..super::row(execution(Status::Running)) };
    assert!(matches!(store.suspend_execution(suspension(&unknown, None)).await, Err(Error::NotFound)));
    assert!(store.execution(unknown.execution.id).await.unwrap().is_none());
}

/// Its end was wished while it ran: its owner ends it.
pub async fn a_cancelled_execution_does_not_wait(store: &dyn Store) {
    let own = owner(store).await;
    for status in [Status::Waiting, Status::Paused] {
        let (row, child) = (running(store, own).await, running(store, own).await);
        store.mark_cancelled(row.execution.id).await.unwrap();
        let awaits = Awaits::Children { children: vec![child.execution.id], when: ReturnWhen::AllEnded };
        let mut wait = suspension(&row, Some(awaits));
        (wait.row.execution.status, wait.row.execution.wake_at) = (status, Some(Timestamp(3)));
        assert!(store.suspend_execution(wait).await.unwrap());
        let found = store.load_execution(row.execution.id).await.unwrap();
        assert_eq!((found.execution.status, found.execution.wake_at), (Status::Scheduled, None));
        assert_eq!((found.owner, found.is_cancelled), (Some(own), true));
        let outcome = store.end_execution(ended(&child, Status::EndedSuccess), Vec::new(), true).await.unwrap();
        assert!(outcome.woken.is_empty());
    }
    let due = store.claim_due(own, Timestamp(10), 10).await.unwrap();
    assert!(due.tickets.is_empty() && due.next.is_none());
}

/// Whose time comes first is claimed first, by one owner.
pub async fn who_waits_for_a_time_is_claimed_when_it_comes(store: &dyn Store) {
    let own = owner(store).await;
    let late = sleeping(store, own, 30, false).await;
    let first = sleeping(store, own, 10, true).await;
    let second = sleeping(store, own, 20, false).await;
    // Without a time, or in memory.
    store.suspend_execution(suspension(&running(store, own).await, None)).await.unwrap();
    let mut in_memory = row(execution(Status::Waiting));
    in_memory.execution.wake_at = Some(Timestamp(1));
    store.insert_execution(in_memory).await.unwrap();

    let due = store.claim_due(own, Timestamp(9), 10).await.unwrap();
    assert!(due.tickets.is_empty());
    assert_eq!(due.next, Some(Timestamp(10)));
    let due = store.claim_due(own, Timestamp(20), 1).await.unwrap();
    assert_eq!(due.tickets, [ticket(&first)]);
    assert_eq!(due.next, Some(Timestamp(20)));
    let due = store.claim_due(own, Timestamp(20), 10).await.unwrap();
    assert_eq!(due.tickets, [ticket(&second)]);
    assert_eq!(due.next, Some(Timestamp(30)));
    for claimed in [first, second] {
        let found = store.load_execution(claimed.execution.id).await.unwrap();
        assert_eq!((found.execution.status, found.execution.wake_at), (Status::Scheduled, None));
        assert_eq!(found.owner, Some(own));
    }
    assert_eq!(status(store, late.execution.id).await, Status::Waiting);
    let due = store.claim_due(own, Timestamp(i64::MAX), 10).await.unwrap();
    assert_eq!((due.tickets, due.next), (vec![ticket(&late)], None));

    // A time that is past is no reason not to wait.
    let past = sleeping(store, own, -5, false).await;
    assert_eq!(store.claim_due(own, Timestamp(0), 10).await.unwrap().tickets, [ticket(&past)]);
}

/// An instant stays where it is.
pub async fn relative_times_move_with_the_clock(store: &dyn Store) {
    let own = owner(store).await;
    let relative = sleeping(store, own, 100, true).await.execution.id;
    let instant = sleeping(store, own, 100, false).await.execution.id;
    for (micros, expected) in [(50, 150), (-150, 0)] {
        store.shift_waits(micros).await.unwrap();
        let wake_at = async |id| store.execution(id).await.unwrap().unwrap().wake_at;
        assert_eq!(wake_at(relative).await, Some(Timestamp(expected)));
        assert_eq!(wake_at(instant).await, Some(Timestamp(100)));
    }
}

/// Their sum outlives whatever waits.
pub async fn shifts_of_the_clock_add_up(store: &dyn Store) {
    assert_eq!(store.shifted().await.unwrap(), 0);
    for (micros, sum) in [(50, 50), (-150, -100), (i64::MAX, i64::MAX - 100)] {
        assert_eq!(store.shift_waits(micros).await.unwrap(), sum);
        assert_eq!(store.shifted().await.unwrap(), sum);
    }
}

/// Page by page, with the users whose activity lets them go on.
pub async fn what_waits_in_development_mode_is_listed(store: &dyn Store) {
    let own = owner(store).await;
    let mut expected = Vec::new();
    for number in 0..12 {
        let before = running(store, own).await;
        let mut wait = suspension(&before, None);
        wait.row.execution.id = RecordId::new();
        wait.row.execution.is_productive = number % 3 == 0;
        wait.row.execution.user_id = (number % 2 == 0).then(RecordId::new);
        wait.is_known = false;
        assert!(!store.suspend_execution(wait.clone()).await.unwrap());
        if number % 3 != 0 {
            expected.push((wait.row.execution.id, wait.row.execution.user_id));
        }
    }
    assert_eq!(store.waiting_in_development(None, 100).await.unwrap(), expected);
    assert_eq!(store.waiting_in_development(None, 3).await.unwrap(), expected[..3]);
    assert_eq!(store.waiting_in_development(Some(expected[2].0), 3).await.unwrap(), expected[3..6]);
    assert!(store.waiting_in_development(Some(expected[7].0), 3).await.unwrap().is_empty());
    // Neither what is in memory, nor what is paused, nor what has become productive.
    let in_memory = Execution { is_productive: false, ..execution(Status::Waiting) };
    store.insert_execution(row(in_memory)).await.unwrap();
    store.pause_execution(expected[0].0, String::new()).await.unwrap();
    store.set_productive(expected[1].0, true).await.unwrap();
    assert_eq!(store.waiting_in_development(None, 100).await.unwrap(), expected[2..]);
}
