//! `flowhost:flow/records`: records of the host, with the execution's permissions and by the rules of the API.

use flowhost_engine::{Call, State, WholeState};
use flowhost_model::{Digest, Home, Operation, RecordId, RecordType, TypeDefinition, definition};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Linker;

use super::acting::{Acting, change, read};
use super::bindings::flowhost::flow::records::{self, Page, RecordRef};
use super::refusal::{NAME_BYTES, Told, fits, or_refuse, parse, refusal, shown};
use crate::access::Reach;
use crate::capability::Capability;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{Deletion, ListRequest, RecordView, Remembered};

/// The most records of a page: what a flow reads is kept in its journal.
const PAGE_LIMIT: u32 = 200;

/// Bytes of records after which a page ends, since they are larger once they are parsed.
const PAGE_BYTES: usize = 4 << 20;

/// The most bytes of a record's members, as over the API.
const MEMBERS_LIMIT: usize = 2 << 20;

/// The most bytes of a filter, and of an order or a place in a list.
const FILTER_LIMIT: usize = 256 << 10;
const ORDER_LIMIT: usize = 64 << 10;

/// The capability `records`.
pub(super) struct RecordsCapability;

impl Capability for RecordsCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/records"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        records::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// The type of this name in addresses.
fn of_type(path: &str) -> Told<&'static TypeDefinition> {
    let mut known = RecordType::ALL.map(definition).into_iter();
    known.find(|definition| definition.path == path).ok_or_else(|| {
        let paths = RecordType::ALL.map(|record_type| definition(record_type).path).join(", ");
        refusal("records.unknown-type", format!("`{}` is no type of record; the types are {paths}", shown(path)))
    })
}

/// Where nothing of a type may be read, that is the reason, and not that there is nothing.
fn missing(host: &Host, by: &Identity, record_type: RecordType, problem: Problem) -> Problem {
    let may_read_none = by.access.projects(Operation::Read, record_type) == Reach::Nothing;
    if problem.code == Code::RecordNotFound && may_read_none {
        return host.permit(by, Operation::Read, record_type, None).err().unwrap_or(problem);
    }
    problem
}

fn no_such(definition: &TypeDefinition, which: &str) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no {} `{}`", definition.path, shown(which)))
}

/// Refuses what is too long for a type, and what no record can be named.
fn fits_ref(record_type: &str, which: &RecordRef) -> Told<()> {
    fits_type(record_type)?;
    let (RecordRef::Name(named) | RecordRef::Id(named)) = which;
    if named.len() > NAME_BYTES { Err(no_such(of_type(record_type)?, named).into()) } else { Ok(()) }
}

fn fits_type(record_type: &str) -> Told<()> {
    if record_type.len() > NAME_BYTES { of_type(record_type).map(drop) } else { Ok(()) }
}

fn fits_members(members: &str) -> Told<()> {
    fits(|| "the members of the record".to_owned(), members, MEMBERS_LIMIT)
}

async fn resolve(
    host: &Host,
    by: &Identity,
    definition: &TypeDefinition,
    which: &RecordRef,
) -> Result<RecordId, Problem> {
    let found = match which {
        RecordRef::Id(id) => id.parse().map_err(|_| no_such(definition, id)),
        RecordRef::Name(name) if definition.record_type == RecordType::Execution => {
            let detail =
                format!("there is no execution named `{name}`: executions share names, and are told by their ids");
            Err(Problem::new(Code::RecordNotFound, detail))
        }
        RecordRef::Name(name) => host.record_id(by, definition.record_type, name).await,
    };
    found.map_err(|problem| missing(host, by, definition.record_type, problem))
}

/// The JSON object that the API gives of a record.
async fn one(host: &Host, by: &Identity, definition: &TypeDefinition, which: &RecordRef) -> Result<String, Problem> {
    let record_type = definition.record_type;
    let view = match (record_type, which) {
        (RecordType::Webhook, RecordRef::Id(segment)) => host.read_webhook(by, segment, false).await,
        (RecordType::Webhook, RecordRef::Name(segment)) => host.read_webhook(by, segment, true).await,
        (RecordType::Execution, _) => {
            let id = resolve(host, by, definition, which).await?;
            let execution = host.read_execution(by, id).await;
            let execution = execution.map_err(|problem| missing(host, by, record_type, problem))?;
            let members = host.execution_members(&[execution], None).await?;
            return serde_json::to_string(&members.first()).map_err(Problem::host);
        }
        _ => host.read_record(by, record_type, resolve(host, by, definition, which).await?).await,
    };
    told(&view.map_err(|problem| missing(host, by, record_type, problem))?)
}

