//! Refusals as `wasi:http` names them. The execution's log has the reason, with the line to add to a list.

use super::bindings::wasi::http::types::{DnsErrorPayload, ErrorCode};
use crate::outgoing::{Cause, Failure};

impl From<Failure> for ErrorCode {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, cause } = failure;
        match cause {
            Some(Cause::ConnectionRefused) => return Self::ConnectionRefused,
            Some(Cause::RequestTooLarge) => return Self::HttpRequestBodySize(None),
            Some(Cause::AddressTooLong) => return Self::HttpRequestUriTooLong,
            Some(Cause::ResponseHeadersTooLarge) => return Self::HttpResponseHeaderSectionSize(None),
            None => {}
        }
        match code.as_str() {
            Failure::NOT_ALLOWED => Self::HttpRequestDenied,
            Failure::ADDRESS_NOT_ALLOWED => Self::DestinationIpProhibited,
            Failure::NAME_NOT_FOUND => {
                Self::DnsError(DnsErrorPayload { rcode: Some("NXDOMAIN".to_owned()), info_code: None })
            }
            Failure::CONNECTION_FAILED => Self::ConnectionTerminated,
            Failure::TLS_FAILED => Self::TlsProtocolError,
            Failure::TIMEOUT => Self::HttpResponseTimeout,
            Failure::TOO_LARGE => Self::HttpResponseBodySize(None),
            // `http.outcome-unknown` among them.
            _ => Self::InternalError(Some(format!("{code}: {message}"))),
        }
    }
}
