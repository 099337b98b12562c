//! How values cross between flow and host: as JSON texts and as microseconds.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HostError;
use crate::json;

/// A value on its way to the host; `what` names it where it is none that JSON can hold.
pub(crate) fn to_json(what: impl fmt::Display, value: &(impl Serialize + ?Sized)) -> Result<String, HostError> {
    serde_json::to_string(value).map_err(|error| invalid(what, error))
}

/// A value that the host gave; `what` names it where it does not fit its type.
pub(crate) fn from_json<T: DeserializeOwned>(what: impl fmt::Display, json: &str) -> Result<T, HostError> {
    let read = |json: &str| serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
    json::read(json, read).map_err(|error| match error.path().to_string().as_str() {
        "." => invalid(what, error.inner()),
        path => invalid(what, format_args!("`{path}`: {}", error.inner())),
    })
}

fn invalid(what: impl fmt::Display, why: impl fmt::Display) -> HostError {
    HostError::new("json.invalid", format_args!("{what}: {why}"))
}

/// A time in the host's unit, rounded up: what is waited for is never too short.
pub(crate) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let error = from_json::<Vec<u8>>("setting `sizes`", r#"[1, "two"]"#).unwrap_err();
        assert_eq!(error.code(), "json.invalid");
        assert!(error.message().starts_with("setting `sizes`: `[1]`: invalid type: string"), "{error}");
        let error = from_json::<u8>("setting `size`", "null").unwrap_err();
        assert!(error.message().starts_with("setting `size`: invalid type: null"), "{error}");
        assert_eq!(from_json::<Value>("it", "null").unwrap(), Value::Null);
    }

    #[test]
    fn a_time_is_never_too_short() {
        assert_eq!(microseconds(Duration::from_nanos(1001)), 2);
        assert_eq!(microseconds(Duration::from_secs(1)), 1_000_000);
        assert_eq!(microseconds(Duration::MAX), u64::MAX);
    }
}
