//! One exchange: a request with its redirects, checked at every hop, and the whole response.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use url::{Host as UrlHost, Url};

use super::Outgoing;
use super::allow_list::LineFor;
use super::base64_bytes::Base64Bytes;
use super::failure::Failure;
use super::request::{Request, check_address};
use crate::execution::Live;
use crate::host::Host;
use crate::secret::Part;

/// Who sends a request that does not say so itself.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("flowhost/", env!("CARGO_PKG_VERSION")));

/// What is read of the body of a redirect, in bytes, so that its connection can be used again.
const REDIRECT_BODY: usize = 64 << 10;

/// A response with its whole body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Base64Bytes)>,
    pub(crate) body: Base64Bytes,
}

/// What an execution may still receive, in bytes: its journal holds all of it.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<AtomicUsize>);

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> Result<(), Failure> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        taken.map(drop).map_err(|_| {
            Failure::new(Failure::TOO_LARGE, "the responses of this execution together are more than its journal holds")
        })
    }
}

/// What is sent next.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing {
    /// Whether an execution may send this request: by the host's list, by that of its flow, and by an address that stands in
    /// place of a name.
    pub(crate) fn permit(&self, host: &Host, live: &Live, request: &Request) -> Result<(), Failure> {
        self.permit_hop(host, live, &request.method, &request.url)
    }

    fn permit_hop(&self, host: &Host, live: &Live, method: &Method, url: &Url) -> Result<(), Failure> {
        let snapshot = host.snapshot();
        let of_flow = snapshot.http_allow(live.start.flow.id);
        let by_host = self.policy.allow.permits(method, url);
        let by_flow = of_flow.is_some_and(|list| list.permits(method, url));
        let missing = match (by_host, by_flow) {
            (true, true) => return self.permit_literal(url),
            (false, true) => "to `http_allow` of the host".to_owned(),
            (true, false) => format!("to `options.http_allow` of the flow `{}`", live.start.flow.name),
            (false, false) => format!(
                "to `http_allow` of the host and to `options.http_allow` of the flow `{}`",
                live.start.flow.name
            ),
        };
        let line = LineFor(method, url).to_string();
        let message = format!("`{line}` is not allowed: add `{line}` {missing}");
        Err(Failure::new(Failure::NOT_ALLOWED, message))
    }

    /// Refuses an address that may not be reached and that no resolver sees.
    fn permit_literal(&self, url: &Url) -> Result<(), Failure> {
        let address = match url.host() {
            Some(UrlHost::Ipv4(address)) => address.into(),
            Some(UrlHost::Ipv6(address)) => address.into(),
            Some(UrlHost::Domain(_)) => return Ok(()),
            None => return Err(Failure::new(Failure::INVALID_REQUEST, "an address has a host")),
        };
        if self.addresses.permit(address) {
            return Ok(());
        }
        let message = format!("{address} is not public; the host's `http_private` permits networks");
        Err(Failure::new(Failure::ADDRESS_NOT_ALLOWED, message))
    }

    /// Sends a request, follows its redirects, and reads the whole response.
    pub(crate) async fn exchange(
        &self,
        host: &Host,
        live: &Live,
        request: &Request,
        room: &Room,
    ) -> Result<Response, Failure> {
        let limit = request.timeout.unwrap_or(Duration::MAX).min(self.limits.time);
        let late = |_| {
            let message = format!("there was no whole response within {} ms", limit.as_millis());
            Failure::new(Failure::TIMEOUT, message)
        };
        tokio::time::timeout(limit, self.follow(host, live, request, room)).await.map_err(late)?
    }

    async fn follow(&self, host: &Host, live: &Live, request: &Request, room: &Room) -> Result<Response, Failure> {
        let mut hop = Hop {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        hop.headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        let mut followed = 0;
        loop {
            self.permit_hop(host, live, &hop.method, &hop.url)?;
            let (sent, secret) = hop.revealed(host, live)?;
            let name = hop.url.host_str().unwrap_or_default();
            let response = self.connections.send(sent, name).await?;
            if request.redirects == 0 {
                return self.receive(&hop.url, response, room).await;
            }
            let Some(next) = hop.next(&response, &secret)? else {
                return self.receive(&hop.url, response, room).await;
            };
            followed += 1;
            if followed > request.redirects {
                let message = format!("more than {} redirects", request.redirects);
                return Err(Failure::new(Failure::TOO_MANY_REDIRECTS, message));
            }
            // A connection whose response was not read to its end is of no use to the next.
            let _unread = Limited::new(response.into_body(), REDIRECT_BODY).collect().await;
            hop = next;
        }
    }

    async fn receive(&self, url: &Url, response: http::Response<Incoming>, room: &Room) -> Result<Response, Failure> {
        let limit = usize::try_from(self.limits.body_bytes).unwrap_or(usize::MAX);
        let (parts, body) = response.into_parts();
        let host = url.host_str().unwrap_or_default();
        let read = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                Failure::new(Failure::TOO_LARGE, format!("the body of the response has more than {limit} bytes"))
            } else {
                Failure::of(&*error, host)
            }
        })?;
        let body = read.to_bytes();
        room.take(body.len())?;
        let value = |value: &HeaderValue| Base64Bytes(value.as_bytes().to_vec());
        Ok(Response {
            status: parts.status.as_u16(),
            url: url.to_string(),
            headers: parts.headers.iter().map(|(name, one)| (name.as_str().to_owned(), value(one))).collect(),
            body: Base64Bytes(body.into()),
        })
    }
}

