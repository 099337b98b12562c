//! The first line of an HTTP/1.1 request, as senders write it.

use memchr::{memchr, memchr3};

/// Watches for first lines whose query has characters that the HTTP library refuses there, and encodes them: browsers of old
/// and hand-made senders put quotes and angle brackets into a query as they are.
#[derive(Debug, Default)]
pub(crate) struct RequestLine {
    /// The line has begun and not ended.
    is_open: bool,
    /// Its query has begun.
    is_query: bool,
}

impl RequestLine {
    /// Looks at the bytes that begin a request. Where a client sends requests without waiting, they may also be the rest of a head
    /// whose beginning came with the request before: what does not begin with a method is left as it is.
    pub(crate) fn begin(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        *self = Self { is_open: method.iter().all(u8::is_ascii_uppercase), is_query: false };
        self.go_on(bytes)
    }

    /// Looks at the next bytes, and returns them encoded if they need it.
    pub(crate) fn go_on(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !self.is_open {
            return None;
        }
        let end = memchr(b'\n', bytes);
        self.is_open = end.is_none();
        let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        let query = if self.is_query { 0 } else { memchr(b'?', line)? };
        self.is_query = true;
        memchr3(b'"', b'<', b'>', &line[query..])?;
        let mut encoded = Vec::with_capacity(bytes.len() + 64);
        for (place, byte) in line.iter().enumerate() {
            match byte {
                b'"' if place >= query => encoded.extend_from_slice(b"%22"),
                b'<' if place >= query => encoded.extend_from_slice(b"%3C"),
                b'>' if place >= query => encoded.extend_from_slice(b"%3E"),
                byte => encoded.push(*byte),
            }
        }
        encoded.extend_from_slice(rest);
        Some(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pieces: &[&str]) -> String {
        let mut line = RequestLine::default();
        let mut all = String::new();
        for (place, piece) in pieces.iter().enumerate() {
            let encoded = if place == 0 { line.begin(piece.as_bytes()) } else { line.go_on(piece.as_bytes()) };
            all += &encoded.map_or_else(|| (*piece).to_owned(), |encoded| String::from_utf8(encoded).unwrap());
        }
        all
    }

    #[test]
    fn quotes_and_brackets_of_a_query_are_encoded() {
        let sent = "POST /a\"b?q=\"<x>\" HTTP/1.1\r\nX: \"<?>\"\r\n\r\n{\"?\": \"<>\"}";
        let read = "POST /a\"b?q=%22%3Cx%3E%22 HTTP/1.1\r\nX: \"<?>\"\r\n\r\n{\"?\": \"<>\"}";
        assert_eq!(encoded(&[sent]), read);
        for place in 1..sent.len() {
            assert_eq!(encoded(&[&sent[..place], &sent[place..]]), read, "in two pieces, after {place} bytes");
        }
    }

    #[test]
    fn other_lines_are_left_as_they_are() {
        let rest_of_a_header = "?\"x<y>\"\r\n\r\n";
        for sent in ["GET /?a=b HTTP/1.1\r\nX: \"?\"\r\n", "GET /\"<> HTTP/1.1\r\n?\"\r\n", "", "?", rest_of_a_header] {
            assert!(RequestLine::default().begin(sent.as_bytes()).is_none(), "{sent}");
        }
    }
}
