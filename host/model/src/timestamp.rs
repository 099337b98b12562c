//! Instants as the records keep them.

use std::fmt;
use std::str::FromStr;

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Serialize};

/// Writes instants as RFC 3339 with microseconds; several times as fast as a format string.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// An instant in microseconds since 1970-01-01T00:00:00Z.
///
/// As text it is ISO 8601 with microseconds and offset, `2026-11-22T09:48:44.000000+00:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The present, by the clock of the machine. A host asks its own clock, which an embedder may set.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// Microseconds since the epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant and `duration` later; the last representable one where that overflows.
    pub fn saturating_add(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time since an earlier instant; nothing where that is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A number outside jiff's years -9999 to 9999 can only come from a damaged row; it is shown as it is.
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => {
                let mut text = String::with_capacity(36);
                PRINTER.print_timestamp(&instant, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(text.strip_suffix('Z').unwrap_or(&text))?;
                f.write_str("+00:00")
            }
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>().map(|instant| Self(instant.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_microseconds_and_an_offset() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(Timestamp(1_000_001).to_string(), "1970-01-01T00:00:01.000001+00:00");
        assert_eq!("1970-01-01T00:00:01.000001+00:00".parse::<Timestamp>().unwrap(), Timestamp(1_000_001));
    }
}
