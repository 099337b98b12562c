//! What an identity may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_model::{Operation, Permission, RecordId, RecordType};

/// The operations, each of them a row in [`Cells`].
const OPERATIONS: [Operation; 4] = [Operation::Create, Operation::Read, Operation::Update, Operation::Delete];

const TYPES: usize = RecordType::ALL.len();

const _: () = assert!(OPERATIONS.len() * TYPES <= u64::BITS as usize, "every pair has a bit");

/// What an identity may do: the permissions of its roles, compiled once for questions that are asked often. Clones
/// share what was compiled.
///
/// An identity may do what any of its permissions permits; there is nothing that forbids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(Arc<Compiled>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Compiled {
    /// What it may do with every record, also with those of no project.
    everywhere: Cells,
    /// What it may do beside that with the records of a project. No project stands here with nothing.
    in_project: BTreeMap<RecordId, Cells>,
}

/// A set of pairs of operation and record type, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cells(u64);

/// With which records of a type an identity may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// With all of them.
    Everything,
    /// With those of these projects only, at least one; in the order of their ids.
    Projects(Vec<RecordId>),
    /// With none.
    Nothing,
}

impl Cells {
    const NONE: Self = Self(0);
    const ALL: Self = Self((1 << (OPERATIONS.len() * TYPES)) - 1);

    fn of(operation: Operation, record_type: RecordType) -> Self {
        Self(1 << (operation as usize * TYPES + record_type as usize))
    }

    /// The pairs that the permission permits, wherever it does.
    fn permitted(permission: &Permission) -> Self {
        let mut cells = Self::NONE;
        for operation in OPERATIONS.into_iter().filter(|one| permission.operation.is_none_or(|own| own == *one)) {
            for record_type in
                RecordType::ALL.into_iter().filter(|one| permission.record_type.is_none_or(|own| own == *one))
            {
                cells = cells.or(Self::of(operation, record_type));
            }
        }
        cells
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn holds(self, other: Self) -> bool {
        other.without(self) == Self::NONE
    }
}

impl FromIterator<Permission> for Access {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut compiled = Compiled::default();
        for permission in permissions {
            let cells = match permission.project_id {
                None => &mut compiled.everywhere,
                Some(project) => compiled.in_project.entry(project).or_default(),
            };
            *cells = cells.or(Cells::permitted(&permission));
        }
        // Two accesses that permit the same are equal, whatever permissions they are made of.
        let everywhere = compiled.everywhere;
        compiled.in_project.retain(|_, cells| {
            *cells = cells.without(everywhere);
            *cells != Cells::NONE
        });
        Self(Arc::new(compiled))
    }
}

impl Access {
    /// May do what one of these permits.
    pub fn new(permissions: Vec<Permission>) -> Self {
        permissions.into_iter().collect()
    }

    /// May do everything.
    pub fn all() -> Self {
        Self::from_iter([Permission::default()])
    }

    /// May do nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether it may do this with a record of this type in this project, or in no project.
    pub fn may(&self, operation: Operation, record_type: RecordType, project: Option<RecordId>) -> bool {
        let cell = Cells::of(operation, record_type);
        self.0.everywhere.holds(cell)
            || project.and_then(|project| self.0.in_project.get(&project)).is_some_and(|cells| cells.holds(cell))
    }

    /// With which records of this type it may do this: what a list shows, worked out before it is read.
    pub fn projects(&self, operation: Operation, record_type: RecordType) -> Reach {
        let cell = Cells::of(operation, record_type);
        if self.0.everywhere.holds(cell) {
            return Reach::Everything;
        }
        let holding = self.0.in_project.iter().filter(|(_, cells)| cells.holds(cell));
        let projects: Vec<RecordId> = holding.map(|(project, _)| *project).collect();
        if projects.is_empty() { Reach::Nothing } else { Reach::Projects(projects) }
    }

    /// The projects in which it may do something that it may not do everywhere; in the order of their ids.
    pub fn own_projects(&self) -> impl Iterator<Item = RecordId> {
        self.0.in_project.keys().copied()
    }

    /// Whether this is one of [`Access::own_projects`].
    pub fn has_project(&self, project: RecordId) -> bool {
        self.0.in_project.contains_key(&project)
    }