impl Hop {
    /// The request with its secrets in place of what stands for them, and the headers that have one.
    fn revealed(&self, host: &Host, live: &Live) -> Result<(http::Request<Full<Bytes>>, HashSet<HeaderName>), Failure> {
        let name = self.url.host_str().unwrap_or_default();
        let mut secret = HashSet::new();
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (header, value) in &self.headers {
            let revealed = host.reveal(live, name, Part::Header, value.as_bytes())?;
            let mut shown = value.clone();
            if let std::borrow::Cow::Owned(revealed) = revealed {
                shown = HeaderValue::from_bytes(&revealed).map_err(|_| {
                    Failure::invalid(format!("the header `{header}` has no valid value with its secret in it"))
                })?;
                shown.set_sensitive(true);
                secret.insert(header.clone());
            }
            headers.append(header.clone(), shown);
        }
        let part = Part::of_body(self.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
        let body = match host.reveal(live, name, part, &self.body)? {
            std::borrow::Cow::Borrowed(_) => self.body.clone(),
            std::borrow::Cow::Owned(revealed) => revealed.into(),
        };
        let mut url = self.url.clone();
        if let Some(query) = self.url.query()
            && let std::borrow::Cow::Owned(revealed) = host.reveal(live, name, Part::Query, query.as_bytes())?
        {
            url.set_query(Some(&String::from_utf8_lossy(&revealed)));
        }
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        let uri = url.as_str().parse();
        *request.uri_mut() = uri.map_err(|error| Failure::invalid(format!("the address cannot be sent: {error}")))?;
        Ok((request, secret))
    }

    /// What follows a response; none where it is the last. As RFC 9110, section 15.4, and browsers have it.
    fn next(&self, response: &http::Response<Incoming>, secret: &HashSet<HeaderName>) -> Result<Option<Self>, Failure> {
        let status = response.status();
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => self.method != Method::HEAD && self.method != Method::GET,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
        let invalid = || Failure::new(Failure::INVALID_REQUEST, format!("the {status} leads to no address of the web"));
        let location = std::str::from_utf8(location.as_bytes()).map_err(|_| invalid())?;
        let mut url = self.url.join(location).map_err(|_| invalid())?;
        check_address(&url)?;
        url.set_fragment(None);
        let mut headers = self.headers.clone();
        let mut body = self.body.clone();
        let mut method = self.method.clone();
        if becomes_get {
            (method, body) = (Method::GET, Bytes::new());
            for about_body in
                [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION]
            {
                headers.remove(about_body);
            }
        }
        if url.origin() != self.url.origin() {
            for name in [header::AUTHORIZATION, header::COOKIE].iter().chain(secret) {
                headers.remove(name);
            }
        }
        Ok(Some(Self { method, url, headers, body }))
    }
}
