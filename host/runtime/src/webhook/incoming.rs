//! The request behind an execution.

use bytes::Bytes;
use flowhost_model::RequestRecord;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// A request as a flow sees it: exact but for what the host consumed.
#[derive(Clone, Debug)]
pub struct IncomingRequest {
    /// The method.
    pub method: Method,
    /// What followed the webhook's address.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// False where a key in the body was blanked.
    pub body_is_exact: bool,
}

impl IncomingRequest {
    /// How many bytes it takes in memory, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + self.path.len() + self.query.as_ref().map_or(0, String::len) + headers.sum::<usize>()
    }

    pub(crate) fn to_record(&self) -> RequestRecord {
        RequestRecord {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: self.body.clone(),
            body_is_exact: self.body_is_exact,
        }
    }

    /// The request of a record. What a record holds came from a request, so that nothing is lost on the way.
    pub(crate) fn from_record(record: RequestRecord) -> Self {
        let mut headers = HeaderMap::with_capacity(record.headers.len());
        for (name, value) in record.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        Self {
            method: record.method.parse().unwrap_or(Method::POST),
            path: record.path,
            query: record.query,
            headers,
            body: record.body,
            body_is_exact: record.body_is_exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_its_record() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_bytes(b"\xff2").unwrap());
        let request = IncomingRequest {
            method: Method::PATCH,
            path: "/a/b".into(),
            query: Some("a=1&a".into()),
            headers,
            body: Bytes::from_static(b"\0\xff"),
            body_is_exact: false,
        };
        let record = request.to_record();
        assert_eq!(IncomingRequest::from_record(record.clone()).to_record(), record);
    }
}
