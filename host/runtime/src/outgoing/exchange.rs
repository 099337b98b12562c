//! One exchange: a request with its redirects, checked at every hop, and the whole response.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowhost_engine::Mask;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use url::{Host as UrlHost, Url};

use super::allow_list::LineFor;
use super::base64_bytes::Base64Bytes;
use super::failure::Failure;
use super::log::{log_ended, shown};
use super::request::{Request, check_address};
use super::resolver::ASKING;
use super::share::{Share, Turn};
use super::{Outgoing, Taker};
use crate::execution::Live;
use crate::host::Host;
use crate::pool::Place;
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

/// What is sent next, or is under way.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    began: Instant,
    waits_for: Option<WaitsFor>,
}

/// A turn among the exchanges of the host.
struct ServerTurn {
    /// Host and port.
    server: String,
    _place: Place<Taker, 2>,
}

/// Whose exchanges an exchange waits for.
#[derive(Clone, Copy)]
enum WaitsFor {
    Execution,
    Host,
}

fn about_to_end() -> Failure {
    Failure::new(Failure::CONNECTION_FAILED, "the host is about to end")
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

    /// Sends a request, follows its redirects, and reads the whole response. Each hop has a line in the execution's log.
    ///
    /// The time that the flow gave it includes the waits for its turn, so that nothing takes longer than its flow wants. The
    /// host's own limit begins with the execution's own turn: a flow that sends a hundred requests together knows that they
    /// follow one another.
    pub(crate) async fn exchange(
        &self,
        host: &Host,
        live: &Live,
        request: &Request,
        share: &Share,
        turn: Turn,
    ) -> Result<Response, Failure> {
        let mut hop = Hop::first(request);
        let patience = request.timeout.unwrap_or(Duration::MAX);
        let exchanged =
            tokio::time::timeout(patience, self.take_turn(host, live, request, share, turn, &mut hop)).await;
        let exchanged = exchanged.unwrap_or_else(|_| Err(hop.late(patience)));
        hop.log(live, exchanged.as_ref().map(|response| response.status));
        exchanged
    }

    async fn take_turn(
        &self,
        host: &Host,
        live: &Live,
        request: &Request,
        share: &Share,
        turn: Turn,
        hop: &mut Hop,
    ) -> Result<Response, Failure> {
        // In this order: whoever waits for the execution's own turn holds no turn of the host's.
        hop.waits_for = Some(WaitsFor::Execution);
        let _own = turn.come().await.ok_or_else(about_to_end)?;
        let (left, _spending) = share.spend();
        let total = self.limits.total.as_millis();
        let spent = || {
            let message = format!("the exchanges of this execution took more than {total} ms (`http_total_ms`)");
            Failure::new(Failure::TIMEOUT, message)
        };
        if left.is_zero() {
            return Err(spent());
        }
        let limit = self.limits.time.min(left);
        let in_time = tokio::time::timeout(limit, self.follow(host, live, request, share, hop));
        match in_time.await {
            Ok(exchanged) => exchanged,
            Err(_) if left < self.limits.time => Err(spent()),
            Err(_) => Err(hop.late(limit)),
        }
    }

    async fn follow(
        &self,
        host: &Host,
        live: &Live,
        request: &Request,
        share: &Share,
        hop: &mut Hop,
    ) -> Result<Response, Failure> {
        let (mut followed, mut turn) = (0, None);
        loop {
            self.permit_hop(host, live, &hop.method, &hop.url)?;
            turn = Some(self.turn_at_server(live, hop, turn).await?);
            let (sent, secret) = hop.revealed(host, live)?;
            let name = hop.url.host_str().unwrap_or_default();
            let response = ASKING.scope(live.start.flow.id, self.connections.send(sent, name)).await?;
            if request.redirects == 0 {
                return self.receive(host, &hop.url, response, share).await;
            }
            let Some(next) = hop.next(host, &response, &secret)? else {
                return self.receive(host, &hop.url, response, share).await;
            };
            followed += 1;
            if followed > request.redirects {
                let message = format!("more than {} redirects", request.redirects);
                return Err(Failure::new(Failure::TOO_MANY_REDIRECTS, message));
            }
            hop.log(live, Ok(response.status().as_u16()));
            // A connection whose response was not read to its end is of no use to the next.
            let _unread = Limited::new(response.into_body(), REDIRECT_BODY).collect().await;
            *hop = next;
        }
    }

    /// Waits for a turn among the exchanges of the host with the server of this hop. One with another server is given back
    /// before: who has been redirected waits for no server with another's turn in hand.
    async fn turn_at_server(
        &self,
        live: &Live,
        hop: &mut Hop,
        held: Option<ServerTurn>,
    ) -> Result<ServerTurn, Failure> {
        let port = hop.url.port_or_known_default().unwrap_or_default();
        let server = format!("{}:{port}", hop.url.host_str().unwrap_or_default());
        match held {
            Some(held) if held.server == server => return Ok(held),
            held => drop(held),
        }
        hop.waits_for = Some(WaitsFor::Host);
        let takers = [Taker::Flow(live.start.flow.id), Taker::Host(server.clone())];
        let place = self.parallel.take(takers).await.ok_or_else(about_to_end)?;
        hop.waits_for = None;
        hop.began = Instant::now();
        Ok(ServerTurn { server, _place: place })
    }

    async fn receive(
        &self,
        host: &Host,
        url: &Url,
        response: http::Response<Incoming>,
        share: &Share,
    ) -> Result<Response, Failure> {
        let limit = usize::try_from(self.limits.body_bytes).unwrap_or(usize::MAX);
        let (parts, body) = response.into_parts();
        let name = url.host_str().unwrap_or_default();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            if error.is::<http_body_util::LengthLimitError>() {
                Failure::new(Failure::TOO_LARGE, format!("the body of the response has more than {limit} bytes"))
            } else {
                Failure::of(&*error, name)
            }
        };
        let (mut limited, mut memory, mut body) = (Limited::new(body, limit), share.memory(), Vec::new());
        while let Some(frame) = limited.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            if !memory.grow(data.len()) {
                // Its flow is not told: it ends in a moment.
                return Err(Failure::new(Failure::CONNECTION_FAILED, "the host has no memory left for the response"));
            }
            body.extend_from_slice(&data);
        }
        let value = |value: &HeaderValue| Base64Bytes(value.as_bytes().to_vec());
        let response = Response {
            status: parts.status.as_u16(),
            // A server may have led the request to an address with a value that the flow never had.
            url: host.secrets().mask(url.to_string()),
            headers: parts.headers.iter().map(|(name, one)| (name.as_str().to_owned(), value(one))).collect(),
            body: Base64Bytes(body),
        };
        share.take_room(&response)?;
        Ok(response)
    }
}

