//! Executions and their logs.

use std::sync::Arc;

use flowhost_model::{
    Actor, ActorKind, Execution, Failure, Filter, Priority, RecordId, RecordType, Status, Timestamp, definition,
};
use serde_json::{Value, json as value};

use super::{assert_same, execution, json, line, row, setting};
use crate::{Error, ExecutionQuery, ExecutionRow, KEPT_BODY_BYTES, Origin, OwnerId, Store};

fn filter(json: &Value) -> Option<Filter> {
    Some(Filter::parse(json, definition(RecordType::Execution)).unwrap())
}

/// The ids of a page of at most 1,000.
async fn ids(store: &dyn Store, filter: Option<Filter>) -> Vec<RecordId> {
    let query = ExecutionQuery { filter, limit: 1000, ..ExecutionQuery::default() };
    store.query_executions(query).await.unwrap().executions.into_iter().map(|execution| execution.id).collect()
}

/// Input and output are given back as the text that they were.
pub async fn json_is_kept_verbatim(store: &dyn Store) {
    for text in [
        "{ \"b\" : 1,\n\t\"a\":[ ] }",
        "123456789012345678901234567890.10",
        "{\"a\":1,\"a\":2}",
        "\"\\u00e9 é \\u0000\"",
        "1.0e+05",
        "null",
    ] {
        let mut execution = execution(Status::EndedSuccess);
        execution.input_value = json(text);
        execution.output_value = json(text);
        let id = execution.id;
        store.end_execution(execution, Vec::new(), false).await.unwrap();
        let found = store.execution(id).await.unwrap().unwrap();
        assert_eq!(found.input_value.get(), text);
        assert_eq!(found.output_value.get(), text);
    }
}

/// Nothing of an execution is lost, neither when it was inserted first nor when it was not.
pub async fn every_field_of_an_execution_is_kept(store: &dyn Store) {
    let mut full = execution(Status::EndedError);
    full.status_message = Some("Went wrong".to_owned());
    full.failure = Some(Failure {
        code: "flow.error".to_owned(),
        message: "no such customer".to_owned(),
        flow_code: Some("customer.unknown".to_owned()),
        details: Some(json("{\"id\" : 7.0}")),
        retryable: true,
        trace: Some("0: run".to_owned()),
    });
    full.attempt = 2;
    (full.project_id, full.bundle_id) = (Some(RecordId::new()), Some(RecordId::new()));
    (full.created_by, full.user_id) = (Some(RecordId::new()), Some(RecordId::new()));
    full.started_at = Some(Timestamp(3));
    (full.parent_id, full.priority) = (Some(RecordId::new()), Priority::High);
    (full.queue_wait_us, full.run_time_us) = (1 << 40, 7);
    let mut bare = execution(Status::EndedCancelled);
    (bare.webhook, bare.is_productive, bare.is_durable) = (None, false, false);
    bare.priority = Priority::Low;
    for ended in [full, bare] {
        let id = ended.id;
        store.end_execution(ended.clone(), vec![line("one")], false).await.unwrap();
        assert_same(&store.execution(id).await.unwrap().unwrap(), &ended);

        let mut known = Execution { id: RecordId::new(), status: Status::Running, ended_at: None, ..ended.clone() };
        store.insert_execution(row(known.clone())).await.unwrap();
        assert_same(&store.execution(known.id).await.unwrap().unwrap(), &known);
        (known.status, known.ended_at) = (ended.status, ended.ended_at);
        store.end_execution(known.clone(), vec![line("one")], true).await.unwrap();
        assert_same(&store.execution(known.id).await.unwrap().unwrap(), &known);
    }
    assert!(store.execution(RecordId::new()).await.unwrap().is_none());
}