    /// Whether it may do all that the other may do. Nobody lends what this denies.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.everywhere.holds(other.0.everywhere)
            && other.0.in_project.iter().all(|(project, cells)| {
                let own = self.0.in_project.get(project).copied().unwrap_or(Cells::NONE);
                self.0.everywhere.or(own).holds(*cells)
            })
    }

    /// Whether it may do everything.
    pub fn is_admin(&self) -> bool {
        self.0.everywhere == Cells::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(
        project_id: Option<RecordId>,
        record_type: Option<RecordType>,
        operation: Option<Operation>,
    ) -> Permission {
        Permission { project_id, record_type, operation }
    }

    /// Some permissions of every shape, about two projects.
    fn shapes(projects: [RecordId; 2]) -> Vec<Permission> {
        let mut shapes = Vec::new();
        for project in [None, Some(projects[0]), Some(projects[1])] {
            for record_type in [None, Some(RecordType::Bundle), Some(RecordType::Flow), Some(RecordType::Workspace)] {
                for operation in [None, Some(Operation::Create), Some(Operation::Read), Some(Operation::Delete)] {
                    shapes.push(permission(project, record_type, operation));
                }
            }
        }
        shapes
    }

    #[test]
    fn the_pairs_have_each_a_bit_of_their_own() {
        let mut all = Cells::NONE;
        for operation in OPERATIONS {
            for record_type in RecordType::ALL {
                let cell = Cells::of(operation, record_type);
                assert_eq!(all.without(cell), all, "{operation:?} {record_type:?} is another's bit");
                all = all.or(cell);
            }
        }
        assert_eq!(all, Cells::ALL);
    }

    #[test]
    fn access_permits_what_one_of_its_permissions_permits() {
        let projects = [RecordId::new(), RecordId::new()];
        let shapes = shapes(projects);
        for (first, second) in shapes.iter().flat_map(|first| shapes.iter().map(move |second| (first, second))) {
            let access = Access::new(vec![*first, *second]);
            for operation in OPERATIONS {
                for record_type in RecordType::ALL {
                    for project in [None, Some(projects[0]), Some(projects[1]), Some(RecordId::new())] {
                        let permitted = first.allows(operation, record_type, project)
                            || second.allows(operation, record_type, project);
                        assert_eq!(
                            access.may(operation, record_type, project),
                            permitted,
                            "{first:?} {second:?}: {operation:?} {record_type} {project:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_permission_covers_another_as_the_model_says() {
        let shapes = shapes([RecordId::new(), RecordId::new()]);
        for (own, other) in shapes.iter().flat_map(|own| shapes.iter().map(move |other| (own, other))) {
            let covers = Access::new(vec![*own]).covers(&Access::new(vec![*other]));
            assert_eq!(covers, own.covers(other), "{own:?} {other:?}");
        }
    }

    #[test]
    fn permissions_cover_together_what_none_covers_alone() {
        let project = RecordId::new();
        let each: Vec<Permission> = OPERATIONS.map(|one| permission(None, Some(RecordType::Flow), Some(one))).into();
        let whole = Access::new(vec![permission(None, Some(RecordType::Flow), None)]);
        assert!(Access::new(each.clone()).covers(&whole));
        assert!(!Access::new(each[1..].to_vec()).covers(&whole));
        let in_project = Access::new(vec![permission(Some(project), Some(RecordType::Flow), None)]);
        assert!(whole.covers(&in_project));
        assert!(!in_project.covers(&whole));
        let mixed = [permission(Some(project), Some(RecordType::Flow), Some(Operation::Create))];
        assert!(Access::new([&mixed[..], &each[1..]].concat()).covers(&in_project));
    }

    #[test]
    fn a_project_lends_nothing_outside_of_it() {
        let (own, other) = (RecordId::new(), RecordId::new());
        let access = Access::new(vec![permission(Some(own), None, None)]);
        assert!(access.may(Operation::Delete, RecordType::Webhook, Some(own)));
        assert!(!access.may(Operation::Read, RecordType::Webhook, Some(other)));
        assert!(!access.may(Operation::Read, RecordType::Webhook, None));
        assert!(!access.is_admin());
        assert!(!access.covers(&Access::new(vec![permission(Some(other), None, None)])));
        assert!(access.has_project(own) && !access.has_project(other));
        assert_eq!(access.own_projects().collect::<Vec<_>>(), [own]);
    }

    #[test]
    fn the_reach_of_a_list_is_known_before_it_is_read() {
        let mut projects = vec![RecordId::new(), RecordId::new()];
        projects.sort_unstable();
        let mut permissions: Vec<Permission> = projects
            .iter()
            .rev()
            .map(|project| permission(Some(*project), Some(RecordType::Flow), Some(Operation::Read)))
            .collect();
        let access: Access = permissions.iter().copied().collect();
        assert_eq!(access.projects(Operation::Read, RecordType::Flow), Reach::Projects(projects));
        assert_eq!(access.projects(Operation::Update, RecordType::Flow), Reach::Nothing);
        assert_eq!(access.projects(Operation::Read, RecordType::Webhook), Reach::Nothing);
        permissions.push(permission(None, None, Some(Operation::Read)));
        let access: Access = permissions.into_iter().collect();
        assert_eq!(access.projects(Operation::Read, RecordType::Flow), Reach::Everything);
        assert_eq!(access, Access::new(vec![permission(None, None, Some(Operation::Read))]));
    }

    #[test]
    fn all_and_none_are_the_ends() {
        let (all, none) = (Access::all(), Access::none());
        assert!(all.is_admin() && !none.is_admin());
        assert!(all.covers(&none) && all.covers(&all) && none.covers(&none));
        assert!(!none.covers(&all));
        assert_eq!(Access::new(Vec::new()), none);
        for record_type in RecordType::ALL {
            assert_eq!(all.projects(Operation::Delete, record_type), Reach::Everything);
            assert_eq!(none.projects(Operation::Read, record_type), Reach::Nothing);
            assert!(all.may(Operation::Create, record_type, None));
            assert!(!none.may(Operation::Read, record_type, Some(RecordId::new())));
        }
        let each = RecordType::ALL.map(|one| permission(None, Some(one), None));
        assert!(Access::from_iter(each).is_admin(), "whoever may do everything is an administrator");
        assert!(!Access::from_iter(each.into_iter().skip(1)).is_admin());
    }
}
