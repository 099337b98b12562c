//! `flowhost:flow/children`: executions that this execution starts.
//!
//! A child's row is one transaction with the entry in its parent's journal. A wait is two journal points: when it begins,
//! with the time at which it ends at the latest, and when it has ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flowhost_engine::{Call, Event, State, Waited, WholeState};
use flowhost_model::{ConcurrencyLimit, Execution, Operation, Priority, RawValue, RecordId, RecordType, Status};
use flowhost_store::{Awaits, ReturnWhen, Write};
use serde::{Deserialize, Serialize};
use wasmtime::component::{Linker, Resource};

use super::bindings::flowhost::flow::children::{self, FlowError, FlowRef, HostError};
use super::drafts::{DRAFTS_BYTES, Texts};
use super::refusal::{INPUT_BYTES, NAME_BYTES, Told, fits, or_refuse, refusal, shown};
use super::sleep::{timeout_from_now, what_is_left};
use super::{asking, tell};
use crate::capability::Capability;
use crate::execution::{Act, Lineage, Listening, Live, QueuePlace, Start, priority_of};
use crate::host::Host;
use crate::problem::Problem;
use crate::webhook::FlowTarget;

/// The longest key of a limit, in characters: that of a name.
const KEY_LIMIT: usize = 128;

/// The capability `children`.
pub(super) struct ChildrenCapability;

/// The most children that a wait names, repetitions included.
const NAMED_LIMIT: usize = 10_000;

/// A child that has not been started yet. The generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Unstarted {
    draft: Draft,
    texts: Texts,
}

/// What a child is to be.
#[derive(Clone)]
pub(super) struct Draft {
    /// [`Act::StartChild`] or [`Act::Clone`].
    act: Act,
    flow: FlowRef,
    input: String,
    is_detached: bool,
    priority: Option<Priority>,
    concurrency: Option<ConcurrencyLimit>,
}

impl Draft {
    /// A child of the flow with this input, of which nothing else was said.
    pub(super) fn new(flow: FlowRef, input: String) -> Self {
        Self { act: Act::StartChild, flow, input, is_detached: false, priority: None, concurrency: None }
    }

    /// A clone, which goes on when the execution that it is a clone of has ended.
    pub(super) fn clone_of(flow: FlowRef, input: String) -> Self {
        Self { act: Act::Clone, is_detached: true, ..Self::new(flow, input) }
    }
}

/// How a wait for children ended.
#[derive(Serialize, Deserialize)]
struct EndedChildren {
    /// Those that have ended, in the order in which they were named.
    ended: Vec<RecordId>,
    /// Why one of them did not end well, where all were to.
    failed: Option<String>,
}

impl Capability for ChildrenCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/children"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        children::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

fn not_found(child: &str) -> HostError {
    refusal("children.not-found", format!("`{}` is no child of this execution", shown(child)))
}

fn no_such_flow(flow: &str) -> HostError {
    refusal("flow.not-found", format!("there is no flow `{}` with an active version", shown(flow)))
}

fn invalid_limit() -> HostError {
    refusal("children.invalid-limit", format!("a limit is at least 1, and its key has 1 to {KEY_LIMIT} characters"))
}

/// Refuses an input that is larger than any may be.
pub(super) fn fits_input(input: &str) -> Told<()> {
    fits(|| "the input".to_owned(), input, INPUT_BYTES)
}

/// Refuses what is too long for an id.
fn fits_id(child: &str) -> Told<()> {
    if child.len() > NAME_BYTES { Err(not_found(child)) } else { Ok(()) }
}

/// The id of a child of this execution.
fn child_of(live: &Live, child: &str) -> Told<RecordId> {
    let id = child.parse().ok().filter(|id| live.has_child(*id));
    id.ok_or_else(|| not_found(child))
}

