//! Requests that the host sends.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::http;
use crate::crossing::microseconds;
use crate::http::Draft;

pub(crate) type ResponseBackend = http::IncomingResponse;

impl Backend {
    pub(crate) fn send_requests(&self, drafts: Vec<Draft>) -> Vec<Result<ResponseBackend, HostError>> {
        let requests: Vec<http::NewRequest> = drafts.iter().map(request).collect();
        let requests: Vec<&http::NewRequest> = requests.iter().collect();
        http::send_all(&requests).into_iter().map(|sent| Ok(sent?)).collect()
    }
}

fn request(draft: &Draft) -> http::NewRequest {
    let request = http::NewRequest::new(&draft.method, &draft.url);
    for (name, value) in &draft.headers {
        request.append_header(name, value);
    }
    if !draft.body.is_empty() {
        request.set_body(&draft.body);
    }
    if let Some(timeout) = draft.timeout {
        request.set_timeout(microseconds(timeout));
    }
    if let Some(limit) = draft.redirects {
        request.set_redirects(limit);
    }
    if draft.repeat_when_unknown {
        request.repeat_when_unknown();
    }
    request
}