impl Hop {
    fn first(request: &Request) -> Self {
        let Request { method, url, headers, body, .. } = request.clone();
        let mut hop = Self { method, url, headers, body, began: Instant::now(), waits_for: None };
        hop.headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        hop
    }

    /// Says how this hop ended: with a status, or without.
    fn log(&self, live: &Live, ended: Result<u16, &Failure>) {
        log_ended(live, &shown(live, &self.method, &self.url), ended, self.began);
    }

    fn late(&self, limit: Duration) -> Failure {
        let why = match self.waits_for {
            None => "",
            Some(WaitsFor::Execution) => "; it waited for others of its execution (`http_parallel`)",
            Some(WaitsFor::Host) => "; it waited for others of the host (`http_host_parallel`)",
        };
        let message = format!("there was no whole response within {} ms{why}", limit.as_millis());
        Failure::new(Failure::TIMEOUT, message)
    }

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
    fn next(
        &self,
        host: &Host,
        response: &http::Response<Incoming>,
        secret: &HashSet<HeaderName>,
    ) -> Result<Option<Self>, Failure> {
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
            // As one that repeats its query elsewhere: a value goes nowhere but where its flow sends it.
            if host.secrets().mask(url.to_string()) != url.as_str() {
                let to = url.host_str().unwrap_or_default();
                let message =
                    format!("a redirect to {to} has the value of a secret in its address and is not followed");
                return Err(Failure::new(Failure::SECRET_NOT_ALLOWED, message));
            }
            for name in [header::AUTHORIZATION, header::COOKIE].iter().chain(secret) {
                headers.remove(name);
            }
        }
        Ok(Some(Self { method, url, headers, body, began: Instant::now(), waits_for: None }))
    }
}
