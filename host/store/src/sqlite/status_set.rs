//! Sets of statuses: what a filter says about the status, worked out for each of the seven.

use flowhost_model::{Comparison, Filter, Status};
use serde_json::Value;

use super::executions::status_number;
use super::names;

/// A set of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusSet([bool; Status::ALL.len()]);

impl StatusSet {
    /// All of them.
    pub(super) const ALL: Self = Self([true; Status::ALL.len()]);

    /// Those that meet a term about the status.
    pub(super) fn of_term(op: Comparison, value: &Value) -> Self {
        let numbers = names::of_term(Status::NAMES, op, value);
        Self(Status::ALL.map(|status| numbers.contains(&status_number(status))))
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
        names::condition("status", &self.numbers().collect::<Vec<_>>())
    }
}
