//! Messages that wait for an answer, and waits for that.

use flowhost_model::{Message, MessageStatus, Record, RecordId, Status, Timestamp};

use super::{ended, line, owner, running, status, suspension, ticket};
use crate::{Awaits, Change, Error, ExecutionRow, Expected, RecordWrite, Store, StoredRecord, Write};

/// A message of an execution that has been sent.
async fn sent(store: &dyn Store, row: &ExecutionRow) -> RecordId {
    let body = Message {
        subject: "Really?".to_owned(),
        text: None,
        form: None,
        recipient_id: None,
        recipient_name: None,
        status: MessageStatus::Open,
        response: None,
        responded_by: None,
        responder_name: None,
        responded_at: None,
        execution_id: row.execution.id,
    };
    let mut record = Record::new("message", None, body, Timestamp::now()).unwrap();
    record.meta.name = record.meta.id.to_string();
    let write = RecordWrite {
        record: StoredRecord::from_record(&record).unwrap(),
        expected: Expected::Absent,
        commit_message: None,
        is_remembered: false,
    };
    let (message, execution) = (record.meta.id, row.execution.id);
    store.write(vec![Write::Record(write), Write::OpenMessage { message, execution }]).await.unwrap();
    message
}

async fn message(store: &dyn Store, id: RecordId) -> Message {
    store.record(id).await.unwrap().unwrap().into_record::<Message>().unwrap().body
}

/// Its execution goes on, for whoever claims.
pub async fn a_settled_message_wakes_its_execution_once(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    let (one, two) = (sent(store, &row).await, sent(store, &row).await);
    assert!(!store.suspend_execution(suspension(&row, Some(Awaits::Message(one)))).await.unwrap());
    store.write(vec![Write::SettleMessage(two)]).await.unwrap();
    assert_eq!(status(store, row.execution.id).await, Status::Waiting);
    store.write(vec![Write::SettleMessage(one)]).await.unwrap();
    assert_eq!(store.claim_executions(own, 10).await.unwrap(), [ticket(&row)]);
    assert!(matches!(store.write(vec![Write::SettleMessage(one)]).await, Err(Error::Conflict)));
    // What happened before it waited counts too.
    assert!(store.suspend_execution(suspension(&row, Some(Awaits::Message(two)))).await.unwrap());
}

/// With its end; what was settled stays as it is.
pub async fn the_open_messages_of_an_ended_execution_are_closed(store: &dyn Store) {
    let own = owner(store).await;
    for log in [Vec::new(), vec![line("a")]] {
        let (row, other) = (running(store, own).await, running(store, own).await);
        let (open, settled, foreign) = (sent(store, &row).await, sent(store, &row).await, sent(store, &other).await);
        store.write(vec![Write::SettleMessage(settled)]).await.unwrap();
        let before = store.revision().await.unwrap();
        store.end_execution(ended(&row, Status::EndedSuccess), log, true).await.unwrap();
        assert_eq!(message(store, open).await.status, MessageStatus::Closed);
        assert_eq!(message(store, settled).await.status, MessageStatus::Open);
        assert_eq!(message(store, foreign).await.status, MessageStatus::Open);
        let changes = store.changes_since(before).await.unwrap();
        let [Change::Written(written)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((written.meta.id, written.meta.modified_at), (open, Timestamp(9)));
        assert!(matches!(store.write(vec![Write::SettleMessage(open)]).await, Err(Error::Conflict)));
        let gone = Write::OpenMessage { message: RecordId::new(), execution: row.execution.id };
        assert!(matches!(store.write(vec![gone]).await, Err(Error::NotFound)));
    }
}
