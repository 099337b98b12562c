//! Where an execution stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of an execution, by the names that users of the modelled system know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Accepted, not yet begun.
    Scheduled,
    /// An instance of its flow runs.
    Running,
    /// Waits for something outside of it.
    Waiting,
    /// Goes on when somebody resumes it.
    Paused,
    /// Ended well.
    EndedSuccess,
    /// Ended by an error of the flow, a limit or the host.
    EndedError,
    /// Ended by somebody's wish.
    EndedCancelled,
}

impl Status {
    /// Every status, in the order of an execution's life.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::EndedSuccess,
        Self::EndedError,
        Self::EndedCancelled,
    ];

    /// Whether the execution is over. An ended execution never changes its status again.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::EndedSuccess | Self::EndedError | Self::EndedCancelled)
    }

    /// The name in records and answers, `ENDED_SUCCESS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Paused => "PAUSED",
            Self::EndedSuccess => "ENDED_SUCCESS",
            Self::EndedError => "ENDED_ERROR",
            Self::EndedCancelled => "ENDED_CANCELLED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no status.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a status; expected one of SCHEDULED, RUNNING, WAITING, PAUSED, ENDED_SUCCESS, ENDED_ERROR, ENDED_CANCELLED"
)]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_text_and_in_json() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("ENDED".parse::<Status>().is_err());
    }
}
