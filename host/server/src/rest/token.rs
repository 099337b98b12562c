//! Who makes a request.

use std::net::IpAddr;

use flowhost::{Code, Host, Identity, Problem, Reader};
use http::HeaderMap;

use super::requester;

/// The user whose token a request carries that only reads: in `Authorization`, or in the login cookie.
pub(crate) fn reader(host: &Host, headers: &HeaderMap) -> Result<Identity, Problem> {
    let token = flowhost::webhook::login::token(headers).ok_or_else(missing)?;
    host.authenticate(&token).inspect(|user| requester::note(&user.user_name))
}

/// The user whose token a request carries that changes something: in `Authorization`. A cookie is sent by a browser whether
/// or not its user means it, so that a cookie alone changes nothing.
pub(crate) fn writer(host: &Host, headers: &HeaderMap) -> Result<Identity, Problem> {
    let token = flowhost::webhook::login::in_authorization(headers).ok_or_else(missing)?;
    host.authenticate(&token).inspect(|user| requester::note(&user.user_name))
}

/// For whom a request reads: for the user whose token it carries, or for callers of its network.
pub(crate) fn reader_of(host: &Host, headers: &HeaderMap, caller: IpAddr) -> Reader {
    let user = flowhost::webhook::login::token(headers).and_then(|token| host.authenticate(&token).ok());
    user.map_or_else(|| Reader::Network(caller.into()), |user| Reader::User(user.user_id))
}

fn missing() -> Problem {
    Problem::new(Code::Unauthorized, "send a token: `Authorization: Bearer TOKEN`")
}
