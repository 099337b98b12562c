//! Ranges of ids, whose order is the order of their making.

use flowhost_model::{Comparison, RecordId};
use rusqlite::types::Value as SqlValue;

use super::condition::Parameters;

/// The bits of an id behind its time.
const BITS_BEHIND_TIME: u32 = 80;
/// The greatest time that an id can hold, in milliseconds.
const LAST_MS: i64 = (1 << 48) - 1;

/// The ids from the first to the last, both included; none where the first is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdRange {
    first: u128,
    last: u128,
}

impl IdRange {
    /// All ids.
    pub(super) const ALL: Self = Self { first: 0, last: u128::MAX };
    const NONE: Self = Self { first: 1, last: 0 };

    /// The ids that compare so with `id`; none at all where this comparison makes no range.
    pub(super) fn of_comparison(op: Comparison, id: RecordId) -> Option<Self> {
        let number = u128::from_be_bytes(*id.as_bytes());
        Some(match op {
            Comparison::Eq => Self { first: number, last: number },
            Comparison::Le => Self { last: number, ..Self::ALL },
            Comparison::Ge => Self { first: number, ..Self::ALL },
            Comparison::Lt => number.checked_sub(1).map_or(Self::NONE, |last| Self { last, ..Self::ALL }),
            Comparison::Gt => number.checked_add(1).map_or(Self::NONE, |first| Self { first, ..Self::ALL }),
            Comparison::Ne | Comparison::Like | Comparison::In | Comparison::IsNull => return None,
        })
    }

    /// The ids made from the first to the last of these milliseconds since 1970, both included.
    pub(super) fn of_times(first_ms: Option<i64>, last_ms: Option<i64>) -> Self {
        let number = |ms: i64| u128::from(ms.clamp(0, LAST_MS).unsigned_abs()) << BITS_BEHIND_TIME;
        if first_ms.is_some_and(|ms| ms > LAST_MS) || last_ms.is_some_and(|ms| ms < 0) {
            return Self::NONE;
        }
        Self {
            first: first_ms.map_or(0, number),
            last: last_ms.map_or(u128::MAX, |ms| number(ms) | ((1 << BITS_BEHIND_TIME) - 1)),
        }
    }

    /// Those in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// That `id` is one of them, in SQL: with at most one bound at either end, which is where a scan of an index begins and
    /// ends.
    pub(super) fn conditions(self, parameters: &mut Parameters) -> Vec<String> {
        if self.first > self.last {
            return vec!["FALSE".to_owned()];
        }
        let mut conditions = Vec::new();
        let mut bind = |number: u128| parameters.bind(SqlValue::Blob(number.to_be_bytes().to_vec()));
        if self.first > 0 {
            conditions.push(format!("id >= {}", bind(self.first)));
        }
        if self.last < u128::MAX {
            conditions.push(format!("id <= {}", bind(self.last)));
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_hold_all_ids_of_their_milliseconds() {
        let id = RecordId::new();
        let ms = i64::try_from(u128::from_be_bytes(*id.as_bytes()) >> BITS_BEHIND_TIME).unwrap();
        let own = IdRange::of_comparison(Comparison::Eq, id).unwrap();
        assert_eq!(IdRange::of_times(Some(ms), Some(ms)).and(own), own);
        for other in [IdRange::of_times(Some(ms + 1), None), IdRange::of_times(None, Some(ms - 1))] {
            let both = other.and(own);
            assert!(both.first > both.last);
        }
        assert_eq!(IdRange::of_times(None, None), IdRange::ALL);
        assert_eq!(IdRange::of_times(None, Some(-1)), IdRange::NONE);
        assert_eq!(IdRange::of_times(Some(i64::MAX), None), IdRange::NONE);
    }
}
