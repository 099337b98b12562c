//! What every store must do, as functions over an empty store.
//!
//! [`all`] runs them one after the other, each on a store of its own. A failure is a panic that names the place.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test suite: panics are its answers.
#![allow(clippy::disallowed_methods)] // It has no clock but the machine's.

mod children;
mod executions;
mod files;
mod journal;
mod lists;
mod locks;
mod messages;
mod queue;
mod records;
mod recovery;
mod trash;
mod waits;

use flowhost_model::{
    Actor, ActorKind, ConcurrencyLimit, Digest, Execution, Flow, FlowRef, LogLevel, LogLine, LogSource, Priority,
    RawValue, Record, RecordId, RequestRecord, Setting, Status, Timestamp, WebhookRef,
};

pub use self::children::*;
pub use self::executions::*;
pub use self::files::*;
pub use self::journal::*;
pub use self::lists::*;
pub use self::locks::*;
pub use self::messages::*;
pub use self::queue::*;
pub use self::records::*;
pub use self::recovery::*;
pub use self::trash::*;
pub use self::waits::*;
use crate::{Awaits, ExecutionRow, Expected, OwnerId, RecordWrite, Store, StoredRecord, Suspension, Ticket, Write};

/// Runs the whole suite. `make` gives a new, empty store each time.
pub async fn all<S: Store>(make: impl AsyncFn() -> S) {
    macro_rules! run {
        ($($behaviour:ident),* $(,)?) => {$(
            let store = make().await;
            $behaviour(&store).await;
            store.close().await.expect(stringify!($behaviour));
        )*};
    }
    run!(
        a_record_is_found_by_id_and_by_name,
        a_write_is_whole_or_not_at_all,
        a_name_is_taken_within_its_type,
        a_stale_revision_is_a_conflict,
        a_name_can_pass_to_another_record,
        changes_since_a_revision,
        a_record_in_the_trash_leaves_its_name,
        a_stale_deletion_is_a_conflict,
        the_history_of_a_record,
        a_write_that_is_not_remembered_leaves_no_history,
        the_latest_activity_is_kept,
        lists_of_records_are_what_their_filters_say,
        lists_of_executions_are_what_their_filters_say,
        null_is_not_compared,
        text_in_a_filter_is_not_sql,
        a_foreign_cursor_is_refused,
        a_page_ends_at_its_bytes,
        a_page_goes_on_while_records_change,
        versions_of_a_flow,
        a_component_of_several_chunks,
        a_component_lives_as_long_as_a_version_names_it,
        a_file_is_read_in_pieces,
        a_file_grows,
        a_file_grows_from_its_size_only,
        the_bytes_of_a_file_live_as_long_as_its_record,
        a_host_value_is_kept_once,
        json_is_kept_verbatim,
        every_field_of_an_execution_is_kept,
        an_execution_ends_after_it_was_inserted,
        an_ended_execution_does_not_change,
        an_execution_id_is_new,
        the_status_of_a_running_execution_changes,
        an_execution_is_made_productive_until_it_ends,
        a_paused_execution_is_resumed_once,
        executions_are_listed_newest_first_page_by_page,
        executions_are_filtered,
        a_log_is_read_in_pieces,
        recovery_schedules_what_is_durable_and_ends_the_rest,
        recovery_leaves_what_is_paused,
        recovery_leaves_what_waits_in_the_store,
        recovery_removes_the_owners,
        recovery_wakes_who_waited_for_an_interrupted_child,
        recovery_schedules_what_is_cancelled_and_would_never_wake,
        recovery_gives_up_after_three_deaths_in_a_row,
        progress_between_deaths_resets_their_count,
        recovery_counts_no_death_of_what_had_not_begun,
        all_that_it_takes_to_run_an_execution_is_loaded,
        execution_keeps_its_origin_after_its_end,
        request_that_is_too_long_is_dropped_at_the_end,
        several_executions_are_found_by_their_ids,
        a_lease_is_extended_by_its_owner,
        the_most_urgent_is_claimed_first,
        an_execution_is_claimed_once,
        owned_executions_are_those_that_have_not_ended,
        a_lost_execution_is_retaken_by_its_owner,
        an_execution_that_waits_or_is_scheduled_is_paused,
        a_mark_of_cancelling_stays_until_the_end,
        a_journal_is_kept_with_what_it_tells_of,
        a_journal_makes_an_execution_durable,
        a_journal_may_take_durability_away_for_a_while,
        a_journal_has_no_gaps,
        an_ended_execution_has_no_journal,
        the_revision_is_that_of_records,
        an_execution_leaves_memory_whole,
        an_execution_leaves_memory_before_it_was_inserted,
        an_execution_leaves_memory_for_another_owner,
        an_ended_execution_does_not_leave_memory,
        a_cancelled_execution_does_not_wait,
        who_waits_for_a_time_is_claimed_when_it_comes,
        relative_times_move_with_the_clock,
        shifts_of_the_clock_add_up,
        what_waits_in_development_mode_is_listed,
        the_end_of_a_child_wakes_its_parent,
        a_wait_for_what_has_happened_is_over,
        a_woken_parent_waits_for_nobody,
        who_is_paused_is_not_woken,
        a_parent_that_is_woken_by_nobodys_child_is_nobodys,
        the_children_of_an_ended_execution_are_cancelled,
        a_lock_has_one_holder,
        projects_do_not_share_locks,
        the_locks_of_an_ended_execution_are_released,
        a_released_lock_goes_to_who_waits_for_it_first,
        a_wait_for_a_lock_that_is_free_or_own_is_over,
        who_waits_no_more_gets_no_lock,
        a_settled_message_wakes_its_execution_once,
        the_open_messages_of_an_ended_execution_are_closed,
        writes_at_the_same_time_are_all_kept,
    );
    let store = make().await;
    a_closed_store_says_so(&store).await;
}