fn told(view: &RecordView) -> Result<String, Problem> {
    serde_json::to_string(&view.members).map_err(Problem::host)
}

async fn page(host: &Host, by: &Identity, definition: &TypeDefinition, request: ListRequest) -> Result<Page, Problem> {
    let record_type = definition.record_type;
    let may_read_none = by.access.projects(Operation::Read, record_type) == Reach::Nothing;
    if may_read_none && !(record_type == RecordType::Project && by.access.own_projects().next().is_some()) {
        host.permit(by, Operation::Read, record_type, None)?;
    }
    if record_type == RecordType::Execution {
        let page = host.list_executions(by, request).await?;
        let members = host.execution_members(&page.items, None).await?;
        let records = members.iter().map(serde_json::to_string).collect::<Result<_, _>>().map_err(Problem::host)?;
        return Ok(Page { records, next: page.next });
    }
    let page = host.list_records(by, record_type, request).await?;
    let records = page.items.iter().map(told).collect::<Result<_, _>>()?;
    Ok(Page { records, next: page.next })
}

/// What of a record's members its call shows: their names, and a digest of the values, which may be secret.
fn summary<'a>(json: &str, members: &'a Told<Map<String, Value>>) -> (Vec<&'a str>, Digest) {
    let names = members.iter().flat_map(Map::keys).map(String::as_str).collect();
    (names, Digest(Sha256::digest(json).into()))
}

/// What only people decide, by type: the property, the member of it where it is not all of it, and what it is for.
const OF_PEOPLE: [(RecordType, &str, Option<&str>); 3] = [
    (RecordType::Flow, "options", Some("http_allow")),
    (RecordType::Secret, "hosts", None),
    (RecordType::Secret, "is_readable", None),
];

/// Refuses a change of what a flow may reach: it would permit itself, or another, to read a secret or to send it elsewhere.
/// What is absent, null, empty or false permits nothing, and is what a new record begins with.
fn refuse_widening(
    definition: &TypeDefinition,
    former: Option<&RecordView>,
    after: &RecordView,
) -> Result<(), Problem> {
    let value = |view: &RecordView, property: &str, member: Option<&str>| {
        let property = view.members.get(property);
        let value = member.map_or(property, |member| property.and_then(|value| value.get(member)));
        value.filter(|value| !matches!(value, Value::Null | Value::Bool(false)) && **value != json!([])).cloned()
    };
    for (record_type, property, member) in OF_PEOPLE {
        let before = former.and_then(|former| value(former, property, member));
        if record_type == definition.record_type && before != value(after, property, member) {
            let path = definition.path;
            let place = member.map_or_else(|| property.to_owned(), |member| format!("{property}.{member}"));
            let detail =
                format!("`{place}`: no flow decides it; a person who may change the {path} does, over the API");
            return Err(Problem::new(Code::Forbidden, detail));
        }
    }
    Ok(())
}

/// The members that a flow gave for a record, which `which` names.
fn members_of(record_type: &str, which: &str, json: &str) -> Told<Map<String, Value>> {
    parse(|| format!("the members of the {record_type}{which}"), json, MEMBERS_LIMIT)
}

/// What flows keep by the thousand leaves no history; the rest does, whoever changes it.
fn remembered(definition: &TypeDefinition) -> Remembered {
    match definition.record_type {
        RecordType::Setting | RecordType::File => Remembered::No,
        _ => Remembered::Yes,
    }
}

/// A record that names no home belongs where the execution does.
fn place(definition: &TypeDefinition, members: &mut Map<String, Value>, project: Option<RecordId>) {
    let homes = ["project_id", "project_name", "bundle_id", "bundle_name"];
    let is_placed = homes.iter().any(|home| members.get(*home).is_some_and(|value| !value.is_null()));
    if let (Home::ProjectOrBundle, false, Some(project)) = (definition.home, is_placed, project) {
        homes.iter().for_each(|home| drop(members.shift_remove(*home)));
        members.insert("project_id".to_owned(), Value::String(project.to_string()));
    }
}

impl records::Host for State {
    async fn get(&mut self, record_type: String, which: RecordRef) -> wasmtime::Result<Told<String>> {
        or_refuse!(fits_ref(&record_type, &which));
        let call = Call::new("records.get", &(&record_type, &which));
        read(self, call, async move |host, by| Ok(one(host, by, of_type(&record_type)?, &which).await?)).await
    }

