//! A person, or a program that acts as one.

use serde::{Deserialize, Serialize};

use crate::{
    Access, Body, Class, Digest, Home, Kind, Property, RecordId, RecordType, RoleAssignment, Timestamp, TypeDefinition,
};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::User,
    path: "user",
    description: "A person, or a program that acts as one.",
    home: Home::Workspace,
    can_be_readonly: false,
    is_managed: true,
    is_identity: true,
    properties: &[
        Property::new("email", Kind::Text(254), "The address of mail.").optional(),
        Property::new(
            "password",
            Kind::Text(1024),
            "The password, of at least 8 characters. Kept as an argon2id hash.",
        )
        .optional()
        .access(Access::WriteOnly)
        .class(Class::Neither),
        Property::new("is_enabled", Kind::Bool, "Whether the user can log in and lend permissions; true unless set.")
            .optional()
            .class(Class::Export),
        Property::new("has_password", Kind::Bool, "A password is set.").derived().class(Class::Export),
        Property::new(
            "is_locked_out",
            Kind::Bool,
            "Too many logins with the name failed from some address; they are refused from there for a while.",
        )
        .derived()
        .class(Class::Neither),
        Property::new("last_login", Kind::Timestamp, "When the user last logged in.").derived().class(Class::Neither),
    ],
};

/// A person, or a program that acts as one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct User {
    /// The address of mail.
    #[serde(default)]
    pub email: Option<String>,
    /// A disabled user can neither log in nor lend permissions. Enabled unless set.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// The argon2id hash of the password, in the PHC form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Sessions and tokens that were issued before are not valid any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_valid_from: Option<Timestamp>,
    /// The digest of the token in the data folder; the administrator alone has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_token: Option<Digest>,
    /// The tokens that authorise as this user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_tokens: Vec<ApiToken>,
    /// The user's roles.
    #[serde(default)]
    pub roles: Vec<RoleAssignment>,
    /// The roles that it had before. A person who could set its password meanwhile would have them with it when they come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_roles: Vec<RecordId>,
    /// Where records that the user makes go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_inheritance: Option<String>,
}

/// A token that authorises as a user. The token itself is not kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// Names the token.
    pub id: RecordId,
    /// What it is for, in its owner's words.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; none for never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The roles that it is narrowed to; none for all of the user's.
    #[serde(default)]
    pub role_ids: Option<Vec<RecordId>>,
}

impl User {
    /// Whether the user can log in and lend permissions.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled.unwrap_or(true)
    }
}

impl Body for User {
    const TYPE: RecordType = RecordType::User;
}