/// The child that a draft becomes, and its place among those that wait for a slot, unless it is refused.
async fn admit(host: &Host, parent: &Live, draft: Draft) -> Told<(Live, QueuePlace)> {
    let limits = host.limits();
    if parent.child_count() >= limits.children as usize {
        let detail = format!("an execution starts at most {} children", limits.children);
        return Err(refusal("children.too-many", detail));
    }
    let depth = parent.start.lineage.depth + 1;
    if depth > limits.child_depth {
        let detail = format!("executions start each other at most {} deep", limits.child_depth);
        return Err(refusal("children.too-deep", detail));
    }
    if let Some(ConcurrencyLimit { key, limit, .. }) = &draft.concurrency
        && (key.is_empty() || key.chars().count() > KEY_LIMIT || *limit == 0)
    {
        return Err(invalid_limit());
    }
    let (target, flow) = match &draft.flow {
        FlowRef::Name(name) => (Some(FlowTarget::Name(name.trim().to_owned())), name),
        FlowRef::Id(id) => (id.parse().ok().map(FlowTarget::Id), id),
    };
    let input = RawValue::from_string(draft.input);
    let invalid = |error| refusal("json.invalid", format!("the input for the flow `{}`: {error}", shown(flow)));
    let input = input.map_err(invalid)?;
    let missing = || no_such_flow(flow);
    let version = target.and_then(|target| host.snapshot().active_version(&target)).ok_or_else(missing)?;
    let by = host.acting(parent);
    if !by.access.may(Operation::Read, RecordType::Flow, version.project_id) {
        // As if there were none, unless it may read no flow at all.
        let may_read_some = by.access.projects(Operation::Read, RecordType::Flow) != crate::access::Reach::Nothing;
        return Err(if may_read_some {
            missing()
        } else {
            refusal("access.forbidden", format!("`{}` has no permission READ for flows", by.user_name))
        });
    }
    let actor = host.authorize(&by, draft.act, None, parent.start.actor)?;
    version.check_input(host, &input).await?;
    let place = host.admission().child_place(parent.start.flow.id)?;
    let start = Start {
        priority: priority_of(draft.priority, &version),
        flow: version.flow,
        webhook: None,
        project_id: version.project_id,
        bundle_id: version.bundle_id,
        created_by: Some(parent.id),
        user_id: parent.start.user_id,
        actor,
        lineage: Lineage { parent_id: Some(parent.id), depth, is_detached: draft.is_detached },
        // Its parent chose the key, whatever project the child is of.
        concurrency: draft.concurrency.map(|own| ConcurrencyLimit { project_id: parent.start.project_id, ..own }),
        is_productive: parent.start.is_productive,
        input,
        request: None,
        // It may be in the input that the parent gives.
        key: parent.start.key.clone(),
        budget: limits.budget,
        is_durable: true,
    };
    Ok((host.admit(start)?, place))
}

/// Starts a child, unless it is refused. Its row is one step with what the flow is told.
pub(super) async fn start(state: &mut State, call: Call, draft: Draft) -> wasmtime::Result<Told<String>> {
    let (host, parent) = asking(state)?;
    if let Some(told) = state.replay::<Told<RecordId>>(&call)? {
        return Ok(told.map(|id| {
            parent.add_child(id);
            id.to_string()
        }));
    }
    let (child, place) = match admit(&host, &parent, draft).await {
        Ok((child, place)) => (Arc::new(child), place),
        Err(refused) => {
            let told: Told<RecordId> = Err(refused);
            tell(state, call, &told)?;
            return Ok(told.map(|id| id.to_string()));
        }
    };
    let id = child.id;
    state.record(call, &Ok::<RecordId, HostError>(id))?;
    let row = child.row(child.execution(), host.owner_id());
    let after = move |host: &Host, _| {
        child.set_recorded();
        host.enqueue_child(child, place);
    };
    host.step(state, &parent, vec![Write::Execution(Box::new(row))], after).await?;
    parent.add_child(id);
    Ok(Ok(id.to_string()))
}

impl children::HostNewChild for State {
    fn new(&mut self, mut flow: FlowRef, input: String) -> wasmtime::Result<Resource<Unstarted>> {
        let mut texts = Texts::new(self);
        let (FlowRef::Name(name) | FlowRef::Id(name)) = &mut flow;
        let given = std::mem::take(name);
        texts.keep(name, given, NAME_BYTES, no_such_flow);
        let mut kept = String::new();
        texts.keep(&mut kept, input, INPUT_BYTES, |input| {
            let too_many =
                format!("the inputs of children that were not started yet have {DRAFTS_BYTES} bytes together");
            fits_input(input).err().unwrap_or_else(|| refusal("request.too-large", too_many))
        });
        self.push_resource(Unstarted { draft: Draft::new(flow, kept), texts })
    }

    fn detach(&mut self, child: Resource<Unstarted>) -> wasmtime::Result<()> {
        self.table.get_mut(&child)?.draft.is_detached = true;
        Ok(())
    }

    fn set_priority(&mut self, child: Resource<Unstarted>, priority: children::Priority) -> wasmtime::Result<()> {
        self.table.get_mut(&child)?.draft.priority = Some(match priority {
            children::Priority::Low => Priority::Low,
            children::Priority::Normal => Priority::Normal,
            children::Priority::High => Priority::High,
        });
        Ok(())
    }