    async fn exists(&mut self, record_type: String, which: RecordRef) -> wasmtime::Result<Told<bool>> {
        match fits_ref(&record_type, &which) {
            Ok(()) => {}
            Err(refused) if refused.code == Code::RecordNotFound.as_str() => return Ok(Ok(false)),
            Err(refused) => return Ok(Err(refused)),
        }
        let call = Call::new("records.exists", &(&record_type, &which));
        read(self, call, async move |host, by| match one(host, by, of_type(&record_type)?, &which).await {
            Ok(_) => Ok(true),
            Err(problem) if problem.code == Code::RecordNotFound => Ok(false),
            Err(problem) => Err(problem.into()),
        })
        .await
    }

    async fn list(
        &mut self,
        record_type: String,
        filter: Option<String>,
        order: Option<String>,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Told<Page>> {
        or_refuse!(fits_type(&record_type));
        let parts = [("filter", &filter, FILTER_LIMIT), ("order", &order, ORDER_LIMIT), ("place", &after, ORDER_LIMIT)];
        for (what, part, limit) in parts {
            or_refuse!(fits(|| format!("the {what}"), part.as_deref().unwrap_or_default(), limit));
        }
        let call = Call::new("records.list", &(&record_type, &filter, &order, &after, limit));
        read(self, call, async move |host, by| {
            let definition = of_type(&record_type)?;
            let what = || format!("the filter of the list of `{record_type}`");
            let filter = filter.map(|filter| parse(what, &filter, FILTER_LIMIT)).transpose()?;
            let limit = Some(limit.min(PAGE_LIMIT));
            let page_bytes = Some(PAGE_BYTES);
            let request = ListRequest { filter, order, after, limit, page_bytes, ..ListRequest::default() };
            Ok(page(host, by, definition, request).await?)
        })
        .await
    }

    async fn create(&mut self, record_type: String, members: String) -> wasmtime::Result<Told<String>> {
        or_refuse!(fits_type(&record_type));
        or_refuse!(fits_members(&members));
        let parsed = members_of(&record_type, "", &members);
        let call = Call::new("records.create", &(&record_type, summary(&members, &parsed)));
        let checked = || of_type(&record_type).and(parsed);
        change(self, call, checked, async |acting, mut members| {
            let definition = of_type(&record_type)?;
            place(definition, &mut members, acting.project());
            let Acting { host, by, .. } = acting;
            let (record_type, remembered) = (definition.record_type, remembered(definition));
            let (change, view) = host.prepare_creation(by, record_type, members, None, remembered).await?;
            refuse_widening(definition, None, &view)?;
            Ok((told(&view)?, Some(change)))
        })
        .await
    }

    async fn update(
        &mut self,
        record_type: String,
        which: RecordRef,
        members: String,
    ) -> wasmtime::Result<Told<String>> {
        or_refuse!(fits_ref(&record_type, &which));
        or_refuse!(fits_members(&members));
        let (RecordRef::Name(named) | RecordRef::Id(named)) = &which;
        let parsed = members_of(&record_type, &format!(" `{named}`"), &members);
        let call = Call::new("records.update", &(&record_type, &which, summary(&members, &parsed)));
        let checked = || of_type(&record_type).and(parsed);
        change(self, call, checked, async |acting, members| {
            let definition = of_type(&record_type)?;
            let Acting { host, by, .. } = acting;
            let (record_type, remembered) = (definition.record_type, remembered(definition));
            let id = resolve(host, by, definition, &which).await?;
            let gone = |problem| missing(host, by, record_type, problem);
            if record_type == RecordType::User {
                // A person changes some of their own record without it. A flow is not the user that it acts for.
                host.permit(by, Operation::Update, record_type, None)?;
            }
            let decided = OF_PEOPLE.iter().any(|(decided, ..)| *decided == record_type);
            let former = if decided { host.read_record(by, record_type, id).await.ok() } else { None };
            let prepared = host.prepare_update(by, record_type, id, members, None, None, remembered).await;
            let (change, view) = prepared.map_err(gone)?;
            refuse_widening(definition, former.as_ref(), &view)?;
            Ok((told(&view)?, Some(change)))
        })
        .await
    }

    async fn delete(&mut self, record_type: String, which: RecordRef, permanently: bool) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_ref(&record_type, &which));
        let call = Call::new("records.delete", &(&record_type, &which, permanently));
        change(
            self,
            call,
            || Ok(()),
            async |acting, ()| {
                let definition = of_type(&record_type)?;
                let Acting { host, by, .. } = acting;
                let (record_type, remembered) = (definition.record_type, remembered(definition));
                let id = resolve(host, by, definition, &which).await?;
                let deletion = Deletion { is_permanent: permanently, commit_message: None };
                let prepared = host.prepare_deletion(by, record_type, id, deletion, None, remembered).await;
                Ok(((), Some(prepared.map_err(|problem| missing(host, by, record_type, problem))?)))
            },
        )
        .await
    }
}
