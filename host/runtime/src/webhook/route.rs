//! Where a webhook call leads.

use std::sync::Arc;
use std::time::Duration;

use flowhost_model::{Answer, Digest, ExecutionLocation, RecordId, WebhookOptions, WebhookRef};
use http::Method;

use crate::execution::Counter;
use crate::limits::{BODY_BYTES_CAP, Limits};

/// The methods that start an execution.
pub const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The address of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The record form: `/api/latest/webhook/<name>/call`.
    Record {
        /// The webhook's name.
        name: String,
    },
    /// The setting form: `/api/latest/webhook/<client>/<name>`.
    Setting {
        /// The workspace's name.
        client: String,
        /// What follows `client.webhook.` in the setting's name.
        name: String,
    },
}

/// Which flow a webhook starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FlowTarget {
    /// The one with this id.
    Id(RecordId),
    /// The one that has this name at the time of the call.
    Name(String),
    /// The one with this id, as long as it has this name: another flow that gets the name is not run.
    Bound {
        /// The name.
        name: String,
        /// The id; `None` if no flow was bound yet.
        id: Option<RecordId>,
    },
}

/// The user that answers for a webhook's executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Who last changed the webhook; the record form.
    Id(Option<RecordId>),
    /// The user that the setting names.
    Name(String),
}

/// An enabled webhook, ready to be called.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) webhook: WebhookRef,
    pub(crate) flow: FlowTarget,
    pub(crate) key_digest: Option<Digest>,
    pub(crate) require_login: bool,
    pub(crate) is_productive: bool,
    pub(crate) project_id: Option<RecordId>,
    pub(crate) bundle_id: Option<RecordId>,
    pub(crate) location: ExecutionLocation,
    pub(crate) owner: Owner,
    pub(crate) options: WebhookOptions,
    pub(crate) running: Counter,
}

impl Route {
    /// The webhook's name.
    pub fn name(&self) -> &str {
        &self.webhook.name
    }

    /// What the answer to a successful synchronous call holds.
    pub fn answer(&self) -> Answer {
        self.options.answer
    }

    /// Whether a call with this method runs the flow.
    pub fn runs_on(&self, method: &Method) -> bool {
        match &self.options.methods {
            Some(methods) => methods.iter().any(|known| known == method.as_str()),
            None => *method != Method::HEAD && METHODS.contains(method),
        }
    }

    /// The methods that are answered, as the header `Allow` lists them.
    pub fn allowed(&self) -> String {
        let own = METHODS.iter().filter(|method| **method == Method::HEAD || self.runs_on(method)).map(Method::as_str);
        own.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
    }

    /// The largest body that a call may have, in bytes.
    pub(crate) fn body_limit(&self, limits: &Limits) -> u64 {
        self.options.max_body_bytes.unwrap_or(limits.body_bytes).min(BODY_BYTES_CAP)
    }

    /// How long a synchronous call waits.
    pub(crate) fn wait(&self, limits: &Limits) -> Duration {
        self.options.wait_ms.map_or(limits.wait, Duration::from_millis)
    }
}

/// A route that is shared between a snapshot and the calls under way.
pub(crate) type SharedRoute = Arc<Route>;
