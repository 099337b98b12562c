//! The payload of a webhook call: JSON or a form, as its content type says, or as it begins.

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use flowhost_model::{Digest, RawValue};
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use super::charset;
use super::key;
use super::query;
use crate::problem::{Code, Problem};

/// Parts that a form may have. A form of a person has a few dozen.
const MAX_PARTS: usize = 1000;

/// The longest boundary of a multipart form, in characters: RFC 2046 allows no longer one. It is looked for at every place of
/// the body, once for each part.
const BOUNDARY_LIMIT: usize = 70;

/// What the payload became.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The parsed payload, or `null`.
    pub(crate) json: Box<RawValue>,
    /// The bytes, with a consumed key blanked.
    pub(crate) body: Bytes,
    /// The key in it that matched.
    pub(crate) key: Option<String>,
    /// There was a key in it that did not match.
    pub(crate) has_wrong_key: bool,
}

impl Payload {
    /// A payload in which no key was found.
    fn without_key(json: Box<RawValue>, body: Bytes) -> Self {
        Self { json, body, key: None, has_wrong_key: false }
    }

    /// The payload with the bytes that were sent, unless the key was blanked in them.
    fn of(self, sent: Bytes) -> Self {
        if self.key.is_some() { self } else { Self { body: sent, ..self } }
    }
}

/// Whether the payload is asked for the key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// The webhook has no key.
    No,
    /// The head of the request had the right key. The payload is not judged by its own; where that is right it is taken out.
    Answered(Digest),
    /// The payload has to have the key with this digest, and one at most.
    For(Digest),
}

impl Asked {
    fn expected(self) -> Option<Digest> {
        match self {
            Self::No => None,
            Self::Answered(expected) | Self::For(expected) => Some(expected),
        }
    }
}

/// Why a payload was not taken.
#[derive(Debug)]
pub(crate) enum PayloadError {
    /// It is not what it says.
    Malformed(Problem),
    /// It has several keys.
    RepeatedKey(Problem),
}

impl From<Problem> for PayloadError {
    fn from(problem: Problem) -> Self {
        Self::Malformed(problem)
    }
}

/// Refuses a payload with several keys where it is asked for one.
fn refuse_repeated(asked: Asked, keys: usize, place: &str) -> Result<(), PayloadError> {
    if matches!(asked, Asked::For(_)) && keys > 1 {
        return Err(PayloadError::RepeatedKey(key::repeated(place)));
    }
    Ok(())
}

/// What the content type says.
enum Declared {
    /// It says JSON, or there is none.
    Json,
    Form,
    /// A multipart form, with its boundary.
    Multipart(Option<String>),
    Other,
}

/// Parses a body and takes the key out of it, where one is expected and it matches.
pub(crate) async fn parse(headers: &HeaderMap, body: Bytes, asked: Asked) -> Result<Payload, PayloadError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let declared = declared(content_type);
    let text = charset::declared(content_type)
        .and_then(|charset| charset::in_utf8(&body, charset).map(|text| (text, charset)));
    let (text, charset) = match (text, &declared) {
        // Bytes that are no text are what their sender says they are.
        (Err(_), Declared::Other) => return Ok(Payload::without_key(RawValue::NULL.to_owned(), body)),
        (text, _) => text?,
    };
    if text.trim_ascii().is_empty() {
        return Ok(Payload::without_key(RawValue::NULL.to_owned(), body));
    }
    let is_json = matches!(declared, Declared::Json);
    if is_json || begins_like_json(&text) {
        match json(&text) {
            Ok(json) => return Ok(take_json_key(json, &text, asked)?.of(body)),
            Err(error) if is_json => {
                return Err(Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}")).into());
            }
            Err(_) => {}
        }
    }
    match declared {
        Declared::Form => Ok(form(&body, text, charset, asked)?.of(body)),
        Declared::Multipart(boundary) => multipart(&checked(boundary)?, body, asked).await,
        Declared::Json | Declared::Other => Ok(Payload::without_key(RawValue::NULL.to_owned(), body)),
    }
}

fn declared(content_type: &str) -> Declared {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "application/json" => Declared::Json,
        "application/x-www-form-urlencoded" => Declared::Form,
        "multipart/form-data" => {
            let boundary = multer::parse_boundary(content_type).ok();
            // Senders leave out the quotes that a boundary with `=` or `:` needs.
            Declared::Multipart(boundary.or_else(|| charset::parameter(content_type, "boundary").map(str::to_owned)))
        }
        essence if essence.ends_with("+json") => Declared::Json,
        _ => Declared::Other,
    }
}

