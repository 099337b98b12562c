//! JSON that is valid and that Rust's types cannot hold.
//!
//! RFC 8259 allows half of a surrogate pair in a text (`"cut \ud83d"`) and numbers of any size (`1e400`). Senders who cut texts
//! or count without a limit send them, often in members that a flow does not read.

use std::borrow::Cow;

/// Reads JSON with `parse`. Where it cannot be read as it is, half of a surrogate pair counts as the replacement character
/// U+FFFD, and a number beyond 64 bits as a text of its digits: it fits no number, and none of it is lost.
///
/// Error: that of the last try.
pub(crate) fn read<T, E>(json: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, E> {
    parse(json).or_else(|error| match representable(json) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(json) => parse(&json),
    })
}

/// Returns the same JSON with what Rust's types cannot hold replaced.
fn representable(json: &str) -> Cow<'_, str> {
    let mut made = String::new();
    // Up to here `json` is in `made`.
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = json.as_bytes().get(at) {
        let (end, instead) = match byte {
            b'"' => {
                at = texts_end(json, at, |place| {
                    made.push_str(&json[copied..place]);
                    made.push_str("\\ufffd");
                    copied = place + ESCAPE;
                });
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let digits = json[at..].find(|letter: char| !is_of_number(letter)).unwrap_or(json.len() - at);
                let number = &json[at..at + digits];
                let is_too_large = number.parse::<f64>().is_ok_and(f64::is_infinite);
                (at + digits, is_too_large.then_some(number))
            }
            _ => (at + 1, None),
        };
        if let Some(number) = instead {
            made.push_str(&json[copied..at]);
            made.extend(["\"", number, "\""]);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    made.push_str(&json[copied..]);
    Cow::Owned(made)
}

fn is_of_number(letter: char) -> bool {
    matches!(letter, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')
}

/// The length of `\u1234`.
const ESCAPE: usize = 6;

/// Returns where the text that begins at `begin` ends, and tells `found` of each half of a surrogate pair in it.
fn texts_end(json: &str, begin: usize, mut found: impl FnMut(usize)) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => match escaped(json, at) {
                Some(0xD800..=0xDBFF) if matches!(escaped(json, at + ESCAPE), Some(0xDC00..=0xDFFF)) => {
                    at += 2 * ESCAPE
                }
                Some(0xD800..=0xDFFF) => {
                    found(at);
                    at += ESCAPE;
                }
                Some(_) => at += ESCAPE,
                None => at += 2,
            },
            _ => at += 1,
        }
    }
    json.len()
}

/// Returns the number of an escape of the form `\u1234` at this place, if there is one.
fn escaped(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Value {
        read(text, |json| serde_json::from_str(json)).unwrap()
    }

    #[test]
    fn half_a_surrogate_is_a_replacement_character() {
        assert_eq!(value(r#"{"a":"cut \ud83d"}"#), json!({ "a": "cut \u{fffd}" }));
        assert_eq!(value(r#""\udc00\ud83d\ud83d\ude00\ud83dx""#), json!("\u{fffd}\u{fffd}\u{1f600}\u{fffd}x"));
        assert_eq!(
            value(r#"["\\ud83d", "\ud83d", {"\ud83d": "\""}]"#),
            json!(["\\ud83d", "\u{fffd}", { "\u{fffd}": "\"" }])
        );
    }

    #[test]
    fn number_beyond_64_bits_is_a_text() {
        assert_eq!(
            value(r#"{"a":1e400,"b":[-1E+999,1.5],"c":"1e400"}"#),
            json!({ "a": "1e400", "b": ["-1E+999", 1.5], "c": "1e400" })
        );
        assert_eq!(value("1e400"), json!("1e400"));
        let error = read("[1e400]", |json| serde_json::from_str::<Vec<f64>>(json)).unwrap_err();
        assert!(error.to_string().starts_with("invalid type: string \"1e400\", expected f64"), "{error}");
    }

    #[test]
    fn what_rust_can_hold_stays_as_it_is() {
        for text in
            [r#"{"a":"\ud83d\ude00","b":1e308,"c":-0.0,"d":18446744073709551616}"#, "[1", r#""\u12"#, "\"\\", "nul"]
        {
            assert!(matches!(representable(text), Cow::Borrowed(_)), "{text}");
        }
        let error = read("[1,", |json| serde_json::from_str::<Value>(json)).unwrap_err();
        assert!(error.is_eof());
    }
}
