//! With whose permissions executions act.

use flowhost_model::{Actor, ActorKind, RecordId};
use rusqlite::Row;

use crate::{Error, Result};

const KINDS: [ActorKind; 3] = [ActorKind::Webhook, ActorKind::User, ActorKind::PropagatedUser];

/// The number that stands for the kind in the table.
pub(super) fn kind_number(kind: ActorKind) -> i64 {
    match kind {
        ActorKind::Webhook => 0,
        ActorKind::User => 1,
        ActorKind::PropagatedUser => 2,
    }
}

/// The actor in the two columns from `first` on, if there is one.
pub(super) fn from_row(row: &Row<'_>, first: usize) -> Result<Option<Actor>> {
    let (Some(kind), Some(id)) = (row.get::<_, Option<u16>>(first)?, row.get(first + 1)?) else { return Ok(None) };
    let kind = KINDS.get(usize::from(kind)).ok_or_else(|| Error::Damaged("kind of an actor".to_owned()))?;
    Ok(Some(Actor { kind: *kind, id: RecordId::from_bytes(id) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_say() {
        assert!(KINDS.into_iter().zip(0..).all(|(kind, number)| kind_number(kind) == number));
    }
}
