//! What clients were told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::call::Call;
use crate::Answer;

/// Keeps what clients were told, by all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Told>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Calls that were sent.
    pub(crate) calls: u64,
    /// Calls without an answer.
    pub(crate) cut_off: u64,
    /// Calls that were refused: the host was busy, or about to stop.
    pub(crate) refused: u64,
    /// The ids of accepted executions.
    pub(crate) accepted: Vec<String>,
    /// Executions that were answered as ended well, as the answers had them.
    pub(crate) answered: Vec<Value>,
    /// The ids of executions that went on when their callers were answered.
    pub(crate) unfinished: Vec<String>,
    pub(crate) accepted_after: Vec<Duration>,
    pub(crate) answered_after: Vec<Duration>,
    /// The first answer that nothing explains.
    pub(crate) wrong: Option<String>,
}

/// What an answer means for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It may go on.
    GoOn,
    /// The host is about to stop.
    Stops,
}

impl Ledger {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the answer to a call, or that there was none.
    pub(crate) fn note(&self, call: &Call, answer: Option<&Answer>, took: Duration) -> Meaning {
        let mut told = self.told();
        told.calls += 1;
        let Some(answer) = answer else {
            told.cut_off += 1;
            return Meaning::Stops;
        };
        let body = answer.json();
        match answer.status {
            202 if call.is_async => {
                told.accepted.push(body["id"].as_str().unwrap_or_default().to_owned());
                told.accepted_after.push(took);
            }
            200 if !call.is_async && body["status"] == "ENDED_SUCCESS" => {
                told.answered.push(body);
                told.answered_after.push(took);
            }
            503 => {
                told.refused += 1;
                told.unfinished.extend(answer.header("flowhost-execution-id").map(str::to_owned));
                if body["code"] == "host.draining" {
                    return Meaning::Stops;
                }
            }
            // A stop in order ends synchronous executions that are not durable and do not end in time; nobody else cancels here.
            409 if !call.is_async && body["code"] == "execution.cancelled" => {
                told.refused += 1;
                return Meaning::Stops;
            }
            status => {
                told.unfinished.extend(answer.header("flowhost-execution-id").map(str::to_owned));
                told.wrong.get_or_insert_with(|| format!("{status} {body} to {call:?}"));
            }
        }
        Meaning::GoOn
    }
}