fn checked(boundary: Option<String>) -> Result<String, Problem> {
    let Some(boundary) = boundary else {
        return Err(Problem::new(Code::Malformed, "the multipart form: its content type names no boundary"));
    };
    if !(1..=BOUNDARY_LIMIT).contains(&boundary.len()) {
        let detail = format!("the multipart form: its boundary must have 1 to {BOUNDARY_LIMIT} characters");
        return Err(Problem::new(Code::Malformed, detail));
    }
    Ok(boundary)
}

fn begins_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn json(body: &[u8]) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_slice(body)
}

fn to_json(fields: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(fields).map_err(Problem::host)
}

/// The members of a JSON object in their order, as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

fn members(json: &RawValue) -> Option<Members<'_>> {
    struct Collect;

    impl<'de> Visitor<'de> for Collect {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                members.push((name.0, value));
            }
            Ok(Members(members))
        }
    }

    /// A name, borrowed where it has no escapes.
    #[derive(serde::Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::Deserializer::from_str(json.get()).deserialize_map(Collect).ok()
}

impl Serialize for Members<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Whether this value is a text that matches the key.
fn is_key(expected: Digest, value: &RawValue) -> bool {
    serde_json::from_str::<Cow<'_, str>>(value.get()).is_ok_and(|text| key::matches(expected, text.as_bytes()))
}

/// Whether this value is a text that could be a key.
fn could_be_key(value: &RawValue) -> bool {
    value.get().starts_with('"') && value.get() != "\"\""
}

fn take_json_key(json: &RawValue, body: &Bytes, asked: Asked) -> Result<Payload, PayloadError> {
    let untouched = |has_wrong_key| Payload { has_wrong_key, ..Payload::without_key(json.to_owned(), body.clone()) };
    let Some((expected, Members(members))) = asked.expected().zip(members(json)) else {
        return Ok(untouched(false));
    };
    let named = members.iter().filter(|(name, _)| name == key::FIELD);
    refuse_repeated(asked, named.clone().count(), "the JSON payload")?;
    let has_candidate = named.clone().any(|(_, value)| could_be_key(value));
    let (keys, kept): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(name, value)| name == key::FIELD && is_key(expected, value));
    if keys.is_empty() {
        return Ok(untouched(has_candidate));
    }
    let kept = serde_json::value::to_raw_value(&Members(kept)).map_err(Problem::host)?;
    // All that match are the same text.
    let matched = keys.first().and_then(|(_, value)| serde_json::from_str(value.get()).ok());
    let mut blanked = Vec::with_capacity(body.len());
    let mut copied = 0;
    for (_, value) in keys {
        // The value is a part of the body's own bytes, so that its place is known.
        let start = value.get().as_ptr().addr() - body.as_ptr().addr();
        blanked.extend_from_slice(&body[copied..start]);
        blanked.extend_from_slice(b"\"\"");
        copied = start + value.get().len();
    }
    blanked.extend_from_slice(&body[copied..]);
    Ok(Payload { json: kept, body: blanked.into(), key: matched, has_wrong_key: false })
}

