//! What a list is asked for, and its pages.

use flowhost_model::{Execution, Filter, Order, RecordId};

use crate::StoredRecord;

/// How many items a page has unless something else is asked for.
const PAGE: u32 = 50;

/// Which records a list holds, in which order, and which page of it.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// Only records that meet this.
    pub filter: Option<Filter>,
    /// The order; by name where it is empty. Records that it leaves equal are ordered by id, in the direction of the last
    /// part.
    pub order: Vec<Order>,
    /// Goes on behind a page of the same type and order: its [`RecordPage::next`].
    pub after: Option<String>,
    /// The most records of the page; 50 by default.
    pub limit: u32,
    /// The page ends with the record that brings all of them to so many bytes; no such end by default.
    pub page_bytes: Option<usize>,
    /// Whether the records have their bodies, as by default; else these are empty objects.
    pub with_bodies: bool,
    /// Whether the list holds what is in the trash.
    pub trash: Trash,
    /// Only records of these projects; none for all, also those of no project.
    pub in_projects: Option<Vec<RecordId>>,
}

impl Default for RecordQuery {
    fn default() -> Self {
        let (filter, order, after, in_projects, page_bytes) = Default::default();
        Self { filter, order, after, limit: PAGE, page_bytes, with_bodies: true, trash: Trash::default(), in_projects }
    }
}

/// Whether a list holds what is in the trash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trash {
    /// Only what is not.
    #[default]
    Exclude,
    /// Only what is.
    Only,
    /// Both.
    Include,
}

/// A page of a list of records.
#[derive(Clone, Debug, Default)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// From where the list goes on; none where it has ended.
    pub next: Option<String>,
}

/// Which executions a list holds, in which order, and which page of it.
#[derive(Clone, Debug)]
pub struct ExecutionQuery {
    /// Only executions that meet this.
    pub filter: Option<Filter>,
    /// The order; newest first where it is empty. Executions that it leaves equal are ordered by id, in the direction of
    /// the last part.
    pub order: Vec<Order>,
    /// Goes on behind a page of the same order: its [`ExecutionPage::next`].
    pub after: Option<String>,
    /// The most executions of the page; 50 by default.
    pub limit: u32,
    /// The page ends with the execution that brings all of them to so many bytes; no such end by default.
    pub page_bytes: Option<usize>,
    /// What the executions have of what may be large; all of it by default.
    pub parts: ExecutionParts,
    /// Only executions of these projects; none for all, also those of no project.
    pub in_projects: Option<Vec<RecordId>>,
}

impl Default for ExecutionQuery {
    fn default() -> Self {
        let (filter, order, after, in_projects, page_bytes) = Default::default();
        Self { filter, order, after, limit: PAGE, page_bytes, parts: ExecutionParts::ALL, in_projects }
    }
}

/// What of an execution may be large, and whether it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionParts {
    /// The input; `null` where it is not read.
    pub input: bool,
    /// The outputs; `{}` where they are not read.
    pub output: bool,
    /// Why it failed; none where it is not read.
    pub failure: bool,
}

impl ExecutionParts {
    /// All of them.
    pub const ALL: Self = Self { input: true, output: true, failure: true };

    /// None of them.
    pub const NONE: Self = Self { input: false, output: false, failure: false };
}

/// A page of a list of executions.
#[derive(Clone, Debug, Default)]
pub struct ExecutionPage {
    /// The executions.
    pub executions: Vec<Execution>,
    /// From where the list goes on; none where it has ended.
    pub next: Option<String>,
}
