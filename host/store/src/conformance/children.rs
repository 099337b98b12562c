//! Parents and children: who waits for whom, and who ends with whom.

use flowhost_model::{Execution, RecordId, Status, Timestamp};

use super::{child, ended, execution, line, owner, row, running, status, suspension, ticket};
use crate::{Awaits, ExecutionRow, OwnerId, ReturnWhen, Store};

const EVERY_WHEN: [ReturnWhen; 3] = [ReturnWhen::AllEnded, ReturnWhen::AllSucceeded, ReturnWhen::FirstEnded];

async fn children(store: &dyn Store, owner: OwnerId, parent: &ExecutionRow, count: usize) -> Vec<ExecutionRow> {
    let mut rows = Vec::new();
    for _ in 0..count {
        rows.push(child(store, owner, Some(parent.execution.id)).await);
    }
    rows
}

fn awaits(children: &[ExecutionRow], when: ReturnWhen) -> Option<Awaits> {
    Some(Awaits::Children { children: children.iter().map(|child| child.execution.id).collect(), when })
}

/// Which of three ends wakes the parent, if any.
fn waking_end(when: ReturnWhen, statuses: &[Status]) -> usize {
    let failed = statuses.iter().position(|status| *status != Status::EndedSuccess);
    match when {
        ReturnWhen::AllEnded => statuses.len() - 1,
        ReturnWhen::AllSucceeded => failed.unwrap_or(statuses.len() - 1),
        ReturnWhen::FirstEnded => 0,
    }
}

const ENDS: [[Status; 3]; 4] = [
    [Status::EndedSuccess; 3],
    [Status::EndedError; 3],
    [Status::EndedSuccess, Status::EndedCancelled, Status::EndedSuccess],
    [Status::EndedSuccess, Status::EndedSuccess, Status::EndedError],
];

/// The end that ends the wait, and no other, wakes the parent: once, for who owned the child.
pub async fn the_end_of_a_child_wakes_its_parent(store: &dyn Store) {
    let (one, two) = (owner(store).await, owner(store).await);
    for when in EVERY_WHEN {
        for ends in ENDS {
            let parent = running(store, one).await;
            let rows = children(store, two, &parent, 3).await;
            let mut wait = suspension(&parent, awaits(&rows, when));
            wait.row.execution.wake_at = Some(Timestamp(1000));
            assert!(!store.suspend_execution(wait).await.unwrap());
            for (number, (row, end)) in rows.iter().zip(ends).enumerate() {
                let log = if number % 2 == 0 { Vec::new() } else { vec![line("a")] };
                let outcome = store.end_execution(ended(row, end), log, true).await.unwrap();
                assert!(outcome.cancelled.is_empty());
                let is_woken = number == waking_end(when, &ends);
                let expected = if is_woken { vec![ticket(&parent)] } else { Vec::new() };
                assert_eq!(outcome.woken, expected, "{when:?} {ends:?} {number}");
                let found = store.load_execution(parent.execution.id).await.unwrap();
                let is_over = number >= waking_end(when, &ends);
                assert_eq!(found.execution.status, if is_over { Status::Scheduled } else { Status::Waiting });
                assert_eq!(found.owner, is_over.then_some(two));
                assert_eq!(found.execution.wake_at.is_none(), is_over);
            }
        }
    }
    assert_eq!(store.claim_due(one, Timestamp(i64::MAX), 10).await.unwrap().tickets, []);
}

/// What happened before it waited counts too. A child that is gone has ended.
pub async fn a_wait_for_what_has_happened_is_over(store: &dyn Store) {
    let own = owner(store).await;
    for when in EVERY_WHEN {
        for ends in ENDS {
            for count in 0..=3 {
                let parent = running(store, own).await;
                let rows = children(store, own, &parent, 3).await;
                for (row, end) in rows.iter().zip(ends).take(count) {
                    let outcome = store.end_execution(ended(row, end), Vec::new(), true).await.unwrap();
                    assert!(outcome.woken.is_empty());
                }
                let is_over = count > waking_end(when, &ends);
                let outcome = store.suspend_execution(suspension(&parent, awaits(&rows, when))).await.unwrap();
                assert_eq!(outcome, is_over, "{when:?} {ends:?} {count}");
                let found = store.load_execution(parent.execution.id).await.unwrap();
                assert_eq!(found.execution.status, if is_over { Status::Scheduled } else { Status::Waiting });
                assert_eq!(found.owner, is_over.then_some(own));
                if !is_over {
                    // The rest of the ends is awaited as if the others had never been.
                    let last = waking_end(when, &ends);
                    for (number, (row, end)) in rows.iter().zip(ends).enumerate().skip(count) {
                        let woken = store.end_execution(ended(row, end), Vec::new(), true).await.unwrap().woken;
                        assert_eq!(woken.len(), usize::from(number == last), "{when:?} {ends:?} {count} {number}");
                    }
                }
            }
        }
        let parent = running(store, own).await;
        let live = child(store, own, Some(parent.execution.id)).await;
        let nobody = Some(Awaits::Children { children: vec![RecordId::new()], when });
        assert!(store.suspend_execution(suspension(&parent, nobody)).await.unwrap());
        assert!(store.suspend_execution(suspension(&parent, awaits(&[], when))).await.unwrap());
        let some =
            Some(Awaits::Children { children: vec![live.execution.id, RecordId::new(), live.execution.id], when });
        let is_over = store.suspend_execution(suspension(&parent, some)).await.unwrap();
        assert_eq!(is_over, when == ReturnWhen::FirstEnded);
    }
}

