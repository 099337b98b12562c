//! What a record type is: one definition that validation, the API, export and the documentation are made of.

use serde_json::Value;

use crate::RecordType;

/// The longest text of several lines, in bytes.
pub const LONG_TEXT_BYTES: usize = 64 << 10;

/// How many of a text's characters count in the order of a list. A place in a list is told by them, so it stays short.
pub const ORDERED_CHARACTERS: usize = 256;

/// The version of the form that records are exported in.
pub const SCHEMA_VERSION: &str = "1";

/// A record type.
#[derive(Debug)]
pub struct TypeDefinition {
    /// The type.
    pub record_type: RecordType,
    /// Its segment in addresses, and its name in answers: `webhook`.
    pub path: &'static str,
    /// What records of this type are for, in a sentence.
    pub description: &'static str,
    /// What records of this type may belong to.
    pub home: Home,
    /// Whether a record can be guarded against changes by `is_readonly`.
    pub can_be_readonly: bool,
    /// Whether people make and delete records of this type.
    pub is_managed: bool,
    /// Whether records of this type act: they have roles and a last activity.
    pub is_identity: bool,
    /// The properties of this type, beside the shared ones.
    pub properties: &'static [Property],
}

/// What records of a type may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Neither a project nor a bundle.
    Workspace,
    /// A bundle.
    Bundle,
    /// A project or a bundle, not both.
    ProjectOrBundle,
}

/// A property of a record.
#[derive(Debug)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub description: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// Whether it may be absent or `null`.
    pub is_optional: bool,
    /// Who sets it.
    pub access: Access,
    /// What import and export do with it.
    pub class: Class,
    /// Whether the host works it out when it is read. Lists can neither be filtered nor ordered by it.
    pub is_derived: bool,
}

/// Which values a property takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text of at most so many characters.
    Text(u32),
    /// A text of several lines, of at most [`LONG_TEXT_BYTES`] bytes.
    LongText,
    /// A text as long as the type's own limit.
    Content,
    /// `true` or `false`.
    Bool,
    /// A whole number, not negative.
    Count,
    /// An instant.
    Timestamp,
    /// The id of a record of this type; of any type where none is named.
    Id(Option<RecordType>),
    /// The name of the record that another property has the id of.
    NameOf(&'static str),
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// Any JSON value.
    Json,
    /// A JSON object with members of its own, which the type checks.
    Object,
    /// A JSON array with items of its own, which the type checks.
    Array,
}

/// Who sets a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever may change the record.
    ReadWrite,
    /// Whoever makes the record; it never changes.
    Create,
    /// The host. It cannot be written.
    ReadOnly,
    /// Whoever may change the record; it is never read back.
    WriteOnly,
}

/// What import and export do with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is exported and imported.
    Both,
    /// It is imported, never exported.
    Import,
    /// It is exported for information, and ignored on import.
    Export,
    /// Neither.
    Neither,
}

impl Property {
    /// A required property that people write, and that import and export keep.
    pub const fn new(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            description,
            kind,
            is_optional: false,
            access: Access::ReadWrite,
            class: Class::Both,
            is_derived: false,
        }
    }

    /// The same, which may be absent.
    pub const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// The same, with another access.
    pub const fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same, of another class.
    pub const fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// The same, set by the host.
    pub const fn read_only(self) -> Self {
        self.access(Access::ReadOnly).optional()
    }

    /// The same, worked out by the host when it is read.
    pub const fn derived(self) -> Self {
        Self { is_derived: true, ..self.read_only() }
    }

    /// Whether lists can be filtered and ordered by it.
    pub fn is_comparable(&self) -> bool {
        let has_order = !matches!(self.kind, Kind::Content | Kind::Json | Kind::Object | Kind::Array | Kind::NameOf(_));
        has_order && !self.is_derived && self.access != Access::WriteOnly
    }
}

/// The longest name of a record, in characters.
const NAME: Kind = Kind::Text(crate::NAME_LIMIT as u32);

/// The properties of every record, in the order in which they are shown.
pub(crate) static SHARED: &[Property] = &[
    Property::new("id", Kind::Id(None), "Made by the host, a UUID of version 7.").read_only().class(Class::Neither),
    Property::new("name", NAME, "Unique among the records of its type; blanks at its ends are trimmed."),
    Property::new("description", Kind::LongText, "What this record is for.").optional(),
    Property::new("record_type", Kind::Enum(RecordType::NAMES), "The type.").derived().class(Class::Neither),
    Property::new("resource_type", Kind::Enum(RecordType::NAMES), "The type, of what people maintain.")
        .derived()
        .class(Class::Neither),
    Property {
        is_derived: true,
        ..Property::new("schema_version", Kind::Text(128), "The version of the export form; only `1` is known.")
            .optional()
    },
    Property::new("workspace_id", Kind::Id(Some(RecordType::Workspace)), "The installation.")
        .derived()
        .class(Class::Export),
    Property::new("organization_id", Kind::Id(Some(RecordType::Organization)), "The installation's owner.")
        .derived()
        .class(Class::Export),
    Property::new("project_id", Kind::Id(Some(RecordType::Project)), "The project it belongs to; excludes a bundle.")
        .optional(),
    Property::new("project_name", Kind::NameOf("project_id"), "The name of that project, which sets the id.")
        .optional()
        .class(Class::Neither),
    Property::new("bundle_id", Kind::Id(Some(RecordType::Bundle)), "The bundle it belongs to; excludes a project.")
        .optional(),
    Property::new("bundle_name", Kind::NameOf("bundle_id"), "The name of that bundle, which sets the id.")
        .optional()
        .class(Class::Neither),
    Property::new(
        "is_readonly",
        Kind::Bool,
        "Guards against accidents: only this flag can be changed while it is set.",
    )
    .optional(),
    Property::new("is_project_readonly", Kind::Bool, "Its project is read-only.").derived().class(Class::Neither),
    Property::new("is_bundle_readonly", Kind::Bool, "Its bundle is read-only.").derived().class(Class::Neither),
    Property::new("repository_path", Kind::Text(256), "Its file, relative to the folder of an export.")
        .derived()
        .class(Class::Neither),
    Property::new("created_at", Kind::Timestamp, "When it was made.").read_only().class(Class::Export),
    Property::new("created_by", Kind::Id(None), "The identity that made it.").read_only().class(Class::Export),
    Property::new("modified_at", Kind::Timestamp, "When it was last changed.").read_only().class(Class::Export),
    Property::new("modified_by", Kind::Id(None), "The identity that last changed it.").read_only().class(Class::Export),
    Property::new("is_deleted", Kind::Bool, "It is in the trash.").read_only().class(Class::Export),
    Property::new("deleted_at", Kind::Timestamp, "When it was put into the trash.").read_only().class(Class::Export),
    Property::new("deleted_by", Kind::Id(None), "The identity that did.").read_only().class(Class::Export),
    Property::new(
        "commit_message",
        Kind::LongText,
        "Why this change was made; kept with the change, not with the record.",
    )
    .optional()
    .access(Access::WriteOnly)
    .class(Class::Import),
];

