//! Which of several executions that wait for a slot goes first.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How urgent an execution is among those that wait for a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After all others.
    Low,
    /// Unless something else is asked for.
    #[default]
    Normal,
    /// Before all others.
    High,
}

impl Priority {
    /// Every priority, the least urgent first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The names of all priorities.
    pub const NAMES: &'static [&'static str] = &["low", "normal", "high"];

    /// The name in records and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The text names no priority.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a priority; expected `low`, `normal` or `high`")]
pub struct UnknownPriority(String);

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text).ok_or_else(|| UnknownPriority(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_text_and_in_json() {
        assert_eq!(Priority::ALL.map(Priority::as_str), Priority::NAMES);
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse::<Priority>().unwrap(), priority);
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.as_str());
        }
        assert!("urgent".parse::<Priority>().is_err());
    }
}
