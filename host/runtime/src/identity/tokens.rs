//! API tokens: shown once, kept as digests, revocable.

use flowhost_model::{ApiToken, Operation, RecordId, RecordType, Timestamp, User};
use flowhost_store::StoredRecord;
use serde::{Deserialize, Serialize};

use super::{Identity, new_token, token_digest};
use crate::host::Host;
use crate::problem::{Code, Problem};
use crate::record::refuse_trashed;

/// Tokens that a user may have.
const LIMIT: usize = 100;

/// A token to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// When it ends; never unless set.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The roles of the user that it is narrowed to; all of them unless set.
    #[serde(default)]
    pub role_ids: Option<Vec<RecordId>>,
}

/// A token that was made.
#[derive(Clone, Debug, Serialize)]
pub struct IssuedToken {
    /// Names it.
    pub id: RecordId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The roles that it is narrowed to.
    pub role_ids: Option<Vec<RecordId>>,
    /// The token itself: shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<ApiToken> for IssuedToken {
    fn from(token: ApiToken) -> Self {
        let ApiToken { id, name, created_at, expires_at, role_ids, .. } = token;
        Self { id, name, created_at, expires_at, role_ids, token: None }
    }
}

impl Host {
    /// Makes a token of a user: one's own, or that of another whom one may change and who may do no more.
    pub async fn create_token(&self, by: &Identity, user: RecordId, new: NewToken) -> Result<IssuedToken, Problem> {
        let stored = self.user_for_tokens(by, user, refuse_trashed).await?;
        let held = stored.clone().into_record::<User>()?.body;
        let name = flowhost_model::normalize_name(&new.name)?.into_owned();
        if held.api_tokens.len() >= LIMIT {
            return Err(Problem::new(Code::RecordInvalid, format!("a user has at most {LIMIT} tokens")));
        }
        if new.expires_at.is_some_and(|expiry| expiry <= self.now()) {
            return Err(Problem::new(Code::RecordInvalid, "`expires_at`: is in the past"));
        }
        let is_held = |id: &RecordId| held.roles.iter().any(|role| role.role_id == *id);
        if new.role_ids.as_ref().is_some_and(|roles| !roles.iter().all(is_held)) {
            return Err(Problem::new(Code::RecordInvalid, "`role_ids`: names a role that the user does not have"));
        }
        self.refuse_foreign_account(by, "user", &stored).await?;
        let token = new_token().map_err(Problem::host)?;
        let kept = ApiToken {
            id: RecordId::new(),
            name,
            digest: token_digest(&token),
            created_at: self.now(),
            expires_at: new.expires_at,
            role_ids: new.role_ids,
        };
        self.change_user(user, |user| user.api_tokens.push(kept.clone())).await?;
        Ok(IssuedToken { token: Some(token), ..kept.into() })
    }

    /// The tokens of a user, without what authorises.
    pub async fn tokens(&self, by: &Identity, user: RecordId) -> Result<Vec<IssuedToken>, Problem> {
        let held = self.user_for_tokens(by, user, |_| Ok(())).await?.into_record::<User>()?.body;
        Ok(held.api_tokens.into_iter().map(IssuedToken::from).collect())
    }

    /// Ends a token. One that is narrowed ends no other than itself.
    pub async fn revoke_token(&self, by: &Identity, user: RecordId, token: RecordId) -> Result<(), Problem> {
        let stored = self.user_for_tokens(by, user, refuse_trashed).await?;
        if by.token != Some(token) {
            self.refuse_foreign_account(by, "token", &stored).await?;
        }
        let held = stored.into_record::<User>()?.body;
        if !held.api_tokens.iter().any(|known| known.id == token) {
            return Err(Problem::new(Code::RecordNotFound, format!("the user has no token {token}")));
        }
        self.change_user(user, |user| user.api_tokens.retain(|known| known.id != token)).await
    }

    /// The user, for whoever may manage the user's tokens, unless `refuse` has a reason.
    async fn user_for_tokens(
        &self,
        by: &Identity,
        user: RecordId,
        refuse: impl FnOnce(&StoredRecord) -> Result<(), Problem>,
    ) -> Result<StoredRecord, Problem> {
        let stored = self.readable(by, RecordType::User, user).await?;
        if by.user_id != user {
            self.permit(by, Operation::Update, RecordType::User, None)?;
        }
        refuse(&stored)?;
        Ok(stored)
    }
}
