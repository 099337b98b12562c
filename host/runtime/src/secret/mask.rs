//! Masking: known values are taken out of texts.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use flowhost_model::{Execution, Failure, RawValue};

use super::forms::forms;

/// What stands in the place of a value.
const MASK: &str = "***";

/// Finds all forms of all known values in one pass over a text.
#[derive(Debug, Default)]
pub(super) enum Finder {
    /// There are no values, and looking for them costs nothing.
    #[default]
    Nothing,
    /// These.
    Values(AhoCorasick),
    /// There are more than can be looked for, so that nothing of a text can be shown.
    Everything,
}

impl Finder {
    /// Finds these values.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let forms: BTreeSet<_> = values.flat_map(forms).collect();
        if forms.is_empty() {
            return Self::Nothing;
        }
        let built = AhoCorasick::builder()
            // Overlapping finds, since values may stand in each other.
            .match_kind(MatchKind::Standard)
            // The other kinds take far more memory for values of many kilobytes.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(forms.iter().map(|form| form.as_bytes()));
        built.map_or_else(
            |error| {
                tracing::error!(%error, "there are more secrets than can be masked; texts of flows are masked whole");
                Self::Everything
            },
            Self::Values,
        )
    }

    /// Takes the values out of all that a flow says in its execution.
    pub(super) fn mask_execution(&self, execution: &mut Execution) {
        if matches!(self, Self::Nothing) {
            return;
        }
        let Execution { status_message, output_value, failure, .. } = execution;
        let (mut texts, mut jsons) = (vec![status_message.as_mut()], vec![Some(output_value)]);
        if let Some(Failure { message, flow_code, trace, details, .. }) = failure {
            texts.extend([Some(message), flow_code.as_mut(), trace.as_mut()]);
            jsons.push(details.as_mut());
        }
        for text in texts.into_iter().flatten() {
            if let Cow::Owned(masked) = self.mask(text) {
                *text = masked;
            }
        }
        for json in jsons.into_iter().flatten() {
            if let Some(masked) = self.mask_json(json.get()) {
                *json = masked;
            }
        }
    }

    fn finds(&self, text: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Values(finder) => finder.is_match(text),
            Self::Everything => !text.is_empty() && text != MASK,
        }
    }

    /// The text without the values.
    pub(super) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let finder = match self {
            Self::Nothing => return Cow::Borrowed(text),
            Self::Values(finder) => finder,
            Self::Everything => return Cow::Owned(MASK.to_owned()),
        };
        let mut found: Vec<(usize, usize)> =
            finder.find_overlapping_iter(text).map(|found| (found.start(), found.end())).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable();
        let mut masked = String::with_capacity(text.len());
        let (mut copied, mut covered) = (0, 0);
        for (start, end) in found {
            if start >= covered {
                masked.push_str(text.get(copied..start).unwrap_or_default());
                masked.push_str(MASK);
            }
            covered = covered.max(end);
            copied = covered;
        }
        masked.push_str(text.get(copied..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// The JSON without the values; JSON again. None where there is nothing to mask.
    ///
    /// Strings are looked at as what they say, however they are escaped. A number that is a value becomes a string.
    pub(super) fn mask_json(&self, json: &str) -> Option<Box<RawValue>> {
        match self {
            Self::Nothing => return None,
            Self::Values(_) if !self.finds(json) && !json.contains('\\') => return None,
            Self::Values(_) => {}
            Self::Everything => return RawValue::from_string(whole(json)).ok(),
        }
        let mut masked = String::with_capacity(json.len());
        let mut rest = json;
        let mut is_changed = false;
        let begins_token = |character: char| matches!(character, '"' | '-' | '0'..='9');
        while let Some(start) = rest.find(begins_token) {
            let (before, token) = rest.split_at(start);
            masked.push_str(before);
            let end = token_end(token);
            let (token, behind) = token.split_at(end);
            rest = behind;
            let replaced = if token.starts_with('"') { self.string(token) } else { self.token(token) };
            is_changed |= replaced.is_some();
            masked.push_str(replaced.as_deref().unwrap_or(token));
        }
        masked.push_str(rest);
        // A value that is itself JSON spans several tokens: better all of it goes than any of it stays.
        if self.finds(&masked) {
            masked = whole(json);
            is_changed = true;
        }
        is_changed.then(|| RawValue::from_string(masked).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    fn string(&self, token: &str) -> Option<String> {
        match serde_json::from_str::<String>(token) {
            Ok(text) => match self.mask(&text) {
                Cow::Borrowed(_) => self.token(token),
                Cow::Owned(masked) => serde_json::to_string(&masked).ok(),
            },
            // Half a surrogate pair, which is no text.
            Err(_) => self.token(token),
        }
    }

    fn token(&self, token: &str) -> Option<String> {
        self.finds(token).then(|| format!(r#""{MASK}""#))
    }
}

/// What stands in the place of a whole JSON text. An object stays one, since outputs are.
fn whole(json: &str) -> String {
    if json.starts_with('{') { format!(r#"{{"{MASK}":"{MASK}"}}"#) } else { format!(r#""{MASK}""#) }
}

/// Where the string or the number ends with which the text begins.
fn token_end(text: &str) -> usize {
    if !text.starts_with('"') {
        let is_part = |character: char| character.is_ascii_digit() || matches!(character, '-' | '+' | '.' | 'e' | 'E');
        return text.find(|character| !is_part(character)).unwrap_or(text.len());
    }
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL};

    use super::*;

    const VALUE: &str = "pa\"ss/wörd+?~ \\end";

    fn finder(values: &[&str]) -> Finder {
        Finder::new(values.iter().copied())
    }

    fn json(finder: &Finder, json: &str) -> String {
        let masked = finder.mask_json(json).map_or_else(|| json.to_owned(), |masked| masked.get().to_owned());
        RawValue::from_string(masked.clone()).unwrap();
        masked
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let finder = finder(&[VALUE]);
        let quoted = serde_json::to_string(VALUE).unwrap();
        let texts = [
            VALUE.to_owned(),
            quoted.clone(),
            quoted.replace('ö', "\\u00f6"),
            quoted.replace('/', "\\/"),
            BASE64.encode(VALUE.as_bytes()),
            BASE64URL.encode(VALUE.as_bytes()),
            utf8_percent(VALUE),
            utf8_percent(VALUE).to_lowercase(),
            form_urlencoded::byte_serialize(VALUE.as_bytes()).collect(),
        ];
        for text in texts {
            let masked = finder.mask(&format!("<{text}>")).into_owned();
            assert!(masked.contains("***") && masked.len() <= 8, "{text}: {masked}");
        }
        assert_eq!(finder.mask("nothing of it"), "nothing of it");
    }

    fn utf8_percent(text: &str) -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%7E", "~")
    }

    #[test]
    fn a_value_is_found_within_what_was_encoded_with_it() {
        let finder = finder(&["tomato-soup"]);
        for before in ["", "a", "ab", "abc"] {
            let encoded = BASE64.encode(format!("{before}tomato-soup behind").as_bytes());
            let masked = finder.mask(&encoded).into_owned();
            assert!(masked.contains("***"), "{encoded}");
            let left = masked.split("***").map(|part| part.trim_end_matches('=')).collect::<Vec<_>>();
            assert!(left.iter().all(|part| part.len() < 14), "{masked}");
        }
    }

    #[test]
    fn values_that_stand_in_each_other_are_masked_together() {
        let finder = finder(&["abcdefgh", "efghijkl", "abcdefghijklmnop"]);
        assert_eq!(finder.mask("-abcdefghijkl-"), "-***-");
        assert_eq!(finder.mask("-abcdefghijklmnop-"), "-***-");
        assert_eq!(finder.mask("abcdefghefghijkl"), "******");
    }

    #[test]
    fn a_value_of_several_lines_is_masked_line_by_line() {
        let finder = finder(&["-----BEGIN KEY-----\nMIIEvQIBADAN\r\nshort\n-----END KEY-----\n"]);
        for line in ["-----BEGIN KEY-----", "MIIEvQIBADAN", "-----END KEY-----"] {
            assert_eq!(finder.mask(line), "***");
        }
        assert_eq!(finder.mask("short"), "short");
    }

    #[test]
    fn json_stays_json() {
        let finder = finder(&[VALUE, "12345678", r#"{"a":"b","c":1}"#]);
        let quoted = serde_json::to_string(VALUE).unwrap();
        assert_eq!(json(&finder, &format!(r#"{{"x": [{quoted}, 1.50]}}"#)), r#"{"x": ["***", 1.50]}"#);
        assert_eq!(json(&finder, &format!(r#"{{{quoted}:true}}"#)), r#"{"***":true}"#);
        assert_eq!(json(&finder, r#"{"n":-123456780.5,"m":12}"#), r#"{"n":"***","m":12}"#);
        assert_eq!(json(&finder, r#""\u0031\u0032345678 \ud83d\ude00""#), r#""*** 😀""#);
        assert_eq!(json(&finder, r#"{"k":"a\nb","n":1e999}"#), r#"{"k":"a\nb","n":1e999}"#);
        assert_eq!(json(&finder, r#"[{"a":"b","c":1}]"#), r#""***""#);
        assert_eq!(json(&finder, r#"{"deep":{"a":"b","c":1}}"#), r#"{"***":"***"}"#);
        assert_eq!(json(&finder, r#"{"in":"{\"a\":\"b\",\"c\":1}"}"#), r#"{"in":"***"}"#);
    }

    #[test]
    fn too_many_values_show_nothing() {
        assert_eq!(Finder::Everything.mask("text"), "***");
        assert_eq!(json(&Finder::Everything, r#"{"a":1}"#), r#"{"***":"***"}"#);
    }

    #[test]
    fn without_values_nothing_is_looked_at() {
        let finder = finder(&[]);
        assert!(matches!(finder, Finder::Nothing));
        assert!(matches!(finder.mask("text"), Cow::Borrowed(_)));
        assert!(finder.mask_json(r#"{"a":1}"#).is_none());
    }
}