/// Who runs an execution finds all that was kept for it.
pub async fn all_that_it_takes_to_run_an_execution_is_loaded(store: &dyn Store) {
    for kind in [ActorKind::Webhook, ActorKind::User, ActorKind::PropagatedUser] {
        let mut before = row(execution(Status::Running));
        before.actor = Some(Actor { kind, id: RecordId::new() });
        (before.is_detached, before.depth, before.owner) = (true, u32::MAX, Some(OwnerId(i64::MAX)));
        // Ignored, since others give it.
        (before.is_cancelled, before.log_lines) = (true, 7);
        store.insert_execution(before.clone()).await.unwrap();
        let found = store.load_execution(before.execution.id).await.unwrap();
        assert_same(&found.execution, &before.execution);
        assert_eq!((&found.request, found.seed, found.deadline), (&before.request, before.seed, before.deadline));
        assert_eq!((found.actor, &found.concurrency, found.owner), (before.actor, &before.concurrency, before.owner));
        assert_eq!((found.is_detached, found.depth, found.is_cancelled), (true, u32::MAX, false));
        assert!(found.journal.is_empty() && found.log_lines == 0);
    }
    let mut bare = row(execution(Status::Scheduled));
    (bare.request, bare.deadline, bare.actor, bare.concurrency, bare.owner) = (None, None, None, None, None);
    store.insert_execution(bare.clone()).await.unwrap();
    let found = store.load_execution(bare.execution.id).await.unwrap();
    let ExecutionRow { request, deadline, actor, concurrency, owner, is_detached, .. } = found;
    assert!(request.is_none() && deadline.is_none() && actor.is_none() && concurrency.is_none() && owner.is_none());
    assert!(!is_detached);

    let ended = execution(Status::EndedSuccess);
    store.end_execution(ended.clone(), Vec::new(), false).await.unwrap();
    for id in [ended.id, RecordId::new()] {
        assert!(matches!(store.load_execution(id).await, Err(Error::NotFound)));
    }
}

/// Whether it was inserted before its end, ended by a recovery, or is new at its end.
pub async fn execution_keeps_its_origin_after_its_end(store: &dyn Store) {
    let origin_of = |row: &ExecutionRow| Origin { actor: row.actor, request: row.request.clone() };
    let mut known = row(execution(Status::Running));
    let mut recovered = row(execution(Status::Running));
    recovered.execution.is_durable = false;
    // The body is the input's payload.
    let mut json_call = row(execution(Status::Running));
    json_call.execution.input_value = json("{\"path\":\"\",\"json\":{ \"n\": 1.0 }}");
    json_call.request.as_mut().unwrap().body = b"{ \"n\": 1.0 }".to_vec().into();
    for row in [&known, &recovered, &json_call] {
        store.insert_execution(row.clone()).await.unwrap();
        assert_eq!(store.execution_origin(row.execution.id).await.unwrap(), origin_of(row));
    }
    known.execution.status = Status::EndedError;
    store.end_execution(known.execution.clone(), vec![line("a")], true).await.unwrap();
    json_call.execution.status = Status::EndedSuccess;
    store.end_execution(json_call.execution.clone(), Vec::new(), true).await.unwrap();
    assert_eq!(store.recover(Timestamp(9)).await.unwrap().interrupted, 1);
    for row in [&known, &recovered, &json_call] {
        assert!(store.execution(row.execution.id).await.unwrap().unwrap().status.is_ended());
        assert_eq!(store.execution_origin(row.execution.id).await.unwrap(), origin_of(row));
    }
    for (origin, log) in [
        (origin_of(&known), Vec::new()),
        (origin_of(&known), vec![line("a")]),
        (origin_of(&json_call), Vec::new()),
        (Origin::default(), Vec::new()),
    ] {
        let new = Execution { input_value: json_call.execution.input_value.clone(), ..execution(Status::EndedSuccess) };
        store.insert_ended_execution(Arc::new(new.clone()), origin.clone(), log.clone()).await.unwrap();
        assert_same(&store.execution(new.id).await.unwrap().unwrap(), &new);
        assert_eq!(store.execution_origin(new.id).await.unwrap(), origin);
        assert_eq!(store.execution_log(new.id, 0, 9).await.unwrap().len(), log.len());
        let again = store.insert_ended_execution(Arc::new(new), origin, log).await;
        assert!(matches!(again, Err(Error::Conflict)));
    }
    assert!(matches!(store.execution_origin(RecordId::new()).await, Err(Error::NotFound)));
}

