//! Sets of statuses: what a filter says about the status, worked out for each of the seven.

use flowhost_model::{Comparison, Filter, Status};
use serde_json::Value;

use super::executions::status_number;

/// A set of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusSet([bool; Status::ALL.len()]);

impl StatusSet {
    /// All of them.
    pub(super) const ALL: Self = Self([true; Status::ALL.len()]);

    /// Those that meet a term about the status.
    pub(super) fn of_term(op: Comparison, value: &Value) -> Self {
        let number = |value: &Value| value.as_str()?.parse().ok().map(status_number);
        Self(Status::ALL.map(|status| {
            let own = status_number(status);
            match op {
                Comparison::Eq => number(value) == Some(own),
                Comparison::Ne => number(value) != Some(own),
                Comparison::Lt => number(value).is_some_and(|other| own < other),
                Comparison::Le => number(value).is_some_and(|other| own <= other),
                Comparison::Gt => number(value).is_some_and(|other| own > other),
                Comparison::Ge => number(value).is_some_and(|other| own >= other),
                Comparison::Like => value.as_str().is_some_and(|pattern| is_like(status.as_str(), pattern)),
                Comparison::In => {
                    value.as_array().is_some_and(|list| list.iter().any(|value| number(value) == Some(own)))
                }
                Comparison::IsNull => *value == Value::Bool(false),
            }
        }))
    }

    /// Those that meet a filter, where it is about nothing but the status.
    pub(super) fn of_filter(filter: &Filter) -> Option<Self> {
        match filter {
            Filter::And(filters) => filters.iter().try_fold(Self::ALL, |all, one| Some(all.and(Self::of_filter(one)?))),
            Filter::Or(filters) => {
                let none = Self::ALL.complement();
                filters.iter().try_fold(none, |all, one| Some(all.or(Self::of_filter(one)?)))
            }
            Filter::Not(inner) => Self::of_filter(inner).map(Self::complement),
            Filter::Term { field: "status", op, value, .. } => Some(Self::of_term(*op, value)),
            Filter::Term { .. } => None,
        }
    }

    /// Those in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] && other.0[index]))
    }

    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] || other.0[index]))
    }

    fn complement(self) -> Self {
        Self(self.0.map(|is_in| !is_in))
    }

    /// The numbers that stand for them in the table.
    pub(super) fn numbers(self) -> impl Iterator<Item = i64> {
        Status::ALL.into_iter().zip(self.0).filter(|(_, is_in)| *is_in).map(|(status, _)| status_number(status))
    }

    /// That the status is one of them, in SQL.
    pub(super) fn condition(self) -> String {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        if numbers.is_empty() { "FALSE".to_owned() } else { format!("status IN ({})", numbers.join(", ")) }
    }
}

/// SQLite's `LIKE` for texts of ASCII.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rests: Vec<&str> = vec![text];
    for part in pattern.chars() {
        rests = match part {
            // All that is left of the longest rest, and shorter ones.
            '%' => match rests.iter().max_by_key(|rest| rest.len()) {
                Some(longest) => (0..=longest.len()).filter_map(|from| longest.get(from..)).collect(),
                None => return false,
            },
            part => rests
                .into_iter()
                .filter_map(|rest| {
                    let mut chars = rest.chars();
                    let first = chars.next()?;
                    (part == '_' || first.eq_ignore_ascii_case(&part)).then_some(chars.as_str())
                })
                .collect(),
        };
    }
    rests.contains(&"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for pattern in ["ended_error", "ENDED%", "%error", "%_%", "%", "______ERROR", "E%R%R", "%%ENDED_ERROR%"] {
            assert!(is_like("ENDED_ERROR", pattern), "{pattern}");
        }
        for pattern in ["", "ENDED", "%x%", "ENDED_ERROR_", "_ENDED_ERROR", "É%"] {
            assert!(!is_like("ENDED_ERROR", pattern), "{pattern}");
        }
    }
}
