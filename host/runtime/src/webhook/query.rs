//! The query of a webhook call.

use std::borrow::Cow;

use form_urlencoded::parse;
use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::Serialize;

use crate::problem::{Code, Problem};

/// The most pairs of a query or of a form.
const MAX_PAIRS: usize = 10_000;

/// The value of a name that may be repeated: a text, or an array of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

/// Names with their values, in the order in which the names first came.
pub(crate) type Fields<'a, T = Cow<'a, str>> = IndexMap<Cow<'a, str>, OneOrMore<T>>;

impl<T> OneOrMore<T> {
    fn push(&mut self, value: T) {
        match self {
            Self::More(values) => values.push(value),
            Self::One(_) => {
                if let Self::One(first) = std::mem::replace(self, Self::More(Vec::new())) {
                    *self = Self::More(vec![first, value]);
                }
            }
        }
    }
}

/// Collects pairs; a repeated name gets an array.
pub(crate) fn collect<'a, T>(pairs: impl Iterator<Item = (Cow<'a, str>, T)>) -> Fields<'a, T> {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        match fields.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(OneOrMore::One(value));
            }
            Entry::Occupied(mut known) => known.get_mut().push(value),
        }
    }
    fields
}

/// Refuses a query or a form of very many pairs: each becomes a value of its own, many times as large as its two bytes.
pub(crate) fn check_count(text: &[u8], what: &str) -> Result<(), Problem> {
    if memchr::memchr_iter(b'&', text).count() >= MAX_PAIRS {
        return Err(Problem::new(Code::Malformed, format!("{what} has more than {MAX_PAIRS} fields")));
    }
    Ok(())
}

/// The query as the flow's input shows it.
pub(crate) fn fields(query: &str) -> Fields<'_> {
    collect(parse(query.as_bytes()))
}

/// The values of one name.
pub(crate) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    parse(query.as_bytes()).filter(move |(found, _)| found == name).map(|(_, value)| value)
}

/// The query without the pairs of this name whose value is refused by `keep`. Other pairs stay as they were written.
pub(crate) fn without(query: &str, name: &str, keep: impl Fn(&str) -> bool) -> String {
    let kept = query.split('&').filter(|pair| {
        let parsed = parse(pair.as_bytes()).next();
        parsed.is_none_or(|(found, value)| found != name || keep(&value))
    });
    kept.collect::<Vec<_>>().join("&")
}

/// Whether the query asks for an asynchronous call: `async` or `async=…`, unless the value says no.
pub(crate) fn asks_for_async(query: &str) -> Option<bool> {
    values(query, "async")
        .last()
        .map(|value| !["0", "false", "no", "off"].iter().any(|no| value.eq_ignore_ascii_case(no)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_becomes_an_array_in_its_place() {
        let fields = fields("a=1&b=2&a=3&c=%20&a=5");
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"a":["1","3","5"],"b":"2","c":" "}"#);
    }

    #[test]
    fn query_of_too_many_pairs_is_refused() {
        assert!(check_count("a&".repeat(MAX_PAIRS - 1).as_bytes(), "the query").is_ok());
        let refused = check_count("a&".repeat(MAX_PAIRS).as_bytes(), "the query").unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::Malformed, "the query has more than 10000 fields"));
    }

    #[test]
    fn a_pair_is_taken_out_without_touching_the_others() {
        assert_eq!(without("a=%41&key=secret&b&key=other", "key", |value| value != "secret"), "a=%41&b&key=other");
        assert_eq!(without("k%65y=secret", "key", |_| false), "");
    }

    #[test]
    fn async_is_asked_for_by_its_presence() {
        assert_eq!(asks_for_async("async"), Some(true));
        assert_eq!(asks_for_async("a=1&async=1"), Some(true));
        assert_eq!(asks_for_async("async=0"), Some(false));
        assert_eq!(asks_for_async("async=False"), Some(false));
        assert_eq!(asks_for_async("async=no"), Some(false));
        assert_eq!(asks_for_async("async=OFF"), Some(false));
        assert_eq!(asks_for_async("asynchronous=1"), None);
    }
}