/// Unless the input holds it all the same. The actor stays.
pub async fn request_that_is_too_long_is_dropped_at_the_end(store: &dyn Store) {
    for (bytes, is_json, is_kept) in
        [(KEPT_BODY_BYTES, false, true), (KEPT_BODY_BYTES + 1, false, false), (KEPT_BODY_BYTES + 1, true, true)]
    {
        let mut row = row(execution(Status::Running));
        let body = format!("\"{}\"", "x".repeat(bytes - 2));
        if is_json {
            row.execution.input_value = json(&format!("{{\"path\":\"\",\"json\":{body}}}"));
        }
        row.request.as_mut().unwrap().body = body.into_bytes().into();
        let origin = Origin { actor: row.actor, request: row.request.clone() };
        store.insert_execution(row.clone()).await.unwrap();
        assert_eq!(store.execution_origin(row.execution.id).await.unwrap(), origin, "{bytes} {is_json}");
        let ended = Execution { status: Status::EndedSuccess, ..row.execution };
        store.end_execution(ended.clone(), Vec::new(), true).await.unwrap();
        let kept = Origin { request: origin.request.clone().filter(|_| is_kept), ..origin.clone() };
        assert_eq!(store.execution_origin(ended.id).await.unwrap(), kept, "{bytes} {is_json}");
        let new = Execution { id: RecordId::new(), ..ended };
        store.insert_ended_execution(Arc::new(new.clone()), origin, Vec::new()).await.unwrap();
        assert_eq!(store.execution_origin(new.id).await.unwrap(), kept, "{bytes} {is_json}");
    }
}

/// Ids that are of nobody give nothing.
pub async fn several_executions_are_found_by_their_ids(store: &dyn Store) {
    let (live, ended) = (execution(Status::Running), execution(Status::EndedError));
    store.insert_execution(row(live.clone())).await.unwrap();
    store.end_execution(ended.clone(), Vec::new(), false).await.unwrap();
    let found = store.executions(vec![ended.id, RecordId::new(), live.id]).await.unwrap();
    assert_eq!(found.len(), 2);
    for wanted in [live, ended] {
        assert_same(found.iter().find(|found| found.id == wanted.id).unwrap(), &wanted);
    }
    assert!(store.executions(Vec::new()).await.unwrap().is_empty());
}

/// The row that an admission made becomes the row of the end, and is not run again.
pub async fn an_execution_ends_after_it_was_inserted(store: &dyn Store) {
    let mut execution = execution(Status::Scheduled);
    store.insert_execution(row(execution.clone())).await.unwrap();
    execution.status = Status::EndedSuccess;
    execution.started_at = Some(Timestamp(10));
    execution.ended_at = Some(Timestamp(20));
    execution.output_value = json("{\"done\":true}");
    store.end_execution(execution.clone(), vec![line("a"), line("b")], true).await.unwrap();
    assert_same(&store.execution(execution.id).await.unwrap().unwrap(), &execution);
    assert_eq!(store.execution_log(execution.id, 0, 10).await.unwrap().len(), 2);
    assert_eq!(ids(store, None).await, [execution.id]);
    let recovered = store.recover(Timestamp::now()).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (0, 0));
}

/// What has ended stays as it is.
pub async fn an_ended_execution_does_not_change(store: &dyn Store) {
    let ended = execution(Status::EndedSuccess);
    store.end_execution(ended.clone(), vec![line("a")], false).await.unwrap();
    let other = Execution { status: Status::EndedError, output_value: json("[]"), ..ended.clone() };
    assert!(matches!(store.end_execution(other, vec![line("b")], true).await, Err(Error::NotFound)));
    assert!(matches!(store.set_execution_status(ended.id, Status::Running, None).await, Err(Error::NotFound)));
    assert_same(&store.execution(ended.id).await.unwrap().unwrap(), &ended);
    assert_eq!(store.execution_log(ended.id, 0, 10).await.unwrap().len(), 1);
    let unknown = execution(Status::EndedSuccess);
    assert!(matches!(store.end_execution(unknown, Vec::new(), true).await, Err(Error::NotFound)));
}

/// An id is inserted once.
pub async fn an_execution_id_is_new(store: &dyn Store) {
    let first = execution(Status::Running);
    store.insert_execution(row(first.clone())).await.unwrap();
    assert!(matches!(store.insert_execution(row(first.clone())).await, Err(Error::Conflict)));
    let ended = Execution { status: Status::EndedSuccess, ..first.clone() };
    assert!(matches!(store.end_execution(ended, vec![line("a")], false).await, Err(Error::Conflict)));
    assert_same(&store.execution(first.id).await.unwrap().unwrap(), &first);
    assert!(store.execution_log(first.id, 0, 10).await.unwrap().is_empty());
}