    fn limit_concurrency(&mut self, child: Resource<Unstarted>, key: String, limit: u32) -> wasmtime::Result<()> {
        let Unstarted { draft, texts } = self.table.get_mut(&child)?;
        let own = draft.concurrency.get_or_insert(ConcurrencyLimit { project_id: None, key: String::new(), limit });
        own.limit = limit;
        // In UTF-8 a character has four bytes at most.
        texts.keep(&mut own.key, key, KEY_LIMIT * 4, |_| invalid_limit());
        Ok(())
    }

    async fn start(&mut self, child: Resource<Unstarted>) -> wasmtime::Result<Told<String>> {
        let Unstarted { draft, texts } = self.table.get(&child)?;
        or_refuse!(texts.check());
        let own = draft.concurrency.as_ref().map(|own| (&own.key, own.limit));
        let request = (&draft.flow, &draft.input, draft.is_detached, draft.priority, own);
        let call = Call::new("children.start", &request);
        let draft = draft.clone();
        start(self, call, draft).await
    }

    fn drop(&mut self, child: Resource<Unstarted>) -> wasmtime::Result<()> {
        self.table.delete(child)?;
        Ok(())
    }
}

/// The end of enough of some children.
struct ChildrenEnd {
    host: Host,
    ids: Vec<RecordId>,
    when: ReturnWhen,
    /// Made before the store is asked, so that no end is missed.
    ends: Listening,
    known: HashMap<RecordId, Status>,
    /// Whether the last that is known was told here, so that the store has no news.
    is_told: bool,
}

impl ChildrenEnd {
    fn new(host: Host, ids: Vec<RecordId>, when: ReturnWhen) -> Self {
        let ends = host.ends().of(ids.clone());
        Self { host, ids, when, ends, known: HashMap::new(), is_told: false }
    }

    /// Asks the store which of them have ended.
    async fn ask(&mut self) -> Result<(), Problem> {
        let executions = self.host.store().executions(self.ids.clone()).await?;
        let ended = || executions.iter().filter(|one| one.status.is_ended());
        for ended in ended() {
            self.host.superseded(ended.id).await;
        }
        let is_there: HashSet<RecordId> = executions.iter().map(|execution| execution.id).collect();
        // What is not kept any more ended long ago.
        let gone = self.ids.iter().filter(|id| !is_there.contains(id) && self.host.registry().get(**id).is_none());
        let gone = gone.map(|id| (*id, Status::EndedSuccess));
        self.known.extend(ended().map(|one| (one.id, one.status)).chain(gone));
        Ok(())
    }

    async fn try_look(&mut self) -> Result<Option<EndedChildren>, Problem> {
        if !std::mem::take(&mut self.is_told) {
            self.ask().await?;
        }
        let known = &self.known;
        let has_failed = |id: &&RecordId| known.get(id).is_some_and(|status| *status != Status::EndedSuccess);
        let failed = self.ids.iter().find(has_failed).filter(|_| self.when == ReturnWhen::AllSucceeded);
        let is_over = match self.when {
            ReturnWhen::FirstEnded => !known.is_empty(),
            ReturnWhen::AllEnded | ReturnWhen::AllSucceeded => failed.is_some() || known.len() == self.ids.len(),
        };
        if !is_over {
            return Ok(None);
        }
        let failed = match failed {
            Some(id) => Some(failure(&self.host, *id).await?),
            None => None,
        };
        let ended = self.ids.iter().copied().filter(|id| known.contains_key(id)).collect();
        Ok(Some(EndedChildren { ended, failed }))
    }
}

impl Event for ChildrenEnd {
    type Output = EndedChildren;

    async fn look(&mut self) -> Option<EndedChildren> {
        let mut pauses = self.host.outage().pauses();
        loop {
            match self.try_look().await {
                Ok(found) => {
                    pauses.done();
                    return found;
                }
                Err(problem) => pauses.after(&problem).await,
            }
        }
    }

    async fn changed(&mut self) {
        match self.ends.next().await {
            Some((id, status)) => {
                self.known.insert(id, status);
                self.is_told = true;
            }
            // The host is about to end.
            None => std::future::pending().await,
        }
    }
}

/// Why a child did not end well, for its parent.
async fn failure(host: &Host, id: RecordId) -> Result<String, Problem> {
    match host.execution(id).await {
        Ok(child) => {
            let reason = child.status_message.unwrap_or_default();
            Ok(format!("the child {id} of the flow `{}` is {}: {reason}", child.flow.name, child.status))
        }
        Err(problem) if problem.is_of_storage() => Err(problem),
        Err(_) => Ok(format!("the child {id} did not end well")),
    }
}

/// Names some of the children for which the time was too short.
fn wait_timeout(children: &[RecordId]) -> HostError {
    /// So many of them: the flow knows all.
    const NAMED: usize = 3;
    let named: Vec<String> = children.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
    let more = match children.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    refusal("children.wait-timeout", format!("the children {}{more} did not end in time", named.join(", ")))
}

