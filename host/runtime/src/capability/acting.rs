//! Records as a flow reads and changes them, with its execution's permissions.
//!
//! Reads are told from the journal when the flow is run again; a change is one transaction with its entry.

use std::sync::Arc;

use flowhost_engine::{Call, State};
use flowhost_model::RecordId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refusal::Told;
use super::{asking, tell};
use crate::execution::Live;
use crate::host::Host;
use crate::identity::Identity;
use crate::record::RecordChange;

/// Who asks.
pub(super) struct Acting {
    pub(super) host: Host,
    pub(super) live: Arc<Live>,
    pub(super) by: Identity,
}

impl Acting {
    pub(super) fn of(state: &mut State) -> wasmtime::Result<Self> {
        let (host, live) = asking(state)?;
        let by = host.acting(&live);
        Ok(Self { host, live, by })
    }

    /// Where the execution is. It is the identity that makes the record, so that new ones go there.
    pub(super) fn project(&self) -> Option<RecordId> {
        self.live.start.project_id
    }
}

/// Reads something.
pub(super) async fn read<T: Serialize + DeserializeOwned>(
    state: &mut State,
    call: Call,
    read: impl AsyncFnOnce(&Host, &Identity) -> Told<T>,
) -> wasmtime::Result<Told<T>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let Acting { host, by, .. } = Acting::of(state)?;
    let told = read(&host, &by).await;
    tell(state, call, &told)?;
    Ok(told)
}

/// Decides what the flow is told and what is changed, and makes both one step. What the flow gave is parsed first, so that no other
/// writer waits for that.
pub(super) async fn change<P, T: Serialize + DeserializeOwned>(
    state: &mut State,
    call: Call,
    parse: impl FnOnce() -> Told<P>,
    prepare: impl AsyncFnOnce(&Acting, P) -> Told<(T, Option<RecordChange>)>,
) -> wasmtime::Result<Told<T>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let parsed = match parse() {
        Ok(parsed) => parsed,
        Err(refused) => {
            let told = Err(refused);
            state.record(call, &told)?;
            return Ok(told);
        }
    };
    let acting = Acting::of(state)?;
    // Held until the change is kept and effective: no other writer changes a record meanwhile.
    let writing = acting.host.writing(acting.live.start.flow.id).await;
    let (told, change) = match prepare(&acting, parsed).await {
        Ok((told, change)) => (Ok(told), change),
        Err(refused) => (Err(refused), None),
    };
    tell(state, call, &told)?;
    if let Some(change) = change.filter(|change| !change.writes.is_empty()) {
        let changed = change.changed(&acting.host.snapshot());
        let RecordChange { writes, effects } = change;
        let live = acting.live.clone();
        let effective = move |host: &Host, revision| {
            if let Err(problem) = host.make_effective(effects, revision) {
                let detail = &problem.detail;
                tracing::error!(%detail, "a record that a flow wrote is not effective before the next start");
            }
            drop(writing);
            host.audit_changes(&live, &changed);
        };
        acting.host.step(state, &acting.live, writes, effective).await?;
    }
    Ok(told)
}