/// Status and message change together, until the end.
pub async fn the_status_of_a_running_execution_changes(store: &dyn Store) {
    let scheduled = execution(Status::Scheduled);
    let id = scheduled.id;
    store.insert_execution(row(scheduled)).await.unwrap();
    store.set_execution_status(id, Status::Running, Some("half-way".to_owned())).await.unwrap();
    let found = store.execution(id).await.unwrap().unwrap();
    assert_eq!((found.status, found.status_message.as_deref()), (Status::Running, Some("half-way")));
    assert_eq!(ids(store, filter(&value!({"field": "status", "value": "RUNNING"}))).await, [id]);
    store.set_execution_status(id, Status::Waiting, None).await.unwrap();
    assert_eq!(store.execution(id).await.unwrap().unwrap().status_message, None);
    assert!(store.set_execution_status(id, Status::EndedSuccess, None).await.is_err());
    let outcome = store.set_execution_status(RecordId::new(), Status::Running, None).await;
    assert!(matches!(outcome, Err(Error::NotFound)));
}

/// Pages follow each other without gap or overlap, by age and not by the order of insertion.
pub async fn executions_are_listed_newest_first_page_by_page(store: &dyn Store) {
    let mut made: Vec<Execution> = (0..25).map(|_| execution(Status::EndedSuccess)).collect();
    let expected: Vec<RecordId> = made.iter().rev().map(|execution| execution.id).collect();
    made.swap(3, 20);
    for execution in made {
        store.end_execution(execution, Vec::new(), false).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = ExecutionQuery { after, limit: 10, ..ExecutionQuery::default() };
        let page = store.query_executions(query).await.unwrap();
        assert_eq!(page.executions.len(), 10.min(25 - seen.len()));
        seen.extend(page.executions.into_iter().map(|execution| execution.id));
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    assert_eq!(seen, expected);
    let none = store.query_executions(ExecutionQuery { limit: 0, ..ExecutionQuery::default() }).await.unwrap();
    assert!(none.executions.is_empty() && none.next.is_none());
}

/// Every combination of filters gives what it says, in pages.
pub async fn executions_are_filtered(store: &dyn Store) {
    let (flows, webhooks) = ([RecordId::new(), RecordId::new()], [RecordId::new(), RecordId::new()]);
    let mut made = Vec::new();
    for number in 0..84 {
        let mut execution = execution(Status::ALL[number % 7]);
        execution.flow.id = flows[number / 7 % 2];
        execution.webhook =
            execution.webhook.map(|webhook| flowhost_model::WebhookRef { id: webhooks[number / 14 % 2], ..webhook });
        if number % 5 == 0 {
            execution.webhook = None;
        }
        made.push(execution.clone());
        if execution.status.is_ended() {
            store.end_execution(execution, Vec::new(), false).await.unwrap();
        } else {
            store.insert_execution(row(execution)).await.unwrap();
        }
    }
    let statuses = Status::ALL.into_iter().map(Some).chain([None]);
    for status in statuses {
        for flow_id in [Some(flows[0]), Some(flows[1]), Some(RecordId::new()), None] {
            for webhook_id in [Some(webhooks[0]), Some(webhooks[1]), None] {
                let terms = [
                    ("status", status.map(|status| value!(status))),
                    ("flow_id", flow_id.map(|id| value!(id))),
                    ("webhook_id", webhook_id.map(|id| value!(id))),
                ];
                let terms: Vec<Value> = terms
                    .into_iter()
                    .filter_map(|(field, wanted)| Some(value!({"field": field, "value": wanted?})))
                    .collect();
                let filter = if terms.is_empty() { None } else { filter(&value!({"and": terms})) };
                let expected: Vec<RecordId> = made
                    .iter()
                    .rev()
                    .filter(|execution| status.is_none_or(|status| execution.status == status))
                    .filter(|execution| flow_id.is_none_or(|id| execution.flow.id == id))
                    .filter(|execution| {
                        webhook_id.is_none_or(|id| execution.webhook.as_ref().is_some_and(|webhook| webhook.id == id))
                    })
                    .map(|execution| execution.id)
                    .collect();
                assert_eq!(ids(store, filter.clone()).await, expected, "{filter:?}");
                if expected.len() > 2 {
                    let query = ExecutionQuery { filter: filter.clone(), limit: 2, ..ExecutionQuery::default() };
                    let after = store.query_executions(query.clone()).await.unwrap().next;
                    let page = store.query_executions(ExecutionQuery { after, ..query }).await.unwrap().executions;
                    let seen: Vec<RecordId> = page.iter().map(|execution| execution.id).collect();
                    assert_eq!(seen, expected[2..expected.len().min(4)], "{filter:?}");
                }
            }
        }
    }
}

/// Lines keep their order and all of their parts.
pub async fn a_log_is_read_in_pieces(store: &dyn Store) {
    let ended = execution(Status::EndedSuccess);
    let log = (0..100).map(|number| line(&format!("line {number}"))).collect();
    store.end_execution(ended.clone(), log, false).await.unwrap();
    let piece = store.execution_log(ended.id, 10, 5).await.unwrap();
    let messages: Vec<&str> = piece.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["line 10", "line 11", "line 12", "line 13", "line 14"]);
    assert_eq!(serde_json::to_string(&piece[0]).unwrap(), serde_json::to_string(&line("line 10")).unwrap());
    assert_eq!(store.execution_log(ended.id, 98, 50).await.unwrap().len(), 2);
    assert!(store.execution_log(ended.id, u64::MAX, 5).await.unwrap().is_empty());
    assert!(store.execution_log(ended.id, 0, 0).await.unwrap().is_empty());
    assert!(store.execution_log(RecordId::new(), 0, 5).await.unwrap().is_empty());
}