/// The properties of records that act.
pub(crate) static IDENTITY: &[Property] = &[
    Property::new("identity_type", Kind::Enum(IDENTITY_TYPES), "The type, of what acts.").derived().class(Class::Neither),
    Property::new(
        "roles",
        Kind::Array,
        "Its roles: a list of objects with `role_id` or `role_name`, and `propagate` (true unless set) to lend the role to its executions.",
    )
    .optional()
    .class(Class::Import),
    Property::new("last_activity", Kind::Timestamp, "When it was last active.").derived().class(Class::Neither),
    Property::new(
        "location_inheritance",
        Kind::Enum(&["created_by", "default", "wrapped_resource", "resource"]),
        "Where records that it makes go when the request names no place.",
    )
    .optional()
    .class(Class::Neither),
];

/// What acts, in the modelled system.
pub(crate) static IDENTITY_TYPES: &[&str] =
    &["EXECUTION", "LDAP_CONFIG", "SCHEDULE", "SYNC_CONFIG", "USER", "WEBHOOK", "WORKSPACE"];

/// Whether every record has this property, kept with what all records share and not with what is their type's own.
pub fn is_shared(property: &str) -> bool {
    SHARED.iter().any(|shared| shared.name == property)
}

impl TypeDefinition {
    /// All properties that records of this type have, in the order in which they are shown.
    pub fn all_properties(&self) -> impl Iterator<Item = &'static Property> {
        let home = self.home;
        let can_be_readonly = self.can_be_readonly;
        let shared = SHARED.iter().filter(move |property| match property.name {
            "project_id" | "project_name" | "is_project_readonly" => home == Home::ProjectOrBundle,
            "bundle_id" | "bundle_name" | "is_bundle_readonly" => home != Home::Workspace,
            "is_readonly" => can_be_readonly,
            _ => true,
        });
        let identity: &'static [Property] = if self.is_identity { IDENTITY } else { &[] };
        shared.chain(identity).chain(self.properties)
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.all_properties().find(|property| property.name == name)
    }
}

impl Kind {
    /// What is wrong with a value that is not null; none where it fits.
    pub fn refusal(self, value: &Value) -> Option<String> {
        let fits = match (self, value) {
            (Self::Text(limit), Value::String(text)) => {
                let count = text.chars().count();
                if count > limit as usize {
                    return Some(format!("has {count} characters, at most {limit} are allowed"));
                }
                true
            }
            (Self::LongText, Value::String(text)) => {
                if text.len() > LONG_TEXT_BYTES {
                    return Some(format!("has {} bytes, at most {LONG_TEXT_BYTES} are allowed", text.len()));
                }
                true
            }
            (Self::NameOf(_), Value::String(text)) => text.chars().count() <= crate::NAME_LIMIT,
            (Self::Bool, Value::Bool(_))
            | (Self::Object, Value::Object(_))
            | (Self::Array, Value::Array(_))
            | (Self::Content, Value::String(_))
            | (Self::Json, _) => true,
            (Self::Count, value) => value.is_u64(),
            (Self::Timestamp, Value::String(text)) => text.parse::<crate::Timestamp>().is_ok(),
            (Self::Id(_), Value::String(text)) => text.parse::<crate::RecordId>().is_ok(),
            (Self::Enum(options), Value::String(text)) => options.contains(&text.as_str()),
            _ => false,
        };
        (!fits).then(|| format!("must be {}", self.expectation()))
    }

    /// What values are expected, in words.
    pub fn expectation(self) -> String {
        match self {
            Self::Text(limit) => format!("a text of at most {limit} characters"),
            Self::LongText => format!("a text of at most {LONG_TEXT_BYTES} bytes"),
            Self::Content => "a text".into(),
            Self::NameOf(_) => "the name of a record".into(),
            Self::Bool => "true or false".into(),
            Self::Count => "a whole number, not negative".into(),
            Self::Timestamp => "an instant such as 2026-11-22T09:48:44.000000+00:00".into(),
            Self::Id(_) => "an id, a UUID".into(),
            Self::Enum(options) => format!("one of {}", options.join(", ")),
            Self::Json => "a JSON value".into(),
            Self::Object => "an object".into(),
            Self::Array => "an array".into(),
        }
    }
}
