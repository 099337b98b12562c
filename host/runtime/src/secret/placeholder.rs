//! Placeholders: what a flow puts into an outgoing request in the place of a secret's value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::utf8_percent_encode;
use sha2::Sha256;

use super::forms::UNRESERVED;
use super::vault::{Known, Refusal};
use crate::execution::Live;
use crate::host::Host;

/// What a placeholder begins with.
const PREFIX: &str = "flowhost-secret-";

/// How many hexadecimal digits follow: 128 bits, which nobody guesses.
const DIGITS: usize = 32;

/// The scheme of `Authorization` whose credentials are in base64.
const BASIC: &[u8] = b"basic ";

/// Which part of a request a text is: a value is written as that part has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The value of a header. In `Basic` credentials it is looked for behind their base64.
    Header,
    /// The query of the address.
    Query,
    /// A body of JSON.
    Json,
    /// A body of a form, `application/x-www-form-urlencoded`.
    Form,
    /// Any other body.
    Body,
}

impl Part {
    /// The part that a body of this content type is.
    pub(crate) fn of_body(content_type: Option<&[u8]>) -> Self {
        let kind = content_type.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii().to_ascii_lowercase();
        if kind == b"application/json" || kind.ends_with(b"+json") {
            Self::Json
        } else if kind == b"application/x-www-form-urlencoded" {
            Self::Form
        } else {
            Self::Body
        }
    }

    fn write(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Header | Self::Body => Cow::Borrowed(value),
            Self::Query => utf8_percent_encode(value, UNRESERVED).into(),
            Self::Form => Cow::Owned(form_urlencoded::byte_serialize(value.as_bytes()).collect()),
            Self::Json => {
                let quoted = serde_json::to_string(value).unwrap_or_default();
                Cow::Owned(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned())
            }
        }
    }
}

/// The placeholder of a secret in the execution with this seed: the same whenever it is run again, another in every other
/// execution.
pub(crate) fn placeholder(seed: &[u8; 32], name: &str) -> String {
    // Any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(seed) else { return PREFIX.to_owned() };
    mac.update(b"placeholder of a secret\0");
    mac.update(name.as_bytes());
    let digits = HEXLOWER.encode(&mac.finalize().into_bytes());
    format!("{PREFIX}{}", digits.get(..DIGITS).unwrap_or_default())
}

impl Host {
    /// A part of a request to `host`, a name or an address without its port, with the values in the place of the
    /// placeholders of this execution. To be called for each hop right before it is sent; what it gives is for the wire
    /// only.
    ///
    /// A placeholder of another execution stays what it is. Refusal: a secret may not be sent to this host, or it is gone or
    /// not available.
    pub(crate) fn reveal<'a>(
        &self,
        live: &Live,
        host: &str,
        part: Part,
        text: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Refusal> {
        let is_basic = |text: &[u8]| text.get(..BASIC.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(BASIC));
        if part == Part::Header && is_basic(text) {
            let (scheme, credentials) = text.split_at(BASIC.len());
            let decoded = BASE64.decode(credentials.trim_ascii()).unwrap_or_default();
            return match self.reveal_plain(live, host, part, &decoded)? {
                Cow::Borrowed(_) => Ok(Cow::Borrowed(text)),
                Cow::Owned(revealed) => Ok(Cow::Owned([scheme, BASE64.encode(&revealed).as_bytes()].concat())),
            };
        }
        self.reveal_plain(live, host, part, text)
    }

    fn reveal_plain<'a>(&self, live: &Live, host: &str, part: Part, text: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
        let Some(first) = find(text) else { return Ok(Cow::Borrowed(text)) };
        let known: HashMap<String, Arc<Known>> =
            self.secrets().usable().into_iter().map(|known| (placeholder(&live.seed, &known.name), known)).collect();
        let by = self.acting(live);
        let mut revealed = Vec::with_capacity(text.len());
        let (mut rest, mut next) = (text, Some(first));
        let mut is_changed = false;
        while let Some(start) = next {
            let end = start + PREFIX.len() + DIGITS;
            let named = rest.get(start..end).and_then(|text| std::str::from_utf8(text).ok());
            match named.and_then(|text| known.get(text)) {
                Some(secret) => {
                    let value = secret.value_for(&by, host)?;
                    revealed.extend_from_slice(rest.get(..start).unwrap_or_default());
                    revealed.extend_from_slice(part.write(value).as_bytes());
                    rest = rest.get(end..).unwrap_or_default();
                    is_changed = true;
                }
                None => {
                    let (other, behind) = rest.split_at(start + PREFIX.len());
                    revealed.extend_from_slice(other);
                    rest = behind;
                }
            }
            next = find(rest);
        }
        if !is_changed {
            return Ok(Cow::Borrowed(text));
        }
        revealed.extend_from_slice(rest);
        Ok(Cow::Owned(revealed))
    }
}

/// Where the next placeholder may begin.
fn find(text: &[u8]) -> Option<usize> {
    match std::str::from_utf8(text) {
        Ok(text) => text.find(PREFIX),
        Err(_) => text.windows(PREFIX.len()).position(|window| window == PREFIX.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_its_executions_own() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(placeholder(&one, "stripe"), placeholder(&one, "stripe"));
        assert_ne!(placeholder(&one, "stripe"), placeholder(&other, "stripe"));
        assert_ne!(placeholder(&one, "stripe"), placeholder(&one, "github"));
        assert_eq!(placeholder(&one, "stripe").len(), PREFIX.len() + DIGITS);
    }

    #[test]
    fn a_value_is_written_as_its_part_has_it() {
        let value = "a\"b c&d\n";
        assert_eq!(Part::Header.write(value), value);
        assert_eq!(Part::Query.write(value), "a%22b%20c%26d%0A");
        assert_eq!(Part::Form.write(value), "a%22b+c%26d%0A");
        assert_eq!(Part::Json.write(value), "a\\\"b c&d\\n");
        assert_eq!(Part::of_body(Some(b"application/JSON; charset=utf-8")), Part::Json);
        assert_eq!(Part::of_body(Some(b"application/problem+json")), Part::Json);
        assert_eq!(Part::of_body(Some(b"application/x-www-form-urlencoded")), Part::Form);
        assert_eq!(Part::of_body(Some(b"text/plain")), Part::Body);
        assert_eq!(Part::of_body(None), Part::Body);
    }
}
