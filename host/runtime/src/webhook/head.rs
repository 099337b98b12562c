//! What the head of a call decides, before any of its body is in memory.

use std::net::IpAddr;

use flowhost_model::{Operation, RecordType};
use http::{HeaderMap, Method};

use super::{Route, key, login};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

/// What the head of a call has shown of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The caller may call.
    Proven,
    /// The webhook has a key, which can only be in the body.
    Unproven,
}

/// The head of a call, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct CallHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The caller's address.
    pub caller: Option<IpAddr>,
}

impl Host {
    /// Judges a call of a webhook by its head: the login, the key where the head has it, and whether the webhook takes more
    /// calls. [`Host::call_webhook`] judges again when the body is there.
    ///
    /// A wrong key counts as a guess at once: whether the body is read, and when, tells it from a right one. A right key in the
    /// body takes that back.
    ///
    /// # Errors
    /// The problem that the call would end with.
    pub fn judge_call(&self, route: &Route, head: CallHead<'_>) -> Result<Standing, Problem> {
        self.refuse_if_draining()?;
        self.login_of_caller(route, head.method, head.headers)?;
        if let Some(expected) = route.key_digest {
            self.refuse_guesses(route, head.caller)?;
            let presented = key::Presented::of(head.query, head.headers)?;
            if !presented.is_right(expected) {
                self.note_wrong_keys(route, head.caller, presented.count());
                return Ok(Standing::Unproven);
            }
        }
        if !route.running.has_room(route.options.max_executions) {
            return Err(super::call::webhook_busy());
        }
        Ok(Standing::Proven)
    }

    /// Returns who is logged in, where the webhook wants a login.
    pub(super) fn login_of_caller(
        &self,
        route: &Route,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>, Problem> {
        if !route.require_login {
            return Ok(None);
        }
        let unauthorized =
            || Problem::new(Code::WebhookLoginWanted, "the webhook wants a login: `Authorization: Bearer TOKEN`");
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        let token = if is_reading { login::token(headers) } else { login::of_own_page(headers) };
        let token = token.ok_or_else(unauthorized)?;
        let caller = self.authenticate(&token).map_err(|_| unauthorized())?;
        self.permit(&caller, Operation::Read, RecordType::Webhook, route.project_id)?;
        Ok(Some(caller))
    }
}