/// Reads something of a child.
async fn read<T: Serialize + for<'a> Deserialize<'a>>(
    state: &mut State,
    name: &'static str,
    child: String,
    of: impl FnOnce(Execution) -> T + Send,
) -> wasmtime::Result<Told<T>> {
    or_refuse!(fits_id(&child));
    let call = Call::new(name, &child);
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let (host, live) = asking(state)?;
    let told: Told<T> = match child_of(&live, &child) {
        Ok(id) => host.execution(id).await.map(of).map_err(Into::into),
        Err(refused) => Err(refused),
    };
    tell(state, call, &told)?;
    Ok(told)
}

impl children::Host for State {
    async fn wait(
        &mut self,
        children: Vec<String>,
        when: children::ReturnWhen,
        timeout: Option<u64>,
    ) -> wasmtime::Result<Told<Vec<String>>> {
        let when = match when {
            children::ReturnWhen::AllEnded => ReturnWhen::AllEnded,
            children::ReturnWhen::AllSucceeded => ReturnWhen::AllSucceeded,
            children::ReturnWhen::FirstEnded => ReturnWhen::FirstEnded,
        };
        if children.len() > NAMED_LIMIT {
            let detail = format!("{} children are named, at most {NAMED_LIMIT} are allowed", children.len());
            return Ok(Err(refusal("request.too-large", detail)));
        }
        let (host, live) = asking(self)?;
        let mut ids: Vec<RecordId> = Vec::new();
        for child in &children {
            match child_of(&live, child) {
                Ok(id) if ids.contains(&id) => {}
                Ok(id) => ids.push(id),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        if ids.is_empty() {
            return Ok(Err(refusal("children.nothing-to-wait-for", "name at least one child to wait for")));
        }
        let call = Call::new("children.wait", &(&children, when, timeout));
        let until: Option<i64> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let until = timeout_from_now(&host, timeout);
                self.record(call, &until)?;
                until
            }
        };
        live.set_awaits(Some(Awaits::Children { children: ids.clone(), when }));
        let limit = what_is_left(&host, until);
        let awaited = ids.clone();
        let event = ChildrenEnd::new(host, ids, when);
        let waited = self.wait_for(Call::new("children.ended", &()), limit, event).await?;
        live.set_awaits(None);
        Ok(match waited {
            Waited::Event(EndedChildren { failed: Some(reason), .. }) => Err(refusal("children.failed", reason)),
            Waited::Event(EndedChildren { ended, .. }) => Ok(ended.into_iter().map(|id| id.to_string()).collect()),
            Waited::Time => Err(wait_timeout(&awaited)),
        })
    }

    async fn get_status(&mut self, child: String) -> wasmtime::Result<Told<children::Status>> {
        read(self, "children.get-status", child, |execution| match execution.status {
            Status::Scheduled => children::Status::Scheduled,
            Status::Running => children::Status::Running,
            Status::Waiting => children::Status::Waiting,
            Status::Paused => children::Status::Paused,
            Status::EndedSuccess => children::Status::EndedSuccess,
            Status::EndedError => children::Status::EndedError,
            Status::EndedCancelled => children::Status::EndedCancelled,
        })
        .await
    }

    async fn get_message(&mut self, child: String) -> wasmtime::Result<Told<Option<String>>> {
        read(self, "children.get-message", child, |execution| execution.status_message).await
    }

    async fn get_failure(&mut self, child: String) -> wasmtime::Result<Told<Option<FlowError>>> {
        read(self, "children.get-failure", child, |execution| {
            execution.failure.map(|failure| FlowError {
                message: failure.message,
                code: Some(failure.flow_code.unwrap_or(failure.code)),
                details: failure.details.map(|details| details.get().to_owned()),
                retryable: failure.retryable,
            })
        })
        .await
    }

    async fn get_outputs(&mut self, child: String) -> wasmtime::Result<Told<String>> {
        read(self, "children.get-outputs", child, |execution| execution.output_value.get().to_owned()).await
    }

    async fn cancel(&mut self, child: String) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_id(&child));
        let call = Call::new("children.cancel", &child);
        if let Some(told) = self.replay(&call)? {
            return Ok(told);
        }
        let (host, live) = asking(self)?;
        let id = child_of(&live, &child);
        let told: Told<()> = id.as_ref().map(|_| ()).map_err(Clone::clone);
        self.record(call, &told)?;
        if let Ok(id) = id {
            let after = move |host: &Host, _| host.cancel_child(id);
            host.step(self, &live, vec![Write::Cancel(id)], after).await?;
        }
        Ok(told)
    }
}
