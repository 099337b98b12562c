//! The few requests that the demo and the benchmark make themselves.

use ureq::http::Request;

use crate::run::Outcome;

/// An answer, whatever its status.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The header `Location`.
    pub(crate) location: Option<String>,
    /// The body as text.
    pub(crate) body: String,
}

/// Sends one request.
pub(crate) fn send(method: &str, url: &str, headers: &[(String, String)], body: Option<&[u8]>) -> Outcome<Answer> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = match body {
        Some(body) => agent.run(request.body(body)?),
        None => agent.run(request.body(())?),
    };
    let (head, mut body) = answer.map_err(|error| format!("{method} {url}: {error}"))?.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        location: head.headers.get("location").and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: body.read_to_string()?,
    })
}
