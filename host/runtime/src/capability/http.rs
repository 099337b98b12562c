//! `flowhost:flow/http`: requests to the outside.

use std::time::Duration;

use bytes::Bytes;
use flowhost_engine::{LimitedOutput, State, WholeState};
use wasmtime::component::{Linker, Resource};

use super::asking;
use super::bindings::flowhost::flow::http;
use super::drafts::Held;
use super::exchanges::{self, Drafted, Exchanged};
use super::refusal::Told;
use crate::capability::Capability;
use crate::outgoing::{Cause, Draft, Response};

/// The capability `http`.
pub(super) struct HttpCapability;

/// A request that has not been sent yet. The generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Unsent {
    draft: Draft,
    /// What its head takes of the room for drafts, and its body of that for bodies.
    head: Held,
    drafted: Drafted,
}

/// A response. The generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Received(Response);

impl Capability for HttpCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/http"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        http::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// What the flow is told of an exchange.
fn told(state: &mut State, exchanged: Exchanged) -> wasmtime::Result<Told<Resource<Received>>> {
    match exchanged {
        Ok(response) => Ok(Ok(state.push_resource(Received(response))?)),
        Err(failure) => Ok(Err(failure.into())),
    }
}

impl http::HostNewRequest for State {
    fn new(&mut self, method: String, url: String) -> wasmtime::Result<Resource<Unsent>> {
        let (mut head, drafted) = (Held::of_drafts(self), Drafted::new(self)?);
        let draft = Draft::new(method, url);
        let draft = if head.grow(draft.head_bytes()) { draft } else { Draft::too_large() };
        self.push_resource(Unsent { draft, head, drafted })
    }

    fn append_header(&mut self, request: Resource<Unsent>, name: String, value: Vec<u8>) -> wasmtime::Result<()> {
        let Unsent { draft, head, .. } = self.table.get_mut(&request)?;
        if draft.has_room(name.len() + value.len()) && head.grow(name.len() + value.len()) {
            draft.headers.push((name, value));
        } else {
            draft.too_large = Some(Cause::RequestTooLarge);
        }
        Ok(())
    }

    fn set_body(&mut self, request: Resource<Unsent>, body: Vec<u8>) -> wasmtime::Result<()> {
        let Unsent { draft, drafted, .. } = self.table.get_mut(&request)?;
        drafted.clear();
        if drafted.grow(body.len()) {
            draft.body = body.into();
        } else {
            draft.body = Bytes::new();
            draft.too_large = Some(Cause::RequestTooLarge);
        }
        Ok(())
    }

    fn set_timeout(&mut self, request: Resource<Unsent>, microseconds: u64) -> wasmtime::Result<()> {
        self.table.get_mut(&request)?.draft.timeout = Some(Duration::from_micros(microseconds));
        Ok(())
    }

    fn set_redirects(&mut self, request: Resource<Unsent>, limit: u32) -> wasmtime::Result<()> {
        self.table.get_mut(&request)?.draft.redirects = limit;
        Ok(())
    }

    fn repeat_when_unknown(&mut self, request: Resource<Unsent>) -> wasmtime::Result<()> {
        self.table.get_mut(&request)?.draft.repeat_when_unknown = true;
        Ok(())
    }

    async fn send(&mut self, request: Resource<Unsent>) -> wasmtime::Result<Told<Resource<Received>>> {
        let mut all = http::Host::send_all(self, vec![request]).await?;
        match all.pop() {
            Some(told) => Ok(told),
            None => Err(wasmtime::Error::msg("one request has one result")),
        }
    }

    fn drop(&mut self, request: Resource<Unsent>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        Ok(())
    }
}

impl http::HostIncomingResponse for State {
    fn status(&mut self, response: Resource<Received>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&response)?.0.status)
    }

    fn url(&mut self, response: Resource<Received>) -> wasmtime::Result<String> {
        Ok(self.table.get(&response)?.0.url.clone())
    }

    fn headers(&mut self, response: Resource<Received>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let headers = &self.table.get(&response)?.0.headers;
        Ok(headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect())
    }

    fn header(&mut self, response: Resource<Received>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let headers = &self.table.get(&response)?.0.headers;
        let same = headers.iter().filter(|(present, _)| present.eq_ignore_ascii_case(&name));
        Ok(same.map(|(_, value)| value.0.clone()).collect())
    }

    fn body(&mut self, response: Resource<Received>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&response)?.0.body.0.clone())
    }

    fn drop(&mut self, response: Resource<Received>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

impl http::Host for State {
    async fn send_all(&mut self, requests: Vec<Resource<Unsent>>) -> wasmtime::Result<Vec<Told<Resource<Received>>>> {
        let budget = asking(self)?.1.start.budget;
        if requests.len() as u64 > budget.journal_entries {
            // Each of them has an entry.
            return Err(self.end_with_output_limit(LimitedOutput::Journal));
        }
        // One handle may be among them any number of times.
        let mut room = exchanges::together_bytes(self)?;
        let mut drafts = Vec::with_capacity(requests.len());
        for request in &requests {
            let draft = &self.table.get(request)?.draft;
            drafts.push(match room.checked_sub(draft.head_bytes() + draft.body.len()) {
                Some(rest) => {
                    room = rest;
                    draft.clone()
                }
                None => Draft::too_large(),
            });
        }
        let sent = exchanges::send(self, drafts).await?;
        let under_way: Vec<_> = sent.iter().flatten().collect();
        let mut exchanged = exchanges::exchange(self, &under_way).await?.into_iter();
        let mut results = Vec::with_capacity(sent.len());
        for sent in sent {
            let ended = match sent {
                Ok(_) => exchanged.next().ok_or_else(|| wasmtime::Error::msg("each exchange has one end"))?,
                Err(refused) => Err(refused),
            };
            results.push(told(self, ended)?);
        }
        Ok(results)
    }
}
