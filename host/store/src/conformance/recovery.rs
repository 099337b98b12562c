//! What former owners left behind.

use flowhost_model::{Execution, JournalEntry, LogLevel, LogSource, RecordId, Status, Timestamp};

use super::{assert_same, child, execution, line, owner, row, running, status, suspension};
use crate::{Awaits, Error, ExecutionRow, JournalWrite, ReturnWhen, Store, Write};

/// Durable executions are scheduled again, whole and counted up; the others have ended, with the reason.
pub async fn recovery_schedules_what_is_durable_and_ends_the_rest(store: &dyn Store) {
    let durable = execution(Status::Running);
    let lost = Execution { is_durable: false, ..execution(Status::Running) };
    let ended = execution(Status::EndedSuccess);
    let before = row(durable.clone());
    store.insert_execution(before.clone()).await.unwrap();
    store.insert_execution(row(lost.clone())).await.unwrap();
    store.end_execution(ended.clone(), Vec::new(), false).await.unwrap();

    let now = Timestamp(123_456_789);
    let recovered = store.recover(now).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (1, 1));
    let again = store.load_execution(durable.id).await.unwrap();
    assert_same(&again.execution, &Execution { status: Status::Scheduled, attempt: 2, ..durable.clone() });
    assert_eq!((&again.request, again.seed, again.deadline), (&before.request, before.seed, before.deadline));
    assert_eq!((again.owner, again.actor, again.concurrency), (None, before.actor, before.concurrency));

    let found = store.execution(lost.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.ended_at), (Status::EndedError, Some(now)));
    let failure = found.failure.unwrap();
    assert_eq!(failure.code, "execution.interrupted");
    assert_eq!(found.status_message.as_ref(), Some(&failure.message));
    assert_same(&store.execution(ended.id).await.unwrap().unwrap(), &ended);
    for (id, message) in [
        (durable.id, "The host stopped before attempt 1 had ended. It is run again."),
        (lost.id, "The host stopped before the execution had ended."),
    ] {
        let log = store.execution_log(id, 0, 10).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!((log[0].at, log[0].level, log[0].source), (now, LogLevel::Warn, LogSource::Host));
        assert_eq!(log[0].message, message);
    }

    // What nobody has claimed since was not cut off a second time.
    let recovered = store.recover(now).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (0, 0));
    let owner = store.hold_lease(None, now).await.unwrap();
    assert_eq!(store.claim_executions(owner, 10).await.unwrap().len(), 1);
    let recovered = store.recover(now).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (1, 0));
    let mut execution = store.load_execution(durable.id).await.unwrap().execution;
    assert_eq!(execution.attempt, 3);
    (execution.status, execution.ended_at) = (Status::EndedSuccess, Some(now));
    store.end_execution(execution, vec![line("last")], true).await.unwrap();
    let log = store.execution_log(durable.id, 0, 10).await.unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(log[2].message, "last");
    assert_eq!(store.recover(now).await.unwrap().again, 0);
}

/// What is paused stays so over a restart, whether durable or not, until it is resumed.
pub async fn recovery_leaves_what_is_paused(store: &dyn Store) {
    let durable = Execution { status_message: Some("left alone".to_owned()), ..execution(Status::Paused) };
    let other = Execution { is_durable: false, ..execution(Status::Paused) };
    let running = execution(Status::Running);
    for execution in [&durable, &other, &running] {
        store.insert_execution(row(execution.clone())).await.unwrap();
    }
    let recovered = store.recover(Timestamp(5)).await.unwrap();
    assert_eq!((recovered.paused, recovered.interrupted, recovered.again), (2, 0, 1));
    assert_eq!(recovered.paused_of.iter().map(|(_, count)| count).sum::<u64>(), 2);
    assert!([&durable, &other].iter().all(|one| recovered.paused_of.iter().any(|(user, _)| *user == one.user_id)));
    let owner = store.hold_lease(None, Timestamp(5)).await.unwrap();
    for execution in [durable, other] {
        assert_same(&store.execution(execution.id).await.unwrap().unwrap(), &execution);
        assert!(store.execution_log(execution.id, 0, 10).await.unwrap().is_empty());
        store.resume_execution(owner, execution.id).await.unwrap();
        assert_eq!(store.execution(execution.id).await.unwrap().unwrap().attempt, 1);
    }
    let recovered = store.recover(Timestamp(6)).await.unwrap();
    assert_eq!((recovered.paused, recovered.interrupted, recovered.again), (0, 1, 1));
}

