//! Locks that executions hold, and waits for them.

use flowhost_model::{RecordId, Status, Timestamp};

use super::{child, ended, line, owner, running, status, suspension, ticket};
use crate::{Awaits, Error, ExecutionRow, LockKey, LockQuery, OwnerId, Store, Write};

/// The lock of this name in no project.
fn key(name: &str) -> LockKey {
    LockKey { project_id: None, name: name.to_owned() }
}

async fn acquire(store: &dyn Store, name: &str, row: &ExecutionRow) -> crate::Result<u64> {
    acquire_in(store, key(name), row).await
}

async fn acquire_in(store: &dyn Store, key: LockKey, row: &ExecutionRow) -> crate::Result<u64> {
    store.write(vec![Write::AcquireLock { key, execution: row.execution.id, at: Timestamp(3) }]).await
}

async fn release(store: &dyn Store, name: &str, row: &ExecutionRow) {
    let (key, execution) = (key(name), row.execution.id);
    store.write(vec![Write::ReleaseLock { key, execution, at: Timestamp(4) }]).await.unwrap();
}

async fn holder(store: &dyn Store, name: &str) -> Option<RecordId> {
    store.lock(&key(name)).await.unwrap().map(|lock| lock.execution)
}

fn page(after: Option<LockKey>, limit: u32) -> LockQuery {
    LockQuery { after, limit, name: None, in_projects: None }
}

/// An execution that waits for a lock in the store.
async fn waiting(store: &dyn Store, owner: OwnerId, name: &str) -> ExecutionRow {
    let row = running(store, owner).await;
    let wait = suspension(&row, Some(Awaits::Lock(key(name))));
    assert!(!store.suspend_execution(wait).await.unwrap());
    row
}

/// Who holds it, since when, and how many that one holds.
pub async fn a_lock_has_one_holder(store: &dyn Store) {
    let own = owner(store).await;
    let (one, two) = (running(store, own).await, running(store, own).await);
    acquire(store, "a", &one).await.unwrap();
    acquire(store, "b", &one).await.unwrap();
    acquire(store, "A", &two).await.unwrap();
    assert!(matches!(acquire(store, "a", &two).await, Err(Error::Conflict)));
    let names = async |after, limit| {
        let locks = store.locks(page(after, limit)).await.unwrap();
        locks.into_iter().map(|lock| lock.key.name).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 10).await, ["A", "a", "b"]);
    assert_eq!(names(Some(key("A")), 1).await, ["a"]);
    let lock = store.lock(&key("b")).await.unwrap().unwrap();
    assert_eq!((lock.execution, lock.since), (one.execution.id, Timestamp(3)));
    assert_eq!((&lock.flow_name, lock.key), (&one.execution.flow.name, key("b")));
    assert_eq!(store.lock_count(one.execution.id).await.unwrap(), 2);
    // Of another, it is not released.
    release(store, "a", &two).await;
    assert_eq!(holder(store, "a").await, Some(one.execution.id));
    release(store, "a", &one).await;
    release(store, "a", &one).await;
    assert_eq!(holder(store, "a").await, None);
    acquire(store, "a", &two).await.unwrap();

    let over = ended(&running(store, own).await, Status::EndedSuccess);
    store.end_execution(over.clone(), Vec::new(), true).await.unwrap();
    let gone = ExecutionRow { execution: over, ..one };
    assert!(matches!(acquire(store, "c", &gone).await, Err(Error::NotFound)));
}

