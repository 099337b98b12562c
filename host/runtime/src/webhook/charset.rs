//! The text of a body, whatever its charset.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use form_urlencoded::Serializer;

use crate::problem::{Code, Problem};

/// The field of a form that names its charset, as HTML has it.
pub(crate) const FIELD: &str = "_charset_";

/// Returns the charset that a content type names, of those of the WHATWG Encoding Standard.
///
/// # Errors
/// `request.malformed` if it names another.
pub(crate) fn declared(content_type: &str) -> Result<Option<&'static Encoding>, Problem> {
    let Some(label) = parameter(content_type, "charset") else { return Ok(None) };
    match of_label(label) {
        Some(charset) => Ok(Some(charset)),
        None => Err(Problem::new(Code::Malformed, format!("the charset {label:?} of the content type is not known"))),
    }
}

/// Returns the charset with this label.
pub(crate) fn of_label(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
}

/// Returns a parameter of a content type, also where its value is written without the quotes that it needs.
pub(crate) fn parameter<'a>(content_type: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

/// Returns a body as UTF-8 without a byte order mark, which decides over what the content type says. UTF-8 is not checked here.
///
/// # Errors
/// `request.malformed` if it is no text in its charset.
pub(crate) fn in_utf8(body: &Bytes, declared: Option<&'static Encoding>) -> Result<Bytes, Problem> {
    let (charset, mark) = Encoding::for_bom(body).unwrap_or((declared.unwrap_or(UTF_8), 0));
    if charset == UTF_8 {
        return Ok(body.slice(mark..));
    }
    let (text, has_errors) = charset.decode_without_bom_handling(&body[mark..]);
    if has_errors {
        return Err(Problem::new(Code::Malformed, format!("the body is not {}", charset.name())));
    }
    Ok(text.into_owned().into())
}

/// Returns an URL-encoded form of another charset as one in UTF-8.
pub(crate) fn form_in_utf8(form: &[u8], charset: &'static Encoding) -> String {
    let mut encoded = Serializer::new(String::with_capacity(form.len()));
    for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = (&pair[..end], pair.get(end + 1..).unwrap_or_default());
        encoded.append_pair(&of_form(name, charset), &of_form(value, charset));
    }
    encoded.finish()
}

fn of_form(text: &[u8], charset: &'static Encoding) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(&spaced).into();
    charset.decode_without_bom_handling(&decoded).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_senders_write_them() {
        let charset = |content_type| parameter(content_type, "charset");
        assert_eq!(charset("text/plain; charset=utf-8"), Some("utf-8"));
        assert_eq!(charset("text/plain;a=b; Charset=\"ISO-8859-1\" "), Some("ISO-8859-1"));
        assert_eq!(charset("text/plain; charset="), None);
        assert_eq!(charset("text/plain"), None);
        assert_eq!(parameter("multipart/form-data; boundary=--a=b:c", "boundary"), Some("--a=b:c"));
    }

    #[test]
    fn form_is_decoded_after_its_escapes() {
        let charset = of_label("windows-1252").unwrap();
        assert_eq!(form_in_utf8(b"a=%80+1&&\xe9&b=x=y", charset), "a=%E2%82%AC+1&%C3%A9=&b=x%3Dy");
    }
}
