//! Webhook calls over HTTP.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use flowhost::audit::{AuditEntry, AuditEvent};
use flowhost::model::{Answer, RecordId};
use flowhost::webhook::{Address, CallHead, Called, METHODS, Reservation, Route, Standing, WebhookRequest};
use flowhost::{Code, Host, Problem};
use http::header::{ALLOW, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Either;
use hyper::body::Body;
use serde_json::json;

use crate::activity::Running;
use crate::answer::AnswerBody;
use crate::bodies::{Bodies, Taken};
use crate::body::Reading;
use crate::unread::ClientBody;
use crate::{answer, flow_answer, head};

/// The methods of a webhook's address, for `Allow`.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The webhook that a path addresses, and what follows its address. None where the path is no webhook call.
///
/// Doubled slashes and one at the end are as if they were not there; senders join addresses from parts.
pub(crate) fn address(path: &str) -> Option<(Address, &str)> {
    let (version, first, rest) = below_webhook(path)?;
    let (second, below) = segment(rest)?;
    if version == "latest" && second == "call" {
        return Some((Address::Record { name: decode(first)?.into_owned() }, below));
    }
    if !matches!(version, "latest" | "1") || segment(below).is_some() {
        return None;
    }
    // The history of a record. A workspace is not named by an id.
    if second == "history" && first.parse::<RecordId>().is_ok() {
        return None;
    }
    Some((Address::Setting { client: decode(first)?.into_owned(), name: decode(second)?.into_owned() }, ""))
}

/// Returns the name of the webhook that a path names without `/call`.
pub(crate) fn name_without_call(path: &str) -> Option<&str> {
    let (version, name, rest) = below_webhook(path)?;
    let is_record = name.parse::<RecordId>().is_ok();
    (version == "latest" && segment(rest).is_none() && !is_record).then_some(name)
}

/// Splits a path below `webhook` into the version of the API, the first segment below, and the rest.
fn below_webhook(path: &str) -> Option<(&str, &str, &str)> {
    let ("api", rest) = segment(path)? else { return None };
    let (version, rest) = segment(rest)?;
    let ("webhook", rest) = segment(rest)? else { return None };
    let (first, rest) = segment(rest)?;
    Some((version, first, rest))
}

/// Splits the first segment of a path off.
fn segment(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?.trim_start_matches('/');
    let end = path.find('/').unwrap_or(path.len());
    (end > 0).then(|| path.split_at(end))
}

/// The text of a segment of a path; none where it is not UTF-8.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok()
}

/// Answers a call of a webhook's address. `running` is kept until the answer is sent.
pub(crate) async fn answer(
    host: &Host,
    address: Address,
    path: String,
    request: Request<ClientBody>,
    caller: IpAddr,
    bodies: &Bodies,
    running: Running,
) -> Response<AnswerBody> {
    if request.method() == Method::OPTIONS {
        let allow = host.webhook_route(&address).map_or_else(|_| ALLOWED.to_owned(), |route| route.allowed());
        let mut allowed = answer::without_content();
        if let Ok(allow) = HeaderValue::try_from(allow) {
            allowed.headers_mut().insert(ALLOW, allow);
        }
        return allowed.map(Either::Left);
    }
    if !METHODS.contains(request.method()) {
        return answer::method_not_allowed(ALLOWED).map(Either::Left);
    }
    match call(host, address, path, request, caller, bodies, running).await {
        Ok(answer) => answer,
        Err(problem) => answer::problem(&problem).map(Either::Left),
    }
}

async fn call(
    host: &Host,
    address: Address,
    path: String,
    request: Request<ClientBody>,
    caller: IpAddr,
    bodies: &Bodies,
    running: Running,
) -> Result<Response<AnswerBody>, Problem> {
    let route = host.webhook_route(&address).map_err(|problem| refused(host, caller, None, problem))?;
    if !route.runs_on(request.method()) {
        // Link previews and senders that look whether an address is there start nothing.
        return Ok(if request.method() == Method::HEAD {
            answer::unkept(StatusCode::OK).map(Either::Left)
        } else {
            answer::method_not_allowed(&route.allowed()).map(Either::Left)
        });
    }
    let (mut head, incoming) = request.into_parts();
    let Arrived { body, taken, standing } = read_body(host, &route, &head, incoming, caller, bodies).await?;
    // HTTP/2 has the name that was called beside its headers; flows find it where HTTP/1.1 has it.
    if let Some(authority) = head.uri.authority()
        && !head.headers.contains_key(HOST)
        && let Ok(name) = HeaderValue::try_from(authority.as_str())
    {
        head.headers.insert(HOST, name);
    }
    // A body may take its time; the call is judged by what holds when it is there.
    let route = host.webhook_route(&address).map_err(|problem| refused(host, caller, None, problem))?;
    let request = WebhookRequest {
        method: head.method,
        path,
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
        caller: Some(caller),
        standing,
        reservation: Some(Reservation::new(taken)),
    };
    let answer = match host.call_webhook(&route, request).await? {
        Called::Answered { id, answer } => return Ok(flow_answer::of(id, *answer, running)),
        Called::Ended(execution) => {
            let mut answer = match route.answer() {
                Answer::Outputs => answer::json(StatusCode::OK, &execution.output_value),
                Answer::Execution => answer::execution(StatusCode::OK, &execution),
                // The flow said nothing.
                Answer::Flow => answer::without_content(),
            };
            answer::insert_execution_id(answer.headers_mut(), execution.id);
            answer
        }
        Called::Accepted { id, status, is_preferred, ticket } => {
            let mut answer = answer::json(StatusCode::ACCEPTED, &json!({ "id": id, "status": status }));
            let location = format!("/api/latest/execution/{id}?ticket={ticket}");
            if let Ok(location) = HeaderValue::try_from(location) {
                answer.headers_mut().insert(LOCATION, location);
            }
            answer::insert_execution_id(answer.headers_mut(), id);
            if is_preferred {
                let applied = HeaderValue::from_static("respond-async");
                answer.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
            }
            answer
        }
    };
    Ok(answer.map(Either::Left))
}

