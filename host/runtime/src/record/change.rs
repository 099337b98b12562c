//! A change of records: checked first, then made, either by itself or in one step with the journal of the flow that makes it.

use flowhost_model::{RecordId, RecordType};
use flowhost_store::{Expected, RecordWrite, StoredRecord, Write};
use serde_json::Value;

use super::draft::Draft;
use super::service::RecordView;
use crate::audit::{Change, ChangedRecord};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::snapshot::Snapshot;

/// What is to be written, and what becomes effective then. Everything is checked; it holds as long as the
/// [`Host::writing`] under which it was prepared is held.
#[derive(Debug, Default)]
pub(crate) struct RecordChange {
    /// For the store, in one transaction.
    pub(crate) writes: Vec<Write>,
    /// For the next call.
    pub(crate) effects: Vec<Effect>,
}

/// What becomes effective with a change.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A record is like this; its revision is not known before it is written.
    Written(StoredRecord),
    /// A record is gone, or in the trash.
    Gone(StoredRecord),
}

/// Whether a change is remembered in the histories of its records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remembered {
    Yes,
    /// What flows keep by the thousand.
    No,
}

impl Draft {
    /// The record that it is when it is written.
    pub(super) fn record(&self) -> StoredRecord {
        let body = Value::Object(self.body.clone()).to_string();
        StoredRecord { record_type: self.definition.record_type, meta: self.meta.clone(), body, revision: 0 }
    }

    /// The change that it is once it was checked.
    pub(super) fn into_change(self, former: Option<&StoredRecord>, remembered: Remembered) -> RecordChange {
        let record = self.record();
        let file = record.meta.id;
        let write = RecordWrite {
            record: record.clone(),
            expected: former.map_or(Expected::Absent, |former| Expected::Revision(former.revision)),
            commit_message: self.commit_message,
            is_remembered: remembered == Remembered::Yes,
        };
        let content = self.content.map(|content| Write::FileContent { file, content });
        let writes = std::iter::once(Write::Record(write)).chain(content).collect();
        RecordChange { writes, effects: vec![Effect::Written(record)] }
    }
}

impl RecordChange {
    /// Returns what becomes of which records, for the audit log. `present` is the snapshot before the change: a setting that
    /// makes a webhook, also until now, is no mere state.
    pub(crate) fn changed(&self, present: &Snapshot) -> Vec<ChangedRecord> {
        let gone = |id: RecordId| {
            self.effects.iter().find_map(|effect| match effect {
                Effect::Gone(record) if record.meta.id == id => Some(record),
                _ => None,
            })
        };
        let changed = |record: &StoredRecord, change, is_remembered: bool| ChangedRecord {
            record: record.meta.id,
            record_type: record.record_type,
            change,
            is_state: !is_remembered && !present.concerns(record),
        };
        let of_write = |write: &Write| match write {
            Write::Record(RecordWrite { record, expected, is_remembered, .. }) => {
                let change = match expected {
                    _ if record.meta.deleted_at.is_some() => Change::Trashed,
                    Expected::Absent => Change::Created,
                    Expected::Revision(_) => Change::Updated,
                };
                Some(changed(record, change, *is_remembered))
            }
            Write::DeleteRecord { id, is_remembered, .. } => {
                gone(*id).map(|record| changed(record, Change::Deleted, *is_remembered))
            }
            _ => None,
        };
        self.writes.iter().filter_map(of_write).collect()
    }

    /// Makes another change with this one.
    pub(crate) fn extend(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.effects.extend(other.effects);
    }
}

impl Host {
    /// Makes a change by itself, and gives its revision.
    pub(crate) async fn commit(&self, change: RecordChange) -> Result<u64, Problem> {
        let revision = self.store().write(change.writes).await?;
        self.make_effective(change.effects, revision)?;
        Ok(revision)
    }

    /// Makes what was written effective for the next call.
    pub(crate) fn make_effective(&self, effects: Vec<Effect>, revision: u64) -> Result<(), Problem> {
        for effect in effects {
            match effect {
                Effect::Written(record) => self.apply(StoredRecord { revision, ..record })?,
                Effect::Gone(record) => self.forget(&record),
            }
        }
        Ok(())
    }

    /// The change that a checked draft is, and the record as it is read then, but for its revision.
    pub(crate) async fn change_by(
        &self,
        by: &Identity,
        draft: Draft,
        former: Option<&StoredRecord>,
        remembered: Remembered,
    ) -> Result<(RecordChange, RecordView), Problem> {
        let (record_type, id, name) = (draft.definition.record_type, draft.meta.id, draft.meta.name.clone());
        let gets_name = former.is_none_or(|former| former.meta.name != name);
        if gets_name {
            self.refuse_taken(record_type, &name).await?;
        }
        let view = self.view_whole(draft.record(), draft.content.as_ref()).await?;
        let mut change = draft.into_change(former, remembered);
        if gets_name && record_type == RecordType::Flow {
            change.extend(self.bind_webhooks(by, id, &name).await?);
        }
        Ok((change, view))
    }

    async fn refuse_taken(&self, record_type: RecordType, name: &str) -> Result<(), Problem> {
        match self.store().record_by_name(record_type, name).await? {
            None => Ok(()),
            Some(_) => Err(flowhost_store::Error::NameTaken { record_type, name: name.to_owned() }.into()),
        }
    }
}