/// What waits, or is scheduled, and is nobody's, stays as it is.
pub async fn recovery_leaves_what_waits_in_the_store(store: &dyn Store) {
    let own = owner(store).await;
    let waiting = running(store, own).await;
    let mut wait = suspension(&waiting, None);
    wait.row.execution.wake_at = Some(Timestamp(50));
    assert!(!store.suspend_execution(wait).await.unwrap());
    let queued = ExecutionRow { owner: None, ..row(execution(Status::Scheduled)) };
    store.insert_execution(queued.clone()).await.unwrap();
    let before = store.executions(vec![waiting.execution.id, queued.execution.id]).await.unwrap();

    let recovered = store.recover(Timestamp(60)).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted, recovered.paused, recovered.waiting), (0, 0, 0, 1));
    let after = store.executions(vec![waiting.execution.id, queued.execution.id]).await.unwrap();
    before.iter().zip(&after).for_each(|(before, after)| assert_same(before, after));
    for id in [waiting.execution.id, queued.execution.id] {
        assert!(store.execution_log(id, 0, 10).await.unwrap().is_empty());
    }
    // One that waits in memory of its owner is cut off as others are.
    let in_memory = running(store, own).await;
    store.set_execution_status(in_memory.execution.id, Status::Waiting, None).await.unwrap();
    assert_eq!(store.recover(Timestamp(61)).await.unwrap().again, 1);
    assert_eq!(status(store, in_memory.execution.id).await, Status::Scheduled);
}

/// Owners of before are no more; their numbers are not given again.
pub async fn recovery_removes_the_owners(store: &dyn Store) {
    let (one, two) = (owner(store).await, owner(store).await);
    store.recover(Timestamp(1)).await.unwrap();
    for former in [one, two] {
        assert!(matches!(store.hold_lease(Some(former), Timestamp(2)).await, Err(Error::NotFound)));
    }
    let new = owner(store).await;
    assert!(new != one && new != two);
}

/// A child that cannot be run again has ended for its parent too; its own children end with it.
pub async fn recovery_wakes_who_waited_for_an_interrupted_child(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let mut lost = row(Execution { is_durable: false, ..execution(Status::Running) });
    (lost.execution.parent_id, lost.owner) = (Some(parent.execution.id), Some(own));
    store.insert_execution(lost.clone()).await.unwrap();
    let orphan = child(store, own, Some(lost.execution.id)).await;
    let awaits = Awaits::Children { children: vec![lost.execution.id], when: ReturnWhen::AllEnded };
    assert!(!store.suspend_execution(suspension(&parent, Some(awaits))).await.unwrap());

    let recovered = store.recover(Timestamp(7)).await.unwrap();
    assert_eq!((recovered.interrupted, recovered.waiting), (1, 0));
    let woken = store.load_execution(parent.execution.id).await.unwrap();
    assert_eq!((woken.execution.status, woken.owner, woken.execution.attempt), (Status::Scheduled, None, 1));
    assert!(store.load_execution(orphan.execution.id).await.unwrap().is_cancelled);
    let new = owner(store).await;
    let claimed: Vec<RecordId> =
        store.claim_executions(new, 10).await.unwrap().into_iter().map(|ticket| ticket.id).collect();
    assert_eq!(claimed, [parent.execution.id, orphan.execution.id]);
}

/// The host stopped between the end of an execution and that of its children.
pub async fn recovery_schedules_what_is_cancelled_and_would_never_wake(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let [waiting, paused, busy] = [(); 3].map(|()| child(store, own, Some(parent.execution.id)));
    let (waiting, paused, busy) = (waiting.await, paused.await, busy.await);
    let detached = ExecutionRow {
        is_detached: true,
        ..row(Execution { parent_id: Some(parent.execution.id), ..execution(Status::Paused) })
    };
    store.insert_execution(detached.clone()).await.unwrap();
    assert!(!store.suspend_execution(suspension(&waiting, None)).await.unwrap());
    let mut pause = suspension(&paused, None);
    pause.row.execution.status = Status::Paused;
    assert!(!store.suspend_execution(pause).await.unwrap());
    let ended = super::ended(&parent, Status::EndedSuccess);
    store.end_execution(ended, vec![line("a")], true).await.unwrap();

    let recovered = store.recover(Timestamp(7)).await.unwrap();
    assert_eq!((recovered.again, recovered.waiting, recovered.paused), (1, 0, 1));
    for id in [waiting, paused, busy].map(|row| row.execution.id) {
        let row = store.load_execution(id).await.unwrap();
        assert_eq!((row.execution.status, row.owner, row.is_cancelled), (Status::Scheduled, None, true));
    }
    assert!(!store.load_execution(detached.execution.id).await.unwrap().is_cancelled);
}

