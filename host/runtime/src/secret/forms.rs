//! The forms in which a secret's value appears in texts.

use std::collections::BTreeSet;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::SHORTEST_VALUE;

/// What RFC 3986 leaves as it is.
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What `encodeURIComponent` of JavaScript leaves as it is.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// Every form of a value that is looked for: as it is and by its lines, in a JSON string, percent-encoded, and in base64,
/// also in the middle of a longer text that was encoded.
pub(super) fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let mut add = |form: String| {
        if form.len() >= SHORTEST_VALUE {
            forms.insert(form);
        }
    };
    // What is printed line by line is logged line by line.
    for part in value.lines().map(str::trim).chain([value, value.trim()]) {
        if part.len() < SHORTEST_VALUE {
            continue;
        }
        add(part.to_owned());
        let in_json = serde_json::to_string(part).unwrap_or_default();
        let in_json = in_json.get(1..in_json.len().saturating_sub(1)).unwrap_or_default();
        add(in_json.to_owned());
        add(in_json.replace('/', "\\/"));
        add(in_ascii(in_json));
        for set in [UNRESERVED, COMPONENT] {
            let encoded = utf8_percent_encode(part, set).to_string();
            add(lower_hex(&encoded));
            add(encoded);
        }
        let in_form: String = form_urlencoded::byte_serialize(part.as_bytes()).collect();
        add(lower_hex(&in_form));
        add(in_form);
        for skipped in 0..3 {
            // Whole groups of three bytes: what stands before and behind does not show in their digits.
            let bytes = part.as_bytes().get(skipped..).unwrap_or_default();
            let whole = bytes.get(..bytes.len() / 3 * 3).unwrap_or_default();
            add(BASE64_NOPAD.encode(whole));
            add(BASE64URL_NOPAD.encode(whole));
        }
        // On its own it is masked to its last digit.
        add(BASE64_NOPAD.encode(part.as_bytes()));
        add(BASE64URL_NOPAD.encode(part.as_bytes()));
    }
    forms
}

/// A part of a JSON string with every character beyond ASCII escaped.
fn in_ascii(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut escaped, character| {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
        escaped
    })
}

/// A percent-encoded text with its digits in lower case.
fn lower_hex(encoded: &str) -> String {
    let mut digits = 0;
    encoded
        .chars()
        .map(|character| {
            let is_digit = digits > 0;
            digits = if character == '%' { 2_u8 } else { digits.saturating_sub(1) };
            if is_digit { character.to_ascii_lowercase() } else { character }
        })
        .collect()
}