/// Whether an execution is productive changes until it has ended.
pub async fn an_execution_is_made_productive_until_it_ends(store: &dyn Store) {
    let mut made = Execution { is_productive: false, ..execution(Status::Paused) };
    store.insert_execution(row(made.clone())).await.unwrap();
    store.set_productive(made.id, true).await.unwrap();
    made.is_productive = true;
    assert_same(&store.execution(made.id).await.unwrap().unwrap(), &made);
    store.set_productive(made.id, false).await.unwrap();
    assert!(!store.execution(made.id).await.unwrap().unwrap().is_productive);
    let ended = execution(Status::EndedError);
    store.end_execution(ended.clone(), Vec::new(), false).await.unwrap();
    assert!(matches!(store.set_productive(ended.id, false).await, Err(Error::NotFound)));
    assert!(matches!(store.set_productive(RecordId::new(), false).await, Err(Error::NotFound)));
}

/// Many callers at once, some of whom are refused, do not disturb each other.
pub async fn writes_at_the_same_time_are_all_kept(store: &dyn Store) {
    let taken = setting("taken", 0);
    store.write(vec![super::create(&taken)]).await.unwrap();
    let writes = (0..200).map(|number| async move {
        if number % 10 == 0 {
            let outcome =
                store.write(vec![super::create(&setting("new", 1)), super::create(&setting("taken", 1))]).await;
            assert!(matches!(outcome, Err(Error::NameTaken { .. })));
        } else {
            let log = if number % 2 == 0 { Vec::new() } else { vec![line("a")] };
            store.end_execution(execution(Status::EndedSuccess), log, false).await.unwrap();
        }
    });
    super::join_all(writes).await;
    assert_eq!(ids(store, None).await.len(), 180);
    assert_eq!(store.records(flowhost_model::RecordType::Setting).await.unwrap().len(), 1);
    let stats = store.stats().await.unwrap();
    assert!(stats.data_bytes > 0 && stats.queued_writes == 0);
}

/// After its end a store answers nothing else.
pub async fn a_closed_store_says_so(store: &dyn Store) {
    store.end_execution(execution(Status::EndedSuccess), Vec::new(), false).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.revision().await, Err(Error::Closed)));
    assert!(matches!(store.stats().await, Err(Error::Closed)));
    assert!(matches!(store.write(vec![super::create(&setting("late", 1))]).await, Err(Error::Closed)));
    let late = execution(Status::EndedSuccess);
    assert!(matches!(store.end_execution(late, Vec::new(), false).await, Err(Error::Closed)));
    assert!(matches!(store.close().await, Err(Error::Closed)));
}
