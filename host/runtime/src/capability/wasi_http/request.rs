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
use crate::outgoing::Draft;

/// A request that has not been sent yet.
pub struct OutgoingRequest {
    method: types::Method,
    scheme: Option<types::Scheme>,
    authority: Option<String>,
    path_with_query: Option<String>,
    headers: Fields,
    /// None where nobody asked for it.
    body: Option<SharedBody>,
}

impl OutgoingRequest {
    /// The request, without its body. It does not follow redirects: whoever uses this interface does that.
    fn into_draft(self, timeout: Option<Duration>) -> Draft {
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
        for (name, value) in &self.headers.map {
            draft.append_header(name.as_str().to_owned(), value.as_bytes().to_vec());
        }
        draft.redirects = 0;
        draft.timeout = timeout;
        draft
    }
}

impl types::HostOutgoingRequest for State {
    fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingRequest>> {
        let mut headers = self.table.delete(headers)?;
        headers.is_immutable = true;
        self.push_resource(OutgoingRequest {
            method: types::Method::Get,
            scheme: None,
            authority: None,
            path_with_query: None,
            headers,
            body: None,
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
            && Method::from_bytes(name.as_bytes()).is_err()
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
        let request = self.table.get_mut(&request)?;
        if path.as_ref().is_some_and(|path| path.parse::<PathAndQuery>().is_err()) {
            return Ok(Err(()));
        }
        request.path_with_query = path;
        Ok(Ok(()))
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
            && name.parse::<http::uri::Scheme>().is_err()
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
        let request = self.table.get_mut(&request)?;
        if authority.as_ref().is_some_and(|authority| authority.parse::<Authority>().is_err()) {
            return Ok(Err(()));
        }
        request.authority = authority;
        Ok(Ok(()))
    }

    fn headers(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Resource<Fields>> {
        let headers = self.table.get(&request)?.headers.clone();
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
        let mut draft = request.into_draft(timeout);
        let future = FutureResponse::default();
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
