//! The token of a request.

use flowhost::{Code, Host, Identity, Problem};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The user whose token the request carries: `Authorization: <token>`, with or without `Bearer`.
pub(crate) fn identity(host: &Host, headers: &HeaderMap) -> Result<Identity, Problem> {
    let missing = || Problem::new(Code::Unauthorized, "send a token: `Authorization: Bearer TOKEN`");
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => value,
    };
    host.authenticate(token.trim())
}