/// After its wait, however that ended, the ends of those it waited for are nothing to it.
pub async fn a_woken_parent_waits_for_nobody(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let rows = children(store, own, &parent, 4).await;
    let end = async |row: &ExecutionRow| {
        store.end_execution(ended(row, Status::EndedSuccess), Vec::new(), true).await.unwrap().woken
    };
    // Its time came.
    let mut wait = suspension(&parent, awaits(&rows[..2], ReturnWhen::FirstEnded));
    wait.row.execution.wake_at = Some(Timestamp(5));
    assert!(!store.suspend_execution(wait).await.unwrap());
    assert_eq!(store.claim_due(own, Timestamp(5), 1).await.unwrap().tickets, [ticket(&parent)]);
    assert!(end(&rows[0]).await.is_empty());
    // It waits for something else, at last for a time alone.
    let wait = suspension(&parent, awaits(&rows[1..2], ReturnWhen::FirstEnded));
    assert!(!store.suspend_execution(wait).await.unwrap());
    assert!(!store.suspend_execution(suspension(&parent, None)).await.unwrap());
    assert!(end(&rows[1]).await.is_empty());
    assert_eq!(status(store, parent.execution.id).await, Status::Waiting);
    // Another child ended first.
    let wait = suspension(&parent, awaits(&rows[2..], ReturnWhen::FirstEnded));
    assert!(!store.suspend_execution(wait).await.unwrap());
    assert_eq!(end(&rows[3]).await, [ticket(&parent)]);
    assert!(!store.suspend_execution(suspension(&parent, None)).await.unwrap());
    assert!(end(&rows[2]).await.is_empty());
    assert_eq!(status(store, parent.execution.id).await, Status::Waiting);
    // It ended itself.
    let last = child(store, own, None).await;
    let wait = suspension(&parent, awaits(std::slice::from_ref(&last), ReturnWhen::AllEnded));
    assert!(!store.suspend_execution(wait).await.unwrap());
    store.end_execution(ended(&parent, Status::EndedCancelled), Vec::new(), true).await.unwrap();
    assert!(end(&last).await.is_empty());
    assert_eq!(status(store, parent.execution.id).await, Status::EndedCancelled);
}

/// It waits for somebody first, and decides anew then.
pub async fn who_is_paused_is_not_woken(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let rows = children(store, own, &parent, 2).await;
    let id = parent.execution.id;
    assert!(!store.suspend_execution(suspension(&parent, awaits(&rows, ReturnWhen::FirstEnded))).await.unwrap());
    store.pause_execution(id, "paused".to_owned()).await.unwrap();
    let outcome = store.end_execution(ended(&rows[0], Status::EndedError), Vec::new(), true).await.unwrap();
    assert!(outcome.woken.is_empty());
    assert_eq!(status(store, id).await, Status::Paused);
    store.resume_execution(own, id).await.unwrap();
    let outcome = store.end_execution(ended(&rows[1], Status::EndedError), Vec::new(), true).await.unwrap();
    assert!(outcome.woken.is_empty());
    assert_eq!(status(store, id).await, Status::Scheduled);
}

/// The child waited in the store when it ended; whoever claims next goes on with the parent.
pub async fn a_parent_that_is_woken_by_nobodys_child_is_nobodys(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let rows = children(store, own, &parent, 1).await;
    assert!(!store.suspend_execution(suspension(&parent, awaits(&rows, ReturnWhen::AllEnded))).await.unwrap());
    assert!(!store.suspend_execution(suspension(&rows[0], None)).await.unwrap());
    let outcome = store.end_execution(ended(&rows[0], Status::EndedCancelled), Vec::new(), true).await.unwrap();
    assert!(outcome.woken.is_empty());
    assert_eq!(store.claim_executions(own, 10).await.unwrap(), [ticket(&parent)]);
}

/// Those that are not detached, whatever they do; their own children end when they do.
pub async fn the_children_of_an_ended_execution_are_cancelled(store: &dyn Store) {
    let own = owner(store).await;
    let parent = running(store, own).await;
    let id = Some(parent.execution.id);
    let rows = children(store, own, &parent, 4).await;
    let grandchild = child(store, own, Some(rows[0].execution.id)).await;
    let detached = Execution { parent_id: id, ..execution(Status::Running) };
    let detached = ExecutionRow { is_detached: true, ..row(detached) };
    store.insert_execution(detached.clone()).await.unwrap();
    store.suspend_execution(suspension(&rows[1], None)).await.unwrap();
    store.end_execution(ended(&rows[2], Status::EndedSuccess), Vec::new(), true).await.unwrap();
    let unknown = Execution { id: RecordId::new(), ..ended(&rows[2], Status::EndedSuccess) };
    assert!(store.end_execution(unknown, Vec::new(), false).await.unwrap().cancelled.is_empty());
    store.mark_cancelled(rows[3].execution.id).await.unwrap();

    let mut cancelled =
        store.end_execution(ended(&parent, Status::EndedError), Vec::new(), true).await.unwrap().cancelled;
    cancelled.sort();
    assert_eq!(cancelled, [0, 1, 3].map(|number| rows[number].execution.id));
    for id in cancelled {
        assert!(store.load_execution(id).await.unwrap().is_cancelled);
    }
    assert_eq!(status(store, rows[1].execution.id).await, Status::Waiting, "it is marked and no more");
    for id in [grandchild.execution.id, detached.execution.id] {
        assert!(!store.load_execution(id).await.unwrap().is_cancelled);
    }
}