fn setting(name: &str, value: u64) -> Record<Setting> {
    Record::new(name, None, Setting { value: value.into(), key_digest: None, flow_id: None }, Timestamp::now()).unwrap()
}

fn flow(name: &str) -> Record<Flow> {
    Record::new(name, None, Flow::default(), Timestamp::now()).unwrap()
}

fn create<B: flowhost_model::Body>(record: &Record<B>) -> Write {
    create_stored(StoredRecord::from_record(record).unwrap())
}

fn create_stored(record: StoredRecord) -> Write {
    Write::Record(RecordWrite { record, expected: Expected::Absent, commit_message: None, is_remembered: true })
}

fn replace<B: flowhost_model::Body>(record: &Record<B>, revision: u64) -> Write {
    let (record, expected) = (StoredRecord::from_record(record).unwrap(), Expected::Revision(revision));
    Write::Record(RecordWrite { record, expected, commit_message: None, is_remembered: true })
}

fn delete(id: RecordId, revision: u64) -> Write {
    let expected = Expected::Revision(revision);
    Write::DeleteRecord { id, expected, by: None, at: Timestamp::now(), commit_message: None, is_remembered: true }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn execution(status: Status) -> Execution {
    let now = Timestamp::now();
    Execution {
        id: RecordId::new(),
        flow: FlowRef { id: RecordId::new(), name: "signup".to_owned(), version: 3, digest: Digest([9; 32]) },
        webhook: Some(WebhookRef { id: RecordId::new(), name: "web-signup".to_owned() }),
        status,
        status_message: None,
        failure: None,
        project_id: None,
        bundle_id: None,
        created_by: None,
        user_id: None,
        parent_id: None,
        priority: Priority::Normal,
        is_productive: true,
        attempt: 1,
        is_durable: true,
        input_value: json("{\"a\":1}"),
        output_value: json("{}"),
        created_at: now,
        started_at: None,
        ended_at: status.is_ended().then_some(now),
        wake_at: None,
        queue_wait_us: 0,
        run_time_us: 0,
    }
}

/// Who runs what these tests insert.
const OWNER: OwnerId = OwnerId(1);

/// Owned, unless it is paused.
fn row(execution: Execution) -> ExecutionRow {
    let request = RequestRecord {
        method: "POST".to_owned(),
        path: "/a/%C3%A9".to_owned(),
        query: Some("b=1&b=2".to_owned()),
        headers: vec![("x-a".to_owned(), b"1".to_vec()), ("x-a".to_owned(), vec![0xff, 0x80, b' '])],
        body: vec![0, 159, 146, 150].into(),
        body_is_exact: false,
    };
    ExecutionRow {
        owner: (execution.status != Status::Paused).then_some(OWNER),
        execution,
        request: Some(request),
        seed: [5; 32],
        deadline: Some(Timestamp(77)),
        actor: Some(Actor { kind: ActorKind::PropagatedUser, id: RecordId::new() }),
        is_detached: false,
        depth: 3,
        concurrency: Some(ConcurrencyLimit { project_id: Some(RecordId::new()), key: "a key".to_owned(), limit: 2 }),
        is_cancelled: false,
        journal: Vec::new(),
        log_lines: 0,
        deaths: 0,
    }
}

/// An execution that runs in memory, and has a row.
async fn running(store: &dyn Store, owner: OwnerId) -> ExecutionRow {
    child(store, owner, None).await
}

/// The same, as the child of another.
async fn child(store: &dyn Store, owner: OwnerId, parent_id: Option<RecordId>) -> ExecutionRow {
    let running = Execution { parent_id, started_at: Some(Timestamp(5)), ..execution(Status::Running) };
    let row = ExecutionRow { owner: Some(owner), ..row(running) };
    store.insert_execution(row.clone()).await.unwrap();
    row
}

/// A new owner, far from the end of its lease.
async fn owner(store: &dyn Store) -> OwnerId {
    store.hold_lease(None, Timestamp(i64::MAX)).await.unwrap()
}

/// It leaves memory to wait.
fn suspension(row: &ExecutionRow, awaits: Option<Awaits>) -> Suspension {
    let execution = Execution { status: Status::Waiting, ..row.execution.clone() };
    let row = ExecutionRow { execution, ..row.clone() };
    Suspension { row, is_known: true, first: 0, entries: Vec::new(), log: Vec::new(), is_relative: false, awaits }
}

/// It has ended so.
fn ended(row: &ExecutionRow, status: Status) -> Execution {
    Execution { status, ended_at: Some(Timestamp(9)), ..row.execution.clone() }
}

async fn status(store: &dyn Store, id: RecordId) -> Status {
    store.execution(id).await.unwrap().unwrap().status
}

/// What the queue says of it.
fn ticket(row: &ExecutionRow) -> Ticket {
    let execution = &row.execution;
    Ticket {
        id: execution.id,
        flow_id: execution.flow.id,
        webhook_id: execution.webhook.as_ref().map(|webhook| webhook.id),
        priority: execution.priority,
        concurrency: row.concurrency.clone(),
        is_productive: execution.is_productive,
        user_id: execution.user_id,
        deaths: row.deaths,
    }
}

fn line(message: &str) -> LogLine {
    LogLine {
        at: Timestamp(1_700_000_000_123_456),
        level: LogLevel::Warn,
        source: LogSource::Stdout,
        message: message.to_owned(),
        fields: Some(json("{\"n\" : 1.50}")),
    }
}

/// Two executions are the same when their JSON is: all of their fields are in it.
fn assert_same(left: &Execution, right: &Execution) {
    assert_eq!(serde_json::to_string(left).unwrap(), serde_json::to_string(right).unwrap());
}

/// Polls all of them together.
async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(move |context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