/// Reads an URL-encoded form, whose bytes are `sent`.
fn form(sent: &[u8], body: Bytes, charset: Option<&'static Encoding>, asked: Asked) -> Result<Payload, PayloadError> {
    query::check_count(sent, "the form")?;
    let named = || form_urlencoded::parse(sent).find(|(name, _)| name == charset::FIELD);
    let charset = charset.or_else(|| {
        memchr::memmem::find(sent, charset::FIELD.as_bytes())?;
        charset::of_label(&named()?.1)
    });
    let body = match charset.filter(|charset| *charset != UTF_8 && charset.is_ascii_compatible()) {
        Some(charset) => charset::form_in_utf8(sent, charset).into(),
        None => body,
    };
    let text = std::str::from_utf8(&body)
        .map_err(|error| Problem::new(Code::Malformed, format!("the form is not UTF-8: {error}")))?;
    let mut has_candidate = false;
    if asked.expected().is_some() {
        let named = || query::values(text, key::FIELD);
        refuse_repeated(asked, named().take(2).count(), "the form")?;
        has_candidate = named().any(|value| !value.is_empty());
    }
    let matched = |value: &str| asked.expected().is_some_and(|expected| key::matches(expected, value.as_bytes()));
    let found = query::values(text, key::FIELD).find(|value| matched(value)).map(Cow::into_owned);
    let kept = form_urlencoded::parse(text.as_bytes()).filter(|(name, value)| name != key::FIELD || !matched(value));
    let json = to_json(&query::collect(kept))?;
    let body = if found.is_some() {
        let blanked = text.split('&').map(|pair| {
            let is_key = query::values(pair, key::FIELD).any(|value| matched(&value));
            if is_key { pair.split_inclusive('=').next().unwrap_or_default() } else { pair }
        });
        Bytes::from(blanked.collect::<Vec<_>>().join("&"))
    } else {
        body
    };
    let has_wrong_key = has_candidate && found.is_none();
    Ok(Payload { json, body, key: found, has_wrong_key })
}

/// A part of a multipart form, as the flow's input shows it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    /// The bytes are in the body.
    File {
        filename: String,
        content_type: Option<String>,
        size: usize,
    },
}

async fn multipart(boundary: &str, body: Bytes, asked: Asked) -> Result<Payload, PayloadError> {
    let malformed = |error: multer::Error| Problem::new(Code::Malformed, format!("the multipart form: {error}"));
    let mut form = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body.clone())]), boundary);
    let (mut parts, mut texts, mut form_charset) = (Vec::new(), Vec::new(), None);
    let mut blanked = body;
    let mut found = None;
    let (mut seen, mut keys, mut has_candidate) = (0, 0, false);
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        seen += 1;
        if seen > MAX_PARTS {
            return Err(Problem::new(Code::Malformed, format!("the form has more than {MAX_PARTS} parts")).into());
        }
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await.map_err(malformed)?;
        if filename.as_deref() == Some("") && bytes.is_empty() {
            // What a browser sends for a file that was not chosen.
            continue;
        }
        if let Some(filename) = filename {
            parts.push((Cow::Owned(name), Part::File { filename, content_type, size: bytes.len() }));
            continue;
        }
        let expected = asked.expected().filter(|_| name == key::FIELD);
        if expected.is_some() {
            keys += 1;
            has_candidate |= !bytes.is_empty();
            refuse_repeated(asked, keys, "the form")?;
        }
        if expected.is_some_and(|expected| key::matches(expected, &bytes)) {
            // All parts that match have the same content, so that one pass blanks them all.
            if found.is_none() {
                blanked = without_key(&blanked, boundary, &bytes);
            }
            found = Some(String::from_utf8_lossy(&bytes).into_owned());
        } else {
            let charset = content_type.and_then(|said| charset::of_label(charset::parameter(&said, "charset")?));
            if name == charset::FIELD {
                form_charset = charset::of_label(&String::from_utf8_lossy(&bytes));
            }
            texts.push((parts.len(), bytes, charset));
            parts.push((Cow::Owned(name), Part::Text(String::new())));
        }
    }
    for (place, bytes, charset) in texts {
        let charset = charset.or(form_charset).unwrap_or(UTF_8);
        parts[place].1 = Part::Text(charset.decode(&bytes).0.into_owned());
    }
    let fields: query::Fields<'_, Part> = query::collect(parts.into_iter());
    let has_wrong_key = has_candidate && found.is_none();
    Ok(Payload { json: to_json(&fields)?, body: blanked, key: found, has_wrong_key })
}

/// The body without the content of the parts named `key` whose content is this one.
fn without_key(body: &[u8], boundary: &str, content: &[u8]) -> Bytes {
    let delimiter = format!("--{boundary}");
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(end) = find(rest, delimiter.as_bytes()) {
        let (part, after) = rest.split_at(end);
        keep_part(&mut kept, part, content);
        kept.extend_from_slice(delimiter.as_bytes());
        rest = &after[delimiter.len()..];
    }
    kept.extend_from_slice(rest);
    kept.into()
}

