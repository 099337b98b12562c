//! The roles that a new host begins with.
//!
//! | Role | Creates | Reads | Updates | Deletes |
//! |---|---|---|---|---|
//! | User | | flows, webhooks, executions, messages, projects, bundles, organization, workspace | messages | |
//! | Developer | flows, webhooks, settings, secrets, files, messages | everything | flows, webhooks, settings, secrets, files, executions, messages | flows, webhooks, settings, secrets, files |
//! | Operator | | everything | webhooks, executions, messages | |
//! | Admin | everything | everything | everything | everything |
//! | Webhook | | flows | | |
//! | Schedule | | flows | | |
//!
//! To read a flow or a webhook is to be allowed to call it; executions are made by the host, so that nobody needs leave
//! to create one. To update an execution is to cancel it, and to resume or run it again if it may do no more. Messages are made by flows, with the
//! permissions of who started them; to update one is to respond to it. To read a secret is to use it in a flow.
//! Passwords, keys, tokens and the values of secrets are never read back, by no role.
//!
//! Nobody lends more than they have. The roles are chosen so that it works out: whoever may make webhooks, the
//! Developer, has all that each of the others has but Admin, and may assign these to a webhook.
//!
//! None names a project: they are for all of the workspace. A role for one project is a copy with `project_id` set.
//! Except for Admin they are ordinary records, which an administrator may change.

use flowhost_model::{Operation, Permission, RecordType};

/// A role that a new host begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DefaultRole {
    /// The record's name.
    pub(crate) name: &'static str,
    /// The record's description.
    pub(crate) description: &'static str,
    permissions: &'static [Permission],
}

impl DefaultRole {
    /// What it permits.
    pub(crate) fn permissions(&self) -> Vec<Permission> {
        self.permissions.to_vec()
    }
}

/// The roles that a new host begins with.
pub(crate) const DEFAULT_ROLES: [DefaultRole; 6] = [USER, DEVELOPER, OPERATOR, ADMIN, WEBHOOK, SCHEDULE];

/// Sees and calls what others built, and what came of it. Not settings, secrets and files, which often hold what is
/// confidential, nor who else there is.
const USER: DefaultRole = DefaultRole {
    name: "User",
    description: "Calls flows and webhooks, sees their executions, and responds to their messages.",
    permissions: &[
        allow(Operation::Read, RecordType::Flow),
        allow(Operation::Read, RecordType::Webhook),
        allow(Operation::Read, RecordType::Execution),
        allow(Operation::Read, RecordType::Message),
        allow(Operation::Update, RecordType::Message),
        allow(Operation::Read, RecordType::Project),
        allow(Operation::Read, RecordType::Bundle),
        allow(Operation::Read, RecordType::Organization),
        allow(Operation::Read, RecordType::Workspace),
    ],
};

/// Builds flows with all that belongs to them. Sees everything else: who changed what, which roles there are to assign.
/// Updates executions, since who tries out a flow in development mode resumes and cancels by hand. Does not delete
/// them: they say what happened. Does not touch users, roles, projects and bundles: these decide who may do what.
const DEVELOPER: DefaultRole = DefaultRole {
    name: "Developer",
    description: "Makes, changes and deletes flows, webhooks, settings, secrets and files, and runs and cancels executions.",
    permissions: &[
        allow_every_operation(RecordType::Flow),
        allow_every_operation(RecordType::Webhook),
        allow_every_operation(RecordType::Setting),
        allow_every_operation(RecordType::Secret),
        allow_every_operation(RecordType::File),
        allow_every_type(Operation::Read),
        allow(Operation::Update, RecordType::Execution),
        allow(Operation::Create, RecordType::Message),
        allow(Operation::Update, RecordType::Message),
    ],
};

/// Keeps running what others built: sees everything, switches webhooks on and off, cancels, resumes and reruns executions.
/// Does not upload flows and does not write settings, since these change what runs; and which flow a webhook runs, its key
/// and its login it changes only where the webhook's roles permit no more than its own.
const OPERATOR: DefaultRole = DefaultRole {
    name: "Operator",
    description: "Sees everything; switches webhooks on and off, runs and cancels executions, and responds to messages.",
    permissions: &[
        allow_every_type(Operation::Read),
        allow(Operation::Update, RecordType::Webhook),
        allow(Operation::Update, RecordType::Execution),
        allow(Operation::Update, RecordType::Message),
    ],
};

/// May do everything, also with types of records that later versions bring. The host keeps it fixed, so that nobody
/// locks everybody out.
const ADMIN: DefaultRole = DefaultRole {
    name: "Admin",
    description: "May do everything. Cannot be changed.",
    permissions: &[Permission { project_id: None, record_type: None, operation: None }],
};

/// What a webhook itself needs: to run its flow. Assigned with `propagate` unset, since the execution has no use for
/// it; what the execution may do comes from further roles that do propagate.
const WEBHOOK: DefaultRole = DefaultRole {
    name: "Webhook",
    description: "The service role of webhooks: starts flows. Assign it without `propagate`.",
    permissions: &[allow(Operation::Read, RecordType::Flow)],
};

