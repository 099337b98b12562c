//! Settings and files as flows read and change them: the same permissions and checks as over the API, one at a time and by
//! name.

use flowhost_model::{
    Comparison, Filter, Kind, NAME_LIMIT, Operation, RecordId, RecordType, definition, normalize_name,
};
use flowhost_store::{Expected, FileContent, RecordQuery, StoredRecord, Write};
use serde_json::{Map, Value};

use super::change::{Effect, RecordChange, Remembered};
use super::draft::Draft;
use super::service::{may_read, members_of, refuse_outside};
use crate::access::Reach;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::setting::VALUE_LIMIT;

/// Bytes of records that are read at once: what is made of them may be far smaller.
const PAGE_BYTES: usize = 4 << 20;

/// The most records that are listed at once.
const LIST_LIMIT: u32 = 1_000;

impl Host {
    /// The setting of this name that the identity may read, with its value as it is read.
    pub(crate) async fn setting(&self, by: &Identity, name: &str) -> Result<Option<Value>, Problem> {
        let Some(stored) = self.named(by, RecordType::Setting, name).await? else { return Ok(None) };
        let body = members_of(&stored.body)?;
        Ok(Some(self.derived_property("value", &stored, &body).unwrap_or(Value::Null)))
    }

    /// The change that gives a setting this value, as [`Host::save_named`] makes it.
    pub(crate) async fn save_setting(
        &self,
        by: &Identity,
        name: &str,
        value: Value,
        project: Option<RecordId>,
    ) -> Result<RecordChange, Problem> {
        let members = Map::from_iter([("value".to_owned(), value)]);
        let (change, record) = self.save_named(by, RecordType::Setting, name, members, None, project).await?;
        if record.body.len() > VALUE_LIMIT {
            let detail = format!("the value of the setting `{name}` has more than {VALUE_LIMIT} bytes");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        Ok(change)
    }

    /// The record of this name that the identity may read.
    pub(crate) async fn named(
        &self,
        by: &Identity,
        record_type: RecordType,
        name: &str,
    ) -> Result<Option<StoredRecord>, Problem> {
        if by.access.projects(Operation::Read, record_type) == Reach::Nothing {
            self.permit(by, Operation::Read, record_type, None)?;
        }
        let stored = self.store().record_by_name(record_type, own_name(name)?).await?;
        Ok(stored.filter(|stored| may_read(by, stored)))
    }

    /// What `of` makes of the records that the identity may read, from those whose names begin with `prefix`, behind `after`, by
    /// name.
    pub(crate) async fn named_with<T>(
        &self,
        by: &Identity,
        record_type: RecordType,
        prefix: &str,
        after: Option<String>,
        limit: u32,
        of: impl Fn(StoredRecord) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let in_projects = match by.access.projects(Operation::Read, record_type) {
            Reach::Everything => None,
            Reach::Projects(projects) => Some(projects),
            Reach::Nothing => {
                self.permit(by, Operation::Read, record_type, None)?;
                return Ok(Vec::new());
            }
        };
        let limit = limit.min(LIST_LIMIT);
        let mut terms = names_with(prefix);
        terms.extend(after.map(|after| by_name(Comparison::Gt, &after)));
        let filter = Some(Filter::And(terms));
        let mut query = RecordQuery { filter, in_projects, page_bytes: Some(PAGE_BYTES), ..RecordQuery::default() };
        let mut found = Vec::new();
        loop {
            query.limit = limit - u32::try_from(found.len()).unwrap_or(limit);
            if query.limit == 0 {
                return Ok(found);
            }
            let page = self.store().query_records(record_type, query.clone()).await?;
            for record in page.records {
                found.push(of(record)?);
            }
            match page.next {
                None => return Ok(found),
                next => query.after = next,
            }
        }
    }

    /// The change that gives the record of this name these members and bytes, checked, and the record as it is then; a new one is made in `project`, or
    /// else in the default project. To be made while [`Host::writing`] is held.
    pub(crate) async fn save_named(
        &self,
        by: &Identity,
        record_type: RecordType,
        name: &str,
        mut members: Map<String, Value>,
        content: Option<FileContent>,
        project: Option<RecordId>,
    ) -> Result<(RecordChange, StoredRecord), Problem> {
        let name = own_name(name)?;
        let former = self.store().record_by_name(record_type, name).await?;
        let definition = definition(record_type);
        let mut draft = match &former {
            None => {
                members.insert("name".to_owned(), Value::String(name.to_owned()));
                let mut draft = Draft::new(definition, by.user_id, self.now());
                draft.apply(members, None)?;
                draft.meta.project_id = project;
                self.place(&mut draft);
                self.permit(by, Operation::Create, record_type, draft.meta.project_id)?;
                self.refuse_readonly_parent(&draft.meta).await?;
                draft
            }
            Some(former) => {
                refuse_outside(by, former)?;
                self.permit(by, Operation::Update, record_type, former.meta.project_id)?;
                self.refuse_guarded(former).await?;
                let mut draft = Draft::of(definition, former.meta.clone(), members_of(&former.body)?);
                draft.apply(members, None)?;
                draft.meta.modified_at = self.now();
                draft.meta.modified_by = Some(by.user_id);
                draft
            }
        };
        draft.content = content;
        self.prepare_draft(by, &mut draft, former.as_ref()).await?;
        let record = draft.record();
        Ok((draft.into_change(former.as_ref(), Remembered::No), record))
    }

    /// The change that deletes a record for good, checked; none where there is no such record. To be made while
    /// [`Host::writing`] is held.
    pub(crate) async fn delete_named(
        &self,
        by: &Identity,
        record_type: RecordType,
        name: &str,
    ) -> Result<Option<RecordChange>, Problem> {
        let stored = self.store().record_by_name(record_type, own_name(name)?).await?;
        let Some(stored) = stored.filter(|stored| may_read(by, stored)) else { return Ok(None) };
        self.permit(by, Operation::Delete, record_type, stored.meta.project_id)?;
        self.refuse_guarded(&stored).await?;
        self.check_deletion(by, &stored).await?;
        let write = Write::DeleteRecord {
            id: stored.meta.id,
            expected: Expected::Revision(stored.revision),
            by: Some(by.user_id),
            at: self.now(),
            commit_message: None,
            is_remembered: false,
        };
        Ok(Some(RecordChange { writes: vec![write], effects: vec![Effect::Gone(stored)] }))
    }
}

/// A name as flows give it, which must be written as it is kept: two names that differ are two settings.
pub(crate) fn own_name(name: &str) -> Result<&str, Problem> {
    let kept = normalize_name(name)?;
    if kept == name {
        Ok(name)
    } else {
        Err(Problem::new(
            Code::RecordInvalid,
            "`name`: must neither begin nor end with a blank, and its characters are composed (Unicode NFC)",
        ))
    }
}

/// Records whose names begin with this, by name.
pub(super) fn named_from(prefix: &str) -> RecordQuery {
    let filter = Some(Filter::And(names_with(prefix)));
    RecordQuery { filter, limit: LIST_LIMIT, page_bytes: Some(PAGE_BYTES), ..RecordQuery::default() }
}

fn names_with(prefix: &str) -> Vec<Filter> {
    let mut terms = vec![by_name(Comparison::Ge, prefix)];
    // The first text that is greater than all that begin with the prefix.
    terms.extend(next_prefix(prefix).map(|end| by_name(Comparison::Lt, &end)));
    terms
}

fn by_name(op: Comparison, name: &str) -> Filter {
    Filter::Term { field: "name", kind: Kind::Text(NAME_LIMIT as u32), op, value: Value::String(name.to_owned()) }
}

/// The least text that is greater than every text with this beginning; none where there is none.
fn next_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_text() {
        assert_eq!(next_prefix("todo."), Some("todo/".into()));
        assert_eq!(next_prefix("a\u{d7ff}"), Some("a\u{e000}".into()));
        assert_eq!(next_prefix("a\u{10ffff}"), Some("b".into()));
        assert_eq!(next_prefix(""), None);
        assert_eq!(next_prefix("\u{10ffff}"), None);
    }
}
