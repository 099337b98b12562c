//! Who makes a request.

use flowhost::{Code, Host, Identity, Problem};
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

fn missing() -> Problem {
    Problem::new(Code::Unauthorized, "send a token: `Authorization: Bearer TOKEN`")
}
