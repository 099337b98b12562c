//! Who is asking: users, their passwords, sessions and tokens.

mod api_token;
mod default_roles;
mod known_logins;
mod lockout;
mod login;
mod password;
mod session;
mod tokens;
mod turns;

use flowhost_model::RecordId;

use crate::access::Access;

pub(crate) use api_token::{digest as token_digest, new_token};
pub(crate) use default_roles::DEFAULT_ROLES;
pub(crate) use lockout::Lockouts;
pub use login::{LoggedIn, Login};
pub(crate) use password::Passwords;
pub use session::COOKIE as SESSION_COOKIE;
pub(crate) use session::Sessions;
pub use tokens::{IssuedToken, NewToken};

/// The user that a new host begins with.
pub(crate) const ADMIN: &str = "admin";

/// The role that permits everything, and cannot be changed.
pub(crate) const ADMIN_ROLE: &str = "Admin";

/// An authorised user.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user's id.
    pub user_id: RecordId,
    /// The user's name.
    pub user_name: String,
    /// What the user may do.
    pub access: Access,
    /// The API token by which the user is authorised; `None` for a session, and for the operator's token.
    pub token: Option<RecordId>,
}
