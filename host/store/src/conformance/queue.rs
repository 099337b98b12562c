//! Executions that are ready to go on, and who claims them.

use flowhost_model::{Execution, Priority, RecordId, Status, Timestamp};

use super::{assert_same, ended, execution, owner, row, running, status, suspension, ticket};
use crate::{Awaits, Error, ExecutionRow, ReturnWhen, Store};

/// An execution that nobody owns.
async fn queued(store: &dyn Store, priority: Priority) -> ExecutionRow {
    let scheduled = Execution { priority, user_id: Some(RecordId::new()), ..execution(Status::Scheduled) };
    let row = ExecutionRow { owner: None, ..row(scheduled) };
    store.insert_execution(row.clone()).await.unwrap();
    row
}

/// Each owner has a number of its own, as long as it is one.
pub async fn a_lease_is_extended_by_its_owner(store: &dyn Store) {
    let one = store.hold_lease(None, Timestamp(1)).await.unwrap();
    let two = store.hold_lease(None, Timestamp(1)).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(store.hold_lease(Some(one), Timestamp(2)).await.unwrap(), one);
    let unknown = crate::OwnerId(one.0 + two.0);
    assert!(matches!(store.hold_lease(Some(unknown), Timestamp(2)).await, Err(Error::NotFound)));
}

/// Who is more urgent goes first; among equals who came first.
pub async fn the_most_urgent_is_claimed_first(store: &dyn Store) {
    let mut rows = Vec::new();
    for number in 0..9 {
        rows.push(queued(store, Priority::ALL[number % 3]).await);
    }
    let own = owner(store).await;
    // Neither what somebody has nor what is not scheduled.
    running(store, own).await;
    store.insert_execution(ExecutionRow { owner: Some(own), ..row(execution(Status::Scheduled)) }).await.unwrap();
    store.insert_execution(row(execution(Status::Paused))).await.unwrap();

    let mut expected: Vec<&ExecutionRow> = rows.iter().collect();
    expected.sort_by_key(|row| (std::cmp::Reverse(row.execution.priority), row.execution.id));
    let mut claimed = store.claim_executions(own, 4).await.unwrap();
    assert_eq!(claimed.len(), 4);
    claimed.extend(store.claim_executions(own, 100).await.unwrap());
    assert_eq!(claimed, expected.iter().map(|row| ticket(row)).collect::<Vec<_>>());
    for row in rows {
        let found = store.load_execution(row.execution.id).await.unwrap();
        assert_eq!(found.owner, Some(own));
        assert_same(&found.execution, &row.execution);
    }
    assert!(store.claim_executions(own, 100).await.unwrap().is_empty());
    queued(store, Priority::High).await;
    assert!(store.claim_executions(own, 0).await.unwrap().is_empty());
}

/// Of several owners that claim at the same time, one gets it.
pub async fn an_execution_is_claimed_once(store: &dyn Store) {
    let mut expected = Vec::new();
    for _ in 0..50 {
        expected.push(queued(store, Priority::Normal).await.execution.id);
    }
    let claimed = std::sync::Mutex::new(Vec::new());
    super::join_all((0..20).map(|_| async {
        let own = owner(store).await;
        for ticket in store.claim_executions(own, 3).await.unwrap() {
            assert_eq!(store.load_execution(ticket.id).await.unwrap().owner, Some(own));
            claimed.lock().unwrap().push(ticket.id);
        }
    }))
    .await;
    let mut claimed = claimed.into_inner().unwrap();
    claimed.sort();
    assert_eq!(claimed, expected);
}