/// A call that is in memory as a whole.
struct Arrived {
    body: Bytes,
    /// The room for its head and body.
    taken: Taken,
    /// None for a call without a body, which is judged when it is made.
    standing: Option<Standing>,
}

/// Reads the body of a call, once its head has shown as much as it can.
async fn read_body(
    host: &Host,
    route: &Route,
    head: &Parts,
    incoming: ClientBody,
    caller: IpAddr,
    bodies: &Bodies,
) -> Result<Arrived, Problem> {
    let refused = |problem| refused(host, caller, Some(route.name()), problem);
    let uri = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    let head_bytes = (head::bytes(&head.headers) + uri) as u64;
    if incoming.is_end_stream() {
        // It may have to wait for its turn as well.
        let taken = bodies.open.take(caller.into(), head_bytes, 0).await.map_err(refused)?;
        return Ok(Arrived { body: Bytes::new(), taken, standing: None });
    }
    let call = CallHead { method: &head.method, query: head.uri.query(), headers: &head.headers, caller: Some(caller) };
    let standing = host.judge_call(route, call).map_err(refused)?;
    let room = match standing {
        Standing::Proven => &bodies.open,
        Standing::Unproven => &bodies.unproven,
    };
    let reading = Reading {
        room,
        caller: caller.into(),
        head: head_bytes,
        limit: host.webhook_body_limit(route),
        timeout: bodies.timeout,
    };
    match reading.read(incoming).await {
        Ok((body, taken)) => Ok(Arrived { body, taken, standing: Some(standing) }),
        Err(problem) => {
            let limit = bodies.unproven.largest();
            let is_unproven =
                problem.code == Code::TooLarge && standing == Standing::Unproven && reading.limit >= limit;
            let detail =
                || format!("a body of more than {limit} bytes is read only with the key in the query or in X-Api-Key");
            Err(refused(if is_unproven { Problem::new(Code::TooLarge, detail()) } else { problem }))
        }
    }
}

/// Tells the audit log of a call that is refused before the host is asked to make it.
pub(crate) fn refused(host: &Host, caller: IpAddr, webhook: Option<&str>, problem: Problem) -> Problem {
    host.audit().record(&AuditEntry {
        event: AuditEvent::CallRefused(problem.code),
        user: None,
        webhook,
        address: Some(caller),
        request: None,
        record: None,
    });
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Address {
        Address::Record { name: name.into() }
    }

    fn setting(client: &str, name: &str) -> Address {
        Address::Setting { client: client.into(), name: name.into() }
    }

    #[test]
    fn both_address_forms() {
        assert_eq!(address("/api/latest/webhook/signup/call"), Some((record("signup"), "")));
        assert_eq!(address("/api/latest/webhook/sign%20up/call/a/b"), Some((record("sign up"), "/a/b")));
        assert_eq!(
            address("/api/latest/webhook/test-client/my-webhook"),
            Some((setting("test-client", "my-webhook"), ""))
        );
        assert_eq!(address("/api/1/webhook/test-client/my-webhook"), Some((setting("test-client", "my-webhook"), "")));
        assert_eq!(address("/api/1/webhook/signup/call"), Some((setting("signup", "call"), "")));
        assert_eq!(address("//api//latest/webhook//signup/call"), Some((record("signup"), "")));
        assert_eq!(address("/api/latest/webhook/signup/call/a//b/"), Some((record("signup"), "/a//b/")));
        assert_eq!(address("/api/1/webhook//c///w/"), Some((setting("c", "w"), "")));
        assert_eq!(address("/api/latest/webhook/signup/callback"), Some((setting("signup", "callback"), "")));
    }

    #[test]
    fn address_without_call_is_known() {
        assert_eq!(name_without_call("/api/latest/webhook/sign%20up"), Some("sign%20up"));
        assert_eq!(name_without_call("/api/latest/webhook/signup/"), Some("signup"));
        assert_eq!(name_without_call("/api/latest/webhook/01a202e4-f47d-72a3-b440-9b77d4430568"), None);
        assert_eq!(name_without_call("/api/latest/webhook"), None);
        assert_eq!(name_without_call("/api/latest/webhook/"), None);
        assert_eq!(name_without_call("/api/latest/flow/a"), None);
    }

    #[test]
    fn what_is_no_webhook_call() {
        for path in [
            "/",
            "/api/latest/webhook",
            "/api/latest/webhook/signup",
            "/api/latest/webhook/a/b/c",
            "/api/latest/webhook/id/action/enable",
            "/api/latest/webhook/01a202e4-f47d-72a3-b440-9b77d4430568/history",
            "/api/2/webhook/a/b",
            "/api/latest/flow/a/b",
            "/api/latest/webhook/%ff/call",
        ] {
            assert_eq!(address(path), None, "{path}");
        }
    }
}
