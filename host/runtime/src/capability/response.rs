//! `flowhost:flow/response`: the answer to the webhook call that a flow serves.
//!
//! What is set is kept in memory and set again when the flow is run again, so it is no journal point. An answer that is sent
//! is a step: the execution is durable before its caller hears of it, and nothing is sent again. A body that is written while it
//! is sent is no part of the journal; what the flow learns of its caller is.

use flowhost_engine::{Call, LimitedOutput, State, WholeState};
use flowhost_model::RecordType;
use wasmtime::component::{Linker, Resource};

use super::acting::read;
use super::bindings::flowhost::flow::response::{self, HostError};
use super::refusal::{Told, fits_name, or_refuse, refusal};
use super::{asking, tell};
use crate::capability::{Capability, ExecutionContext};
use crate::execution::{BodyWriter, CallerGone, FlowBody, Response, ResponseError, streamed};

/// The capability `response`.
pub(super) struct ResponseCapability;

/// A body that a flow writes. The generated code re-exports it.
#[allow(unreachable_pub)]
pub struct BodyStream {
    sink: Sink,
    /// How many writes there were.
    writes: u64,
}

/// Where a body goes.
enum Sink {
    /// To a caller.
    Caller(BodyWriter),
    /// Nobody waits for it, or the flow is told what it was told before.
    Nowhere,
    /// The caller has gone.
    Gone,
    /// It is whole.
    Finished,
}

impl Capability for ResponseCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/response"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        response::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

impl From<ResponseError> for HostError {
    fn from(error: ResponseError) -> Self {
        refusal(error.code(), error.to_string())
    }
}

const TOO_MANY_BODIES: &str = "as many executions write their bodies at this moment as may at once; send this one whole, or \
     try again later";

fn caller_gone() -> HostError {
    refusal("response.caller-gone", "the caller has gone away, or took nothing of the answer for too long")
}

fn shape<T>(
    state: &mut State,
    work: impl FnOnce(&mut Response) -> Result<T, ResponseError>,
) -> wasmtime::Result<Told<T>> {
    let live = state.slot::<ExecutionContext>()?.live();
    Ok(live.with_response(work).map_err(HostError::from))
}

