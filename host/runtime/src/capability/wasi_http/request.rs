//! Requests, and how they are sent.

use std::time::Duration;

use flowhost_engine::State;
use http::Method;
use http::uri::{Authority, PathAndQuery};
use wasmtime::component::Resource;

use super::bindings::wasi::http::{outgoing_handler, types};
use super::body::{OutgoingBody, SharedBody};
use super::fields::Fields;
use super::future_response::{FutureResponse, sent};
use super::options::RequestOptions;
use crate::capability::drafts::Held;
use crate::outgoing::{Draft, URL_LIMIT};

/// A request that has not been sent yet.
pub struct OutgoingRequest {
    method: types::Method,
    scheme: Option<types::Scheme>,
    authority: Option<String>,
    path_with_query: Option<String>,
    headers: Fields,
    /// None where nobody asked for it.
    body: Option<SharedBody>,
    /// What the texts take of the room for drafts.
    held: Held,
}

/// The longest method and scheme, in bytes: the longest that are registered have some twenty.
const WORD_LIMIT: usize = 100;

impl OutgoingRequest {
    /// The request, without its body. It does not follow redirects: whoever uses this interface does that.
    fn into_draft(self, timeout: Option<Duration>) -> Draft {
        if self.headers.is_too_large {
            return Draft::too_large();
        }
        let method = match self.method {
            types::Method::Get => "GET".to_owned(),
            types::Method::Head => "HEAD".to_owned(),
            types::Method::Post => "POST".to_owned(),
            types::Method::Put => "PUT".to_owned(),
            types::Method::Delete => "DELETE".to_owned(),
            types::Method::Connect => "CONNECT".to_owned(),
            types::Method::Options => "OPTIONS".to_owned(),
            types::Method::Trace => "TRACE".to_owned(),
            types::Method::Patch => "PATCH".to_owned(),
            types::Method::Other(method) => method,
        };
        let scheme = match self.scheme {
            None | Some(types::Scheme::Https) => "https".to_owned(),
            Some(types::Scheme::Http) => "http".to_owned(),
            Some(types::Scheme::Other(scheme)) => scheme,
        };
        let path = self.path_with_query.unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let authority = self.authority.unwrap_or_default();
        let mut draft = Draft::new(method, format!("{scheme}://{authority}{slash}{path}"));
        for (name, value) in &*self.headers.map {
            draft.append_header(name.as_str().to_owned(), value.as_bytes().to_vec());
        }
        draft.redirects = 0;
        draft.timeout = timeout;
        draft
    }
}

/// A text of a request in place of a former one; refused where it is too long, or there is no room for it. What it must be
/// is seen before.
fn put(held: &mut Held, place: &mut Option<String>, text: Option<String>) -> Result<(), ()> {
    let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    held.shrink_to(held.bytes() - bytes(place));
    *place = None;
    if !held.grow(bytes(&text)) {
        return Err(());
    }
    *place = text;
    Ok(())
}

impl types::HostOutgoingRequest for State {
    fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingRequest>> {
        let mut headers = self.table.delete(headers)?;
        headers.is_immutable = true;
        let held = Held::of_drafts(self);
        self.push_resource(OutgoingRequest {
            method: types::Method::Get,
            scheme: None,
            authority: None,
            path_with_query: None,
            headers,
            body: None,
            held,
        })
    }

    fn body(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        if self.table.get(&request)?.body.is_some() {
            return Ok(Err(()));
        }
        let body = SharedBody::new(self)?;
        self.table.get_mut(&request)?.body = Some(body.clone());
        Ok(Ok(self.push_resource(OutgoingBody::new(body))?))
    }

    fn method(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<types::Method> {
        Ok(self.table.get(&request)?.method.clone())
    }

    fn set_method(
        &mut self,
        request: Resource<OutgoingRequest>,
        method: types::Method,
    ) -> wasmtime::Result<Result<(), ()>> {
        let request = self.table.get_mut(&request)?;
        if let types::Method::Other(name) = &method
            && (name.len() > WORD_LIMIT || Method::from_bytes(name.as_bytes()).is_err())
        {
            return Ok(Err(()));
        }
        request.method = method;
        Ok(Ok(()))
    }

    fn path_with_query(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&request)?.path_with_query.clone())
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<OutgoingRequest>,
        path: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let OutgoingRequest { path_with_query, held, .. } = self.table.get_mut(&request)?;
        if path.as_ref().is_some_and(|path| path.len() > URL_LIMIT || path.parse::<PathAndQuery>().is_err()) {
            return Ok(Err(()));
        }
        Ok(put(held, path_with_query, path))
    }

    fn scheme(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<types::Scheme>> {
        Ok(self.table.get(&request)?.scheme.clone())
    }

    fn set_scheme(
        &mut self,
        request: Resource<OutgoingRequest>,
        scheme: Option<types::Scheme>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let request = self.table.get_mut(&request)?;
        if let Some(types::Scheme::Other(name)) = &scheme
            && (name.len() > WORD_LIMIT || name.parse::<http::uri::Scheme>().is_err())
        {
            return Ok(Err(()));
        }
        request.scheme = scheme;
        Ok(Ok(()))
    }

    fn authority(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&request)?.authority.clone())
    }

    fn set_authority(
        &mut self,
        request: Resource<OutgoingRequest>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let is_none = |text: &String| text.len() > URL_LIMIT || text.parse::<Authority>().is_err();
        let OutgoingRequest { authority: place, held, .. } = self.table.get_mut(&request)?;
        if authority.as_ref().is_some_and(is_none) {
            return Ok(Err(()));
        }
        Ok(put(held, place, authority))
    }

    fn headers(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Resource<Fields>> {
        let headers = self.table.get(&request)?.headers.shared();
        self.push_resource(headers)
    }

    fn drop(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        Ok(())
    }
}

impl outgoing_handler::Host for State {
    async fn handle(
        &mut self,
        request: Resource<OutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> wasmtime::Result<Result<Resource<FutureResponse>, types::ErrorCode>> {
        let mut request = self.table.delete(request)?;
        let options = match options {
            Some(options) => self.table.delete(options)?,
            None => RequestOptions::default(),
        };
        let timeout = match options.timeout() {
            Ok(timeout) => timeout,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let body = request.body.take();
        let has_too_many_headers = request.headers.is_too_large;
        let mut draft = request.into_draft(timeout);
        let future = FutureResponse::default();
        if has_too_many_headers {
            // Whatever becomes of its body.
            sent(self, draft, None, &future).await?;
            return Ok(Err(types::ErrorCode::HttpRequestHeaderSectionSize(None)));
        }
        match body {
            None => sent(self, draft, None, &future).await?,
            Some(body) => match body.take_whole() {
                Some(Ok(whole)) => {
                    let drafted = whole.fill(&mut draft);
                    sent(self, draft, Some(drafted), &future).await?;
                }
                Some(Err(incomplete)) => return Ok(Err(incomplete)),
                // It leaves when its body is finished.
                None => body.send_when_finished(draft, future.clone()),
            },
        }
        match future.refused() {
            Some(failure) => Ok(Err(failure.into())),
            None => Ok(Ok(self.push_resource(future)?)),
        }
    }
}