/// What runs is not paused from outside. Who is resumed begins the wait anew.
pub async fn an_execution_that_waits_or_is_scheduled_is_paused(store: &dyn Store) {
    let own = owner(store).await;
    let scheduled = queued(store, Priority::Normal).await.execution.id;
    let claimed = ExecutionRow { owner: Some(own), ..row(execution(Status::Scheduled)) };
    store.insert_execution(claimed.clone()).await.unwrap();
    let (parent, child) = (running(store, own).await, running(store, own).await);
    let awaits = Awaits::Children { children: vec![child.execution.id], when: ReturnWhen::AllEnded };
    let mut wait = suspension(&parent, Some(awaits));
    wait.row.execution.wake_at = Some(Timestamp(20));
    assert!(!store.suspend_execution(wait).await.unwrap());
    for id in [scheduled, claimed.execution.id, parent.execution.id] {
        store.pause_execution(id, "nobody is there".to_owned()).await.unwrap();
        let found = store.load_execution(id).await.unwrap();
        assert_eq!((found.execution.status, found.owner, found.execution.wake_at), (Status::Paused, None, None));
        assert_eq!(found.execution.status_message.as_deref(), Some("nobody is there"));
    }
    assert!(store.claim_executions(own, 10).await.unwrap().is_empty());
    let due = store.claim_due(own, Timestamp(30), 10).await.unwrap();
    assert!(due.tickets.is_empty() && due.next.is_none());

    let resumed = store.resume_execution(own, parent.execution.id).await.unwrap();
    assert_eq!(resumed, ticket(&parent));
    let found = store.load_execution(parent.execution.id).await.unwrap();
    assert_eq!((found.execution.status, found.execution.status_message), (Status::Scheduled, None));
    assert_eq!(found.owner, Some(own));

    let in_memory = running(store, own).await;
    store.set_execution_status(in_memory.execution.id, Status::Waiting, None).await.unwrap();
    let over = running(store, own).await;
    store.end_execution(ended(&over, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    for id in [scheduled, child.execution.id, in_memory.execution.id, over.execution.id, RecordId::new()] {
        assert!(matches!(store.pause_execution(id, String::new()).await, Err(Error::NotFound)));
    }
}

/// Nothing else changes by it, and who claims the execution sees it.
pub async fn a_mark_of_cancelling_stays_until_the_end(store: &dyn Store) {
    let own = owner(store).await;
    let row = queued(store, Priority::Low).await;
    let id = row.execution.id;
    store.mark_cancelled(id).await.unwrap();
    store.mark_cancelled(id).await.unwrap();
    assert_same(&store.execution(id).await.unwrap().unwrap(), &row.execution);
    assert_eq!(store.claim_executions(own, 1).await.unwrap(), [ticket(&row)]);
    assert!(store.load_execution(id).await.unwrap().is_cancelled);
    store.end_execution(ended(&row, Status::EndedCancelled), Vec::new(), true).await.unwrap();
    assert_eq!(status(store, id).await, Status::EndedCancelled);
    for id in [id, RecordId::new()] {
        assert!(matches!(store.mark_cancelled(id).await, Err(Error::NotFound)));
    }
}

/// A paused execution is given to one of those who ask for it.
pub async fn a_paused_execution_is_resumed_once(store: &dyn Store) {
    let paused = Execution { status_message: Some("nobody is there".to_owned()), ..execution(Status::Paused) };
    let id = paused.id;
    let before = row(paused.clone());
    store.insert_execution(before.clone()).await.unwrap();
    let owner = store.hold_lease(None, Timestamp::now()).await.unwrap();
    let resumed = std::sync::Mutex::new(Vec::new());
    super::join_all((0..5).map(|_| async {
        match store.resume_execution(owner, id).await {
            Ok(ticket) => resumed.lock().unwrap().push(ticket),
            Err(error) => assert!(matches!(error, Error::NotFound), "{error:?}"),
        }
    }))
    .await;
    assert_eq!(resumed.into_inner().unwrap(), [ticket(&before)]);
    let found = store.load_execution(id).await.unwrap();
    assert_same(&found.execution, &Execution { status: Status::Scheduled, status_message: None, ..paused });
    assert_eq!((found.owner, &found.request, found.seed), (Some(owner), &before.request, before.seed));
    assert!(store.claim_executions(owner, 10).await.unwrap().is_empty());
    for other in [execution(Status::Running), execution(Status::Scheduled)] {
        store.insert_execution(row(other.clone())).await.unwrap();
        assert!(matches!(store.resume_execution(owner, other.id).await, Err(Error::NotFound)));
    }
    assert!(matches!(store.resume_execution(owner, RecordId::new()).await, Err(Error::NotFound)));
}

/// Those in its queue and those that it runs: not what waits in the store, is paused, has ended, or is another's.
pub async fn owned_executions_are_those_that_have_not_ended(store: &dyn Store) {
    let (own, other) = (owner(store).await, owner(store).await);
    let runs = running(store, own).await;
    queued(store, Priority::Normal).await;
    let claimed = store.claim_executions(own, 1).await.unwrap()[0].id;
    queued(store, Priority::Normal).await;
    running(store, other).await;
    let waits = running(store, own).await;
    assert!(!store.suspend_execution(suspension(&waits, None)).await.unwrap());
    let over = running(store, own).await;
    store.end_execution(ended(&over, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    let mut expected = [runs.execution.id, claimed];
    let mut owned = store.owned_executions(own).await.unwrap();
    expected.sort();
    owned.sort();
    assert_eq!(owned, expected);
}

/// What ran is another attempt; what had not begun is the same. Neither is taken from another owner.
pub async fn a_lost_execution_is_retaken_by_its_owner(store: &dyn Store) {
    let (own, other) = (owner(store).await, owner(store).await);
    let runs = running(store, own).await;
    let id = runs.execution.id;
    assert!(matches!(store.retake_execution(other, id).await, Err(Error::NotFound)));
    assert_eq!(store.retake_execution(own, id).await.unwrap(), Some(ticket(&runs)));
    let found = store.load_execution(id).await.unwrap();
    assert_same(&found.execution, &Execution { status: Status::Scheduled, attempt: 2, ..runs.execution.clone() });
    assert_eq!(found.owner, Some(own));
    assert_eq!(store.retake_execution(own, id).await.unwrap(), Some(ticket(&runs)));
    assert_eq!(store.load_execution(id).await.unwrap().execution.attempt, 2);

    let lost = Execution { is_durable: false, ..execution(Status::Running) };
    store.insert_execution(ExecutionRow { owner: Some(own), ..row(lost.clone()) }).await.unwrap();
    assert_eq!(store.retake_execution(own, lost.id).await.unwrap(), None);
    assert_same(&store.execution(lost.id).await.unwrap().unwrap(), &lost);

    let waits = running(store, own).await;
    assert!(!store.suspend_execution(suspension(&waits, None)).await.unwrap());
    store.end_execution(ended(&runs, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    for id in [waits.execution.id, id, RecordId::new()] {
        assert!(matches!(store.retake_execution(own, id).await, Err(Error::NotFound)));
    }
}