impl response::Host for State {
    fn set_status(&mut self, status: u16) -> wasmtime::Result<Told<()>> {
        shape(self, |response| response.set_status(status))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> wasmtime::Result<Told<()>> {
        shape(self, |response| response.put_header(&name, &value, false))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> wasmtime::Result<Told<()>> {
        shape(self, |response| response.put_header(&name, &value, true))
    }

    fn set_body(&mut self, content_type: String, body: Vec<u8>) -> wasmtime::Result<Told<()>> {
        let budget = self.slot::<ExecutionContext>()?.live().start.budget.output_bytes;
        if body.len() > budget {
            return Err(self.end_with_output_limit(LimitedOutput::Answer));
        }
        shape(self, |response| response.set_body(&content_type, body))
    }

    async fn set_file(&mut self, name: String) -> wasmtime::Result<Told<()>> {
        if let Err(refused) = shape(self, |response| response.refuse_if_sent())? {
            return Ok(Err(refused));
        }
        or_refuse!(fits_name(&name));
        let call = Call::new("response.set-file", &name);
        let told: Told<()> = read(self, call, async |host, by| match host.named(by, RecordType::File, &name).await? {
            Some(_) => Ok(()),
            None => Err(refusal("files.not-found", format!("there is no file `{name}`"))),
        })
        .await?;
        match told {
            Ok(()) => shape(self, |response| response.set_file(name)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn send(&mut self) -> wasmtime::Result<Told<()>> {
        if let Err(refused) = shape(self, |response| response.refuse_if_sent())? {
            return Ok(Err(refused));
        }
        let call = Call::new("response.send", &());
        if let Some(told) = self.replay::<Told<()>>(&call)? {
            if told.is_ok() {
                let _sent_before = shape(self, Response::send)?;
            }
            return Ok(told);
        }
        let (host, live) = asking(self)?;
        let file = match live.with_response(|response| response.file()) {
            None => None,
            Some(name) => match host.open_file(&live, &name).await {
                Ok(file) => Some(file),
                Err(problem) => {
                    let told: Told<()> = Err(problem.into());
                    tell(self, call, &told)?;
                    return Ok(told);
                }
            },
        };
        let mut answer = match shape(self, Response::send)? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(file) = file {
            file.put_into(&mut answer);
        }
        let told: Told<()> = Ok(());
        self.record(call, &told)?;
        let answered = live.clone();
        host.step(self, &live, Vec::new(), move |host, _| host.answer_caller(&answered, answer)).await?;
        Ok(told)
    }

    async fn start_body(&mut self, content_type: String) -> wasmtime::Result<Told<Resource<BodyStream>>> {
        // Kept when it is clear that it is sent.
        let prepared = shape(self, |response| {
            let mut response = response.clone();
            response.set_body(&content_type, Vec::new())?;
            let answer = response.send()?;
            Ok((response, answer))
        })?;
        let (sent, mut answer) = match prepared {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(Err(refused)),
        };
        let call = Call::new("response.start-body", &content_type);
        if let Some(told) = self.replay::<Told<()>>(&call)? {
            if let Err(refused) = told {
                return Ok(Err(refused));
            }
            asking(self)?.1.with_response(|response| *response = sent);
            return self.push_resource(BodyStream { sink: Sink::Nowhere, writes: 0 }).map(Ok);
        }
        let (host, live) = asking(self)?;
        let place = if host.caller_takes_body(&live, answer.status) {
            let Some(place) = host.admission().streaming_place(live.start.flow.id) else {
                let refused = refusal("response.too-many-bodies", TOO_MANY_BODIES);
                self.record(call, &Err::<(), HostError>(refused.clone()))?;
                return Ok(Err(refused));
            };
            Some(place)
        } else {
            None
        };
        live.with_response(|response| *response = sent);
        // Before anything is kept: a handle beyond the flow's budget is the end of it.
        let stream = self.push_resource(BodyStream { sink: Sink::Nowhere, writes: 0 })?;
        if let Some(place) = place {
            let (writer, body) = streamed(host.limits().body_stall);
            live.begin_streaming(place);
            self.table.get_mut(&stream)?.sink = Sink::Caller(writer);
            answer.body = FlowBody::Streamed(body);
        }
        self.record(call, &Ok::<(), HostError>(()))?;
        let answered = live.clone();
        host.step(self, &live, Vec::new(), move |host, _| host.answer_caller(&answered, answer)).await?;
        Ok(Ok(stream))
    }
}

/// The caller is gone: from here on the execution can be run again, and the flow is told the same then.
async fn lose_caller(state: &mut State, stream: &Resource<BodyStream>, call: Call) -> wasmtime::Result<HostError> {
    state.table.get_mut(stream)?.sink = Sink::Gone;
    let (host, live) = asking(state)?;
    live.end_streaming();
    let told: Told<()> = Err(caller_gone());
    state.record(call, &told)?;
    host.step(state, &live, Vec::new(), |_, _| {}).await?;
    Ok(caller_gone())
}

impl response::HostBodyStream for State {
    async fn write(&mut self, stream: Resource<BodyStream>, bytes: Vec<u8>) -> wasmtime::Result<Told<()>> {
        let body = self.table.get_mut(&stream)?;
        body.writes += 1;
        let number = body.writes;
        // In the journal only where the caller was gone: the others are told apart by what comes next in it.
        let call = || Call::new("response.write", &number);
        match &body.sink {
            Sink::Caller(writer) => {
                let writer = writer.clone();
                match self.attend(async move { writer.write(&bytes).await }).await {
                    Ok(()) => Ok(Ok(())),
                    Err(CallerGone) => Ok(Err(lose_caller(self, &stream, call()).await?)),
                }
            }
            Sink::Nowhere if self.journal.is_replaying() => {
                let told = self.replay_if_next::<Told<()>>(&call())?;
                if let Some(Err(_)) = told {
                    self.table.get_mut(&stream)?.sink = Sink::Gone;
                }
                Ok(told.unwrap_or(Ok(())))
            }
            Sink::Nowhere => Ok(Ok(())),
            Sink::Gone => Ok(Err(caller_gone())),
            Sink::Finished => Ok(Err(ResponseError::AlreadySent.into())),
        }
    }

    async fn finish(&mut self, stream: Resource<BodyStream>) -> wasmtime::Result<Told<()>> {
        let body = self.table.get_mut(&stream)?;
        match body.sink {
            Sink::Gone => return Ok(Err(caller_gone())),
            Sink::Finished => return Ok(Err(ResponseError::AlreadySent.into())),
            Sink::Caller(_) | Sink::Nowhere => {}
        }
        let sink = std::mem::replace(&mut body.sink, Sink::Finished);
        let call = Call::new("response.finish", &());
        if let Some(told) = self.replay::<Told<()>>(&call)? {
            if told.is_err() {
                self.table.get_mut(&stream)?.sink = Sink::Gone;
            }
            return Ok(told);
        }
        let told: Told<()> = Ok(());
        let Sink::Caller(writer) = sink else {
            self.record(call, &told)?;
            return Ok(told);
        };
        match self.attend(writer.finishing()).await {
            Ok(finishing) => {
                self.record(call, &told)?;
                let (host, live) = asking(self)?;
                live.end_streaming();
                host.step(self, &live, Vec::new(), move |_, _| finishing.finish()).await?;
                Ok(told)
            }
            Err(CallerGone) => Ok(Err(lose_caller(self, &stream, call).await?)),
        }
    }

    fn drop(&mut self, stream: Resource<BodyStream>) -> wasmtime::Result<()> {
        if let Sink::Caller(_) = self.table.delete(stream)?.sink {
            // It is cut off; the execution can be run again from its next step on.
            self.slot::<ExecutionContext>()?.live().end_streaming();
        }
        Ok(())
    }
}