/// Recovers from a death of the host, and gives the execution to the next one, which has it as `status` when it dies.
async fn another_death(store: &dyn Store, id: RecordId, status: Status) -> u32 {
    store.recover(Timestamp(7)).await.unwrap();
    let own = owner(store).await;
    let ticket = store.claim_executions(own, 10).await.unwrap().into_iter().find(|ticket| ticket.id == id).unwrap();
    assert_eq!(store.load_execution(id).await.unwrap().deaths, ticket.deaths);
    if status == Status::Running {
        store.set_execution_status(id, status, None).await.unwrap();
    }
    ticket.deaths
}

/// It ends with a code of its own, and its children with it. The count outlives restarts.
pub async fn recovery_gives_up_after_three_deaths_in_a_row(store: &dyn Store) {
    let own = owner(store).await;
    let suspect = running(store, own).await;
    let id = suspect.execution.id;
    let offspring = child(store, own, Some(id)).await;
    assert_eq!(another_death(store, id, Status::Running).await, 1);
    assert_eq!(another_death(store, id, Status::Running).await, 2);
    let recovered = store.recover(Timestamp(9)).await.unwrap();
    assert_eq!((recovered.given_up, recovered.interrupted, recovered.again), (1, 0, 1));
    let found = store.execution(id).await.unwrap().unwrap();
    assert_eq!((found.status, found.ended_at), (Status::EndedError, Some(Timestamp(9))));
    let failure = found.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.retryable), ("execution.host-died", false));
    assert_eq!(found.status_message, Some(failure.message));
    let last = store.execution_log(id, 0, 10).await.unwrap().pop().unwrap();
    assert_eq!(last.message, "The host stopped before attempt 3 had ended. It is not run again.");
    assert!(store.load_execution(offspring.execution.id).await.unwrap().is_cancelled);
}

/// New entries in its journal, and leaving memory, are progress.
pub async fn progress_between_deaths_resets_their_count(store: &dyn Store) {
    let own = owner(store).await;
    let suspect = running(store, own).await;
    let id = suspect.execution.id;
    for first in 0..4 {
        assert_eq!(another_death(store, id, Status::Running).await, 1);
        let entry = JournalEntry { at: Timestamp(1), call: "get".to_owned(), digest: [1; 32], result: b"1".to_vec() };
        let more = JournalWrite { execution: id, begins: None, is_durable: true, first, entries: vec![entry] };
        store.write(vec![Write::Journal(more)]).await.unwrap();
        assert_eq!(store.load_execution(id).await.unwrap().deaths, 0);
    }
    assert_eq!(another_death(store, id, Status::Running).await, 1);
    let mut leaves = suspension(&store.load_execution(id).await.unwrap(), None);
    leaves.row.execution.status = Status::Scheduled;
    store.suspend_execution(leaves).await.unwrap();
    assert_eq!(store.load_execution(id).await.unwrap().deaths, 0);
}

/// What was in the queue may have run when the host died for the first time. From then on its row says when it runs. A stop
/// in order counts nothing.
pub async fn recovery_counts_no_death_of_what_had_not_begun(store: &dyn Store) {
    let own = owner(store).await;
    let row = ExecutionRow { owner: Some(own), ..row(execution(Status::Scheduled)) };
    store.insert_execution(row.clone()).await.unwrap();
    let id = row.execution.id;
    for _ in 0..4 {
        assert_eq!(another_death(store, id, Status::Scheduled).await, 1);
    }
    store.recover(Timestamp(8)).await.unwrap();
    let next = owner(store).await;
    store.claim_executions(next, 10).await.unwrap();
    store.release_owner(next).await.unwrap();
    assert_eq!(store.recover(Timestamp(9)).await.unwrap().again, 0);
    assert_eq!(store.load_execution(id).await.unwrap().deaths, 1);
}