/// What a schedule itself needs: as [`WEBHOOK`], and a role of its own, so that either can be narrowed without the
/// other.
const SCHEDULE: DefaultRole = DefaultRole {
    name: "Schedule",
    description: "The service role of schedules: starts flows. Assign it without `propagate`.",
    permissions: &[allow(Operation::Read, RecordType::Flow)],
};

const fn allow(operation: Operation, record_type: RecordType) -> Permission {
    Permission { project_id: None, record_type: Some(record_type), operation: Some(operation) }
}

const fn allow_every_operation(record_type: RecordType) -> Permission {
    Permission { project_id: None, record_type: Some(record_type), operation: None }
}

const fn allow_every_type(operation: Operation) -> Permission {
    Permission { project_id: None, record_type: None, operation: Some(operation) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flowhost_model::normalize_name;

    use super::*;
    use crate::access::{Access, Reach};

    use Operation::{Create, Delete, Read, Update};

    fn access(role: DefaultRole) -> Access {
        Access::new(role.permissions())
    }

    /// The types with which a role may do something.
    fn types(role: DefaultRole, operation: Operation) -> Vec<RecordType> {
        let access = access(role);
        RecordType::ALL.into_iter().filter(|one| access.projects(operation, *one) == Reach::Everything).collect()
    }

    const BUILT: [RecordType; 5] =
        [RecordType::File, RecordType::Flow, RecordType::Secret, RecordType::Setting, RecordType::Webhook];

    #[test]
    fn the_modelled_systems_roles_are_there_and_can_be_records() {
        let names = DEFAULT_ROLES.map(|role| role.name);
        assert_eq!(names, ["User", "Developer", "Operator", "Admin", "Webhook", "Schedule"]);
        assert_eq!(names.into_iter().collect::<HashSet<_>>().len(), names.len());
        for role in DEFAULT_ROLES {
            assert_eq!(normalize_name(role.name).unwrap(), role.name);
            assert!(!role.description.is_empty());
        }
    }

    #[test]
    fn admin_alone_is_one_permission_that_restricts_nothing() {
        assert_eq!(ADMIN.permissions, [Permission::default()]);
        assert!(access(ADMIN).is_admin());
        for role in DEFAULT_ROLES {
            assert_eq!(access(role).is_admin(), role.name == ADMIN.name, "{}", role.name);
        }
    }

    #[test]
    fn a_user_calls_sees_and_responds_but_changes_nothing_else() {
        let seen = types(USER, Read);
        for record_type in [RecordType::Flow, RecordType::Webhook, RecordType::Execution] {
            assert!(seen.contains(&record_type));
        }
        for record_type in [RecordType::Setting, RecordType::File, RecordType::User, RecordType::Role] {
            assert!(!seen.contains(&record_type));
        }
        // But to respond to what it is asked.
        assert_eq!(types(USER, Update), [RecordType::Message]);
        for operation in [Create, Delete] {
            assert!(types(USER, operation).is_empty());
        }
    }

    #[test]
    fn a_developer_builds_but_does_not_decide_who_may_do_what() {
        let mut made = BUILT.to_vec();
        made.insert(2, RecordType::Message);
        assert_eq!(types(DEVELOPER, Create), made);
        assert_eq!(types(DEVELOPER, Delete), BUILT);
        assert_eq!(types(DEVELOPER, Read), RecordType::ALL);
        let mut changed = vec![RecordType::Execution];
        changed.extend(made);
        assert_eq!(types(DEVELOPER, Update), changed);
    }

    #[test]
    fn an_operator_runs_what_others_built() {
        assert_eq!(types(OPERATOR, Read), RecordType::ALL);
        assert_eq!(types(OPERATOR, Update), [RecordType::Execution, RecordType::Message, RecordType::Webhook]);
        assert!(types(OPERATOR, Create).is_empty());
        assert!(types(OPERATOR, Delete).is_empty());
    }

    #[test]
    fn a_service_role_starts_flows_and_nothing_else() {
        for role in [WEBHOOK, SCHEDULE] {
            assert_eq!(types(role, Read), [RecordType::Flow]);
            for operation in [Create, Update, Delete] {
                assert!(types(role, operation).is_empty());
            }
        }
    }

    #[test]
    fn a_developer_has_what_all_roles_but_admin_have() {
        let covered = |own: DefaultRole| {
            DEFAULT_ROLES
                .into_iter()
                .filter(|other| access(own).covers(&access(*other)))
                .map(|role| role.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(covered(ADMIN), ["User", "Developer", "Operator", "Admin", "Webhook", "Schedule"]);
        assert_eq!(covered(DEVELOPER), ["User", "Developer", "Operator", "Webhook", "Schedule"]);
        assert_eq!(covered(OPERATOR), ["User", "Operator", "Webhook", "Schedule"]);
        assert_eq!(covered(USER), ["User", "Webhook", "Schedule"]);
    }
}