/// Each project has names of its own, and lists show those of the projects that they are asked for.
pub async fn projects_do_not_share_locks(store: &dyn Store) {
    let own = owner(store).await;
    let (one, two, three) = (running(store, own).await, running(store, own).await, running(store, own).await);
    let mut projects = [RecordId::new(), RecordId::new()];
    projects.sort_unstable();
    let keys = [None, Some(projects[0]), Some(projects[1])].map(|project_id| LockKey { project_id, ..key("a") });
    for (key, row) in keys.iter().zip([&one, &two, &three]) {
        acquire_in(store, key.clone(), row).await.unwrap();
    }
    assert!(matches!(acquire_in(store, keys[1].clone(), &one).await, Err(Error::Conflict)));
    let listed = async |query: LockQuery| -> Vec<LockKey> {
        store.locks(query).await.unwrap().into_iter().map(|lock| lock.key).collect()
    };
    assert_eq!(listed(page(None, 10)).await, keys);
    assert_eq!(listed(page(Some(keys[1].clone()), 10)).await, [keys[2].clone()]);
    assert_eq!(listed(LockQuery { in_projects: Some(vec![projects[1]]), ..page(None, 10) }).await, [keys[2].clone()]);
    assert!(listed(LockQuery { in_projects: Some(Vec::new()), ..page(None, 10) }).await.is_empty());
    assert!(listed(LockQuery { name: Some("b".to_owned()), ..page(None, 10) }).await.is_empty());
    assert_eq!(listed(LockQuery { name: Some("a".to_owned()), ..page(None, 2) }).await, keys[..2]);

    // A wait is for the lock of its own project.
    let waiter = running(store, own).await;
    assert!(!store.suspend_execution(suspension(&waiter, Some(Awaits::Lock(keys[1].clone())))).await.unwrap());
    release(store, "a", &one).await;
    assert_eq!(status(store, waiter.execution.id).await, Status::Waiting);
    let told = store.end_execution(ended(&two, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    assert_eq!((told.woken, told.released), (vec![ticket(&waiter)], vec![keys[1].clone()]));
    assert_eq!(store.lock(&keys[1]).await.unwrap().unwrap().execution, waiter.execution.id);
}

/// All of them, with its end; whether or not it has more than its row.
pub async fn the_locks_of_an_ended_execution_are_released(store: &dyn Store) {
    let own = owner(store).await;
    for log in [Vec::new(), vec![line("a")]] {
        let row = running(store, own).await;
        acquire(store, "b", &row).await.unwrap();
        acquire(store, "a", &row).await.unwrap();
        let told = store.end_execution(ended(&row, Status::EndedError), log, true).await.unwrap();
        assert_eq!((told.released, told.woken), (vec![key("a"), key("b")], Vec::new()));
        assert!(store.locks(page(None, 10)).await.unwrap().is_empty());
    }
    let mut lost = super::row(super::execution(Status::Running));
    (lost.execution.is_durable, lost.owner) = (false, Some(own));
    store.insert_execution(lost.clone()).await.unwrap();
    acquire(store, "a", &lost).await.unwrap();
    let next = waiting(store, own, "a").await;
    assert_eq!(store.recover(Timestamp(9)).await.unwrap().interrupted, 1);
    assert_eq!(holder(store, "a").await, Some(next.execution.id));
}

/// One by one, in the order of their admission, and each once.
pub async fn a_released_lock_goes_to_who_waits_for_it_first(store: &dyn Store) {
    let (one, two) = (owner(store).await, owner(store).await);
    let first = running(store, one).await;
    acquire(store, "a", &first).await.unwrap();
    let (second, third) = (waiting(store, one, "a").await, waiting(store, one, "a").await);
    let other = waiting_for_child(store, one).await;

    // By a write, for whoever claims.
    release(store, "a", &first).await;
    assert_eq!(holder(store, "a").await, Some(second.execution.id));
    assert_eq!(store.lock(&key("a")).await.unwrap().unwrap().since, Timestamp(4));
    assert_eq!(store.claim_executions(two, 10).await.unwrap(), [ticket(&second)]);
    assert_eq!(status(store, third.execution.id).await, Status::Waiting);
    // By an end, for the owner of the ended one.
    let told = store.end_execution(ended(&second, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    assert_eq!((told.woken, told.released), (vec![ticket(&third)], vec![key("a")]));
    assert_eq!(holder(store, "a").await, Some(third.execution.id));
    assert_eq!(store.load_execution(third.execution.id).await.unwrap().owner, Some(two));
    store.end_execution(ended(&third, Status::EndedSuccess), Vec::new(), true).await.unwrap();
    assert_eq!(holder(store, "a").await, None);
    assert_eq!(status(store, other.execution.id).await, Status::Waiting);
}

async fn waiting_for_child(store: &dyn Store, owner: OwnerId) -> ExecutionRow {
    let parent = running(store, owner).await;
    let children = vec![child(store, owner, Some(parent.execution.id)).await.execution.id];
    let awaits = Awaits::Children { children, when: crate::ReturnWhen::AllEnded };
    assert!(!store.suspend_execution(suspension(&parent, Some(awaits))).await.unwrap());
    parent
}

/// It may have been released just before, or given to who waited and has not seen it.
pub async fn a_wait_for_a_lock_that_is_free_or_own_is_over(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    let wait = suspension(&row, Some(Awaits::Lock(key("a"))));
    assert!(store.suspend_execution(wait.clone()).await.unwrap());
    assert_eq!(status(store, row.execution.id).await, Status::Scheduled);
    assert_eq!(holder(store, "a").await, None);
    acquire(store, "a", &row).await.unwrap();
    assert!(store.suspend_execution(wait).await.unwrap());
    assert_eq!(status(store, row.execution.id).await, Status::Scheduled);
}

/// Whoever paused, was cancelled or whose time came is passed over.
pub async fn who_waits_no_more_gets_no_lock(store: &dyn Store) {
    let own = owner(store).await;
    let first = running(store, own).await;
    acquire(store, "a", &first).await.unwrap();
    let (paused, over) = (waiting(store, own, "a").await, waiting(store, own, "a").await);
    let due = running(store, own).await;
    let mut wait = suspension(&due, Some(Awaits::Lock(key("a"))));
    wait.row.execution.wake_at = Some(Timestamp(5));
    assert!(!store.suspend_execution(wait).await.unwrap());
    let last = waiting(store, own, "a").await;
    store.pause_execution(paused.execution.id, String::new()).await.unwrap();
    store.end_execution(ended(&over, Status::EndedCancelled), Vec::new(), true).await.unwrap();
    assert_eq!(store.claim_due(own, Timestamp(5), 10).await.unwrap().tickets, [ticket(&due)]);
    release(store, "a", &first).await;
    assert_eq!(holder(store, "a").await, Some(last.execution.id));
    for id in [paused, over, due].map(|row| row.execution.id) {
        assert_eq!(store.lock_count(id).await.unwrap(), 0);
    }
}
