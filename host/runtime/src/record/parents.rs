//! The projects and bundles that records belong to.

use std::collections::{HashMap, HashSet};

use flowhost_model::{Meta, RecordId};

use crate::host::Host;
use crate::problem::Problem;

/// What the records of a page say of their parents.
#[derive(Default)]
pub(crate) struct Parents(HashMap<RecordId, Meta>);

impl Parents {
    /// The parent with this id, also from the trash.
    pub(crate) fn get(&self, id: Option<RecordId>) -> Option<&Meta> {
        self.0.get(&id?)
    }
}

impl Host {
    /// Reads these projects and bundles, each once: the records of a page share a few.
    pub(crate) async fn parents(&self, ids: impl Iterator<Item = Option<RecordId>>) -> Result<Parents, Problem> {
        let mut parents = Parents::default();
        for id in ids.flatten().collect::<HashSet<_>>() {
            if let Some(parent) = self.store().record(id).await? {
                parents.0.insert(id, parent.meta);
            }
        }
        Ok(parents)
    }
}
