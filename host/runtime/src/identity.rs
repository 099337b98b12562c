//! Who is asking.

use flowhost_model::{Digest, Record, RecordId, RecordType, User};
use flowhost_store::{Expected, RecordWrite, StoredRecord, Write};
use sha2::{Digest as _, Sha256};

use crate::host::Host;
use crate::problem::{Code, Problem};

/// The user that a new host begins with.
pub(crate) const ADMIN: &str = "admin";

/// An authorised user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user_id: RecordId,
    /// The user's name.
    pub user_name: String,
}

/// A user to create.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name; unique among users.
    pub name: String,
}

/// The digest by which a token is kept. Tokens are random and long, so that a fast digest is as good as a slow one.
pub(crate) fn token_digest(token: &str) -> Digest {
    Digest(Sha256::digest(token.as_bytes()).into())
}

impl Host {
    /// The user to whom this token belongs.
    pub fn authenticate(&self, token: &str) -> Result<Identity, Problem> {
        let snapshot = self.snapshot();
        let (user_id, user_name) = snapshot
            .user_of_token(&token_digest(token))
            .ok_or_else(|| Problem::new(Code::Unauthorized, "the token is not valid"))?;
        Ok(Identity { user_id, user_name: user_name.to_owned() })
    }

    /// Creates an enabled user without a token.
    pub async fn create_user(&self, by: &Identity, user: NewUser) -> Result<Record<User>, Problem> {
        let body = User { is_enabled: true, token_digests: Vec::new() };
        let user = Record::new(&user.name, Some(by.user_id), body)?;
        let record = StoredRecord::from_record(&user)?;
        let _writing = self.writing().await;
        let write = RecordWrite { record: record.clone(), expected: Expected::Absent };
        self.store().write(vec![Write::Record(write)]).await?;
        self.apply(record)?;
        Ok(user)
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<Record<User>>, Problem> {
        self.records().await
    }

    /// The record of the user with this name.
    pub async fn user_by_name(&self, name: &str) -> Result<Record<User>, Problem> {
        let stored = self.store().record_by_name(RecordType::User, name).await?;
        let missing = || Problem::new(Code::RecordNotFound, format!("there is no user named `{name}`"));
        Ok(stored.ok_or_else(missing)?.into_record()?)
    }
}