/// Keeps what stands between two delimiters: a part's head, its content and a line break.
fn keep_part(kept: &mut Vec<u8>, part: &[u8], content: &[u8]) {
    const BREAK: &[u8] = b"\r\n";
    let head = find(part, b"\r\n\r\n").map(|end| part.split_at(end + 2 * BREAK.len()));
    match head {
        Some((head, rest)) if is_named_key(head) && rest.strip_suffix(BREAK) == Some(content) => {
            kept.extend_from_slice(head);
            kept.extend_from_slice(BREAK);
        }
        _ => kept.extend_from_slice(part),
    }
}

/// Whether a part's head gives it the key's name, quoted or not.
fn is_named_key(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut parameters = head.split([';', '\r', '\n']).filter_map(|parameter| parameter.split_once('='));
    parameters.any(|(name, value)| name.trim() == "name" && value.trim().trim_matches('"') == key::FIELD)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(content_type: Option<&str>, body: &[u8], asked: Asked) -> Result<Payload, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        let parsed = parse(&headers, Bytes::copy_from_slice(body), asked).await;
        parsed.map_err(|(PayloadError::Malformed(problem) | PayloadError::RepeatedKey(problem))| problem)
    }

    async fn parsed(content_type: Option<&str>, body: &[u8], key: Option<&str>) -> Result<Payload, Problem> {
        asked(content_type, body, key.map_or(Asked::No, |key| Asked::For(key::digest(key.as_bytes())))).await
    }

    async fn json_of(content_type: Option<&str>, body: &[u8]) -> String {
        parsed(content_type, body, None).await.unwrap().json.get().to_owned()
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[tokio::test]
    async fn json_is_tried_where_nothing_says_otherwise_or_it_begins_like_it() {
        assert_eq!(json_of(FORM, br#"{"key": "x"}"#).await, r#"{"key": "x"}"#);
        assert_eq!(json_of(Some("text/plain"), b"[1, 2]").await, "[1, 2]");
        assert_eq!(json_of(None, b"[1, 2]").await, "[1, 2]");
        assert_eq!(json_of(None, b"42").await, "42");
        assert_eq!(json_of(None, b"").await, "null");
        assert_eq!(json_of(Some("application/json"), b" \r\n").await, "null");
    }

    #[tokio::test]
    async fn content_type_that_says_no_json_is_believed() {
        for (content_type, body) in [
            ("text/plain", &b"hello"[..]),
            ("text/plain", b"42"),
            ("text/plain", b"[2026-11-28 06:00:00] disk full"),
            ("text/csv", b"\"a\",1"),
            ("application/x-ndjson", b"{\"a\":1}\n{\"a\":2}\n"),
            ("application/octet-stream", b"{\0\xff"),
            ("application/octet-stream; charset=nonsense", b"{}"),
        ] {
            assert_eq!(json_of(Some(content_type), body).await, "null", "{content_type}");
        }
        assert_eq!(json_of(FORM, b"42").await, r#"{"42":""}"#);
        assert_eq!(json_of(FORM, b"{a=1").await, r#"{"{a":"1"}"#);
    }

    #[tokio::test]
    async fn byte_order_mark_and_charset_are_honoured() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let json = r#"{"city":"Zürich"}"#;
        let marked = ["\u{feff}", json].concat();
        let latin: Vec<u8> = json.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
        for (content_type, body) in [
            (None, marked.as_bytes().to_vec()),
            (Some("application/json; charset=utf-8"), marked.as_bytes().to_vec()),
            (Some("text/plain"), marked.as_bytes().to_vec()),
            (Some("application/json"), utf_16(&marked)),
            (Some("application/json; charset=UTF-16"), utf_16(json)),
            (Some("application/json; charset=\"ISO-8859-1\""), latin),
        ] {
            assert_eq!(json_of(content_type, &body).await, json, "{content_type:?}");
        }
        let unknown = parsed(Some("application/json; charset=ebcdic"), b"{}", None).await.unwrap_err();
        assert_eq!(unknown.code, Code::Malformed);
        let sent = utf_16(r#"{"a":1,"key":"secret"}"#);
        let payload = parsed(Some("application/json; charset=utf-16le"), &sent, Some("secret")).await.unwrap();
        assert_eq!(payload.json.get(), r#"{"a":1}"#);
        assert!(!payload.body.windows(2).any(|window| window == b"s\0"), "the key is not in the bytes");
        let untouched = parsed(Some("application/json; charset=utf-16le"), &sent, None).await.unwrap();
        assert_eq!(untouched.body, sent, "the bytes are the sender's");
    }

    #[tokio::test]
    async fn charset_of_a_form_is_honoured() {
        let euro = r#"{"price":"5 €"}"#;
        let declared = Some("application/x-www-form-urlencoded; charset=windows-1252");
        assert_eq!(json_of(declared, b"price=5+%80").await, euro);
        assert_eq!(json_of(declared, b"price=5+\x80").await, euro);
        let named = json_of(FORM, b"_charset_=windows-1252&price=5+%80").await;
        assert_eq!(named, r#"{"_charset_":"windows-1252","price":"5 €"}"#);
        let body = b"--x\r\nContent-Disposition: form-data; name=price\r\n\r\n5 \x80\r\n\
            --x\r\nContent-Disposition: form-data; name=_charset_\r\n\r\nwindows-1252\r\n\
            --x\r\nContent-Disposition: form-data; name=utf\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9\r\n--x--";
        let multipart = json_of(Some("multipart/form-data; boundary=x"), body).await;
        assert_eq!(multipart, r#"{"price":"5 €","_charset_":"windows-1252","utf":"é"}"#);
        let keyed = parsed(declared, b"price=5+%80&key=secret", Some("secret")).await.unwrap();
        assert_eq!(keyed.json.get(), euro);
        assert!(!keyed.body.windows(6).any(|window| window == b"secret"));
    }

    #[tokio::test]
    async fn multipart_form_is_never_null() {
        let body = b"--a=b:c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--a=b:c--\r\n";
        assert_eq!(json_of(Some("multipart/form-data; boundary=a=b:c"), body).await, r#"{"a":"1"}"#);
        let without = parsed(Some("multipart/form-data"), body, None).await.unwrap_err();
        assert_eq!(without.code, Code::Malformed);
    }

    #[tokio::test]
    async fn file_that_was_not_chosen_is_no_file() {
        let body = b"--x\r\nContent-Disposition: form-data; name=photo; filename=\"\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\r\n\
            --x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n";
        assert_eq!(json_of(Some("multipart/form-data; boundary=x"), body).await, r#"{"a":"1"}"#);
    }

    #[tokio::test]
    async fn json_is_carried_as_it_was_written() {
        let written = r#"{"z": 1.10, "a":12345678901234567890123, "a": 0.1e1 }"#;
        assert_eq!(json_of(None, written.as_bytes()).await, written);
    }

    #[tokio::test]
    async fn a_form_becomes_an_object() {
        assert_eq!(json_of(FORM, b"name=Ada+L&tag=1&tag=%C3%A9").await, r#"{"name":"Ada L","tag":["1","é"]}"#);
    }

    #[tokio::test]
    async fn what_should_be_json_and_is_not_is_refused() {
        for (content_type, body) in [
            (Some("application/json"), &b"name=x"[..]),
            (Some("application/vnd.acme+json; charset=utf-8"), b"nope"),
            (None, b"[1,"),
            (Some("application/json"), b"\"\xff\""),
        ] {
            assert_eq!(parsed(content_type, body, None).await.unwrap_err().code, Code::MalformedJson);
        }
    }

    #[tokio::test]
    async fn a_key_in_json_is_taken_out_and_blanked() {
        let payload = parsed(None, br#"{ "a" : 1, "key": "s\u0065cret", "b":[ 2] }"#, Some("secret")).await.unwrap();
        assert!(payload.key.is_some());
        assert_eq!(payload.json.get(), r#"{"a":1,"b":[ 2]}"#);
        assert_eq!(&payload.body[..], br#"{ "a" : 1, "key": "", "b":[ 2] }"#);
    }

    #[tokio::test]
    async fn a_field_named_key_stays_where_no_key_is_expected_or_it_is_another() {
        for key in [None, Some("other")] {
            let payload = parsed(None, br#"{"key":"secret"}"#, key).await.unwrap();
            assert!(payload.key.is_none());
            assert_eq!(payload.json.get(), r#"{"key":"secret"}"#);
            assert_eq!(&payload.body[..], br#"{"key":"secret"}"#);
        }
    }

    #[tokio::test]
    async fn a_key_in_a_form_is_taken_out_and_blanked() {
        let payload = parsed(FORM, b"a=1&key=my+secret&b=2", Some("my secret")).await.unwrap();
        assert!(payload.key.is_some());
        assert_eq!(payload.json.get(), r#"{"a":"1","b":"2"}"#);
        assert_eq!(&payload.body[..], b"a=1&key=&b=2");
    }

    #[tokio::test]
    async fn form_of_too_many_fields_is_refused() {
        assert_eq!(parsed(FORM, &b"a&".repeat(100_000), None).await.unwrap_err().code, Code::Malformed);
        assert!(json_of(FORM, &b"a&".repeat(9_000)).await.starts_with(r#"{"a":["",""#));
    }

    #[tokio::test]
    async fn multipart_boundary_has_at_most_70_characters() {
        for (length, is_taken) in [(1, true), (70, true), (71, false), (30_000, false)] {
            let boundary = "b".repeat(length);
            let content_type = format!("multipart/form-data; boundary={boundary}");
            let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--{boundary}--\r\n");
            let form = parsed(Some(&content_type), body.as_bytes(), None).await;
            match form {
                Ok(form) => assert!(is_taken && form.json.get() == r#"{"a":"1"}"#, "{length}"),
                Err(problem) => assert!(!is_taken && problem.code == Code::Malformed, "{length}: {problem:?}"),
            }
        }
    }

    /// The bodies that have two keys, each with its content type.
    const REPEATED: [(Option<&str>, &[u8]); 4] = [
        (None, br#"{"key":"a","key":"secret"}"#),
        (None, br#"{"key":1,"k\u0065y":"secret"}"#),
        (FORM, b"key=a&x=1&k%65y=secret"),
        (
            Some("multipart/form-data; boundary=x"),
            b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\na\r\n\
            --x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nsecret\r\n--x--\r\n",
        ),
    ];

    #[tokio::test]
    async fn payload_with_several_keys_is_refused_where_it_is_asked() {
        for (content_type, body) in REPEATED {
            let refused = parsed(content_type, body, Some("secret")).await.unwrap_err();
            assert_eq!(refused.code, Code::Malformed, "{}", refused.detail);
            assert!(parsed(content_type, body, None).await.is_ok(), "a webhook without a key");
            let answered = asked(content_type, body, Asked::Answered(key::digest(b"secret"))).await.unwrap();
            assert!(answered.key.is_some());
            assert!(!answered.body.windows(6).any(|window| window == b"secret"), "it is taken out all the same");
        }
    }

    #[tokio::test]
    async fn wrong_key_is_told_from_a_missing_one() {
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nguess\r\n--x--\r\n";
        let multipart = (Some("multipart/form-data; boundary=x"), multipart.as_bytes());
        for (content_type, body) in [(None, &br#"{"key":"guess"}"#[..]), (FORM, b"key=guess"), multipart] {
            assert!(parsed(content_type, body, Some("secret")).await.unwrap().has_wrong_key);
            assert!(!parsed(content_type, body, None).await.unwrap().has_wrong_key);
        }
        for (content_type, body) in [(None, &br#"{"key":""}"#[..]), (None, b"{\"key\":[1]}"), (FORM, b"key=&a=1")] {
            assert!(!parsed(content_type, body, Some("secret")).await.unwrap().has_wrong_key);
        }
    }

    fn without(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        let at = find(body, old).unwrap();
        [&body[..at], new, &body[at + old.len()..]].concat()
    }

    #[tokio::test]
    async fn a_multipart_form_shows_texts_and_describes_files() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nsecret\r\n\
            --x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n\
            --x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\
            --x--\r\n";
        let payload = parsed(Some("multipart/form-data; boundary=x"), body, Some("secret")).await.unwrap();
        assert!(payload.key.is_some());
        assert_eq!(
            payload.json.get(),
            r#"{"note":"hi","photo":{"filename":"a.png","content_type":"image/png","size":4}}"#
        );
        assert!(!payload.body.windows(6).any(|window| window == b"secret"));
        let short =
            parsed(Some("multipart/form-data; boundary=x"), &without(body, b"secret", b"P"), Some("P")).await.unwrap();
        assert!(short.key.is_some());
        assert_eq!(short.body.len(), payload.body.len(), "the file's own bytes stay");
        let broken = parsed(Some("multipart/form-data; boundary=x"), b"--x\r\nnonsense", None).await;
        assert_eq!(broken.unwrap_err().code, Code::Malformed);
    }
}
