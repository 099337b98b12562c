//! Logging in and out.

use std::net::IpAddr;
use std::time::Duration;

use flowhost_model::{RecordType, Timestamp, User, normalize_name};
use flowhost_store::Expected;
use serde::{Deserialize, Serialize};

use super::Identity;
use super::password::PasswordError;
use super::turns::Lane;
use crate::activity::Deed;
use crate::caller::CallerNetwork;
use crate::host::Host;
use crate::identity::token_digest;
use crate::problem::{Code, Problem};

/// A request to log in.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user's name.
    pub user_name: String,
    /// The password.
    pub password: String,
    /// `cloudomation`, as clients of the modelled system send it; nothing else is known.
    #[serde(default)]
    pub authentication_method: Option<String>,
}

/// A session that has begun.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedIn {
    /// The user's id.
    pub identity_id: flowhost_model::RecordId,
    /// The user's name.
    pub user_name: String,
    /// The signed token of the session.
    pub token: String,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// How long that is from now.
    #[serde(skip)]
    pub lasts: Duration,
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Policy(reason) => Self::new(Code::RecordInvalid, format!("`password`: {reason}")),
            PasswordError::Busy => Self::new(Code::HostBusy, "too many logins at once; try again"),
            PasswordError::Hash(reason) => Self::host(reason),
        }
    }
}

impl Host {
    /// Begins a session. A wrong name and a wrong password are told alike, and take the same time. `from` is where the request
    /// comes from; callers of whom that is not known count as one.
    pub async fn login(&self, login: Login, from: Option<IpAddr>) -> Result<LoggedIn, Problem> {
        let network = from.map(CallerNetwork::from);
        if login.authentication_method.as_deref().is_some_and(|method| method != "cloudomation") {
            return Err(Problem::new(Code::Malformed, "`authentication_method`: only `cloudomation` is known"));
        }
        self.refuse_locked_out(&login.user_name, network)?;
        let known = self.snapshot().user_named(&login.user_name).map(|(id, user)| (id, user.clone()));
        let hash = known.as_ref().and_then(|(_, user)| user.password_hash.clone());
        // Before the check: a session that the former password opened ends with a change under way. Where the clock was set
        // back since the sessions before it were ended, it begins right behind them.
        let ended = known
            .as_ref()
            .and_then(|(id, user)| user.sessions_valid_from.max(self.activities().last(Deed::Logout, *id)));
        let now = self.now().max(ended.map_or(Timestamp(i64::MIN), |ended| Timestamp(ended.0.saturating_add(1))));
        let turn = self.passwords().turn(self.lane(&login.user_name, network)).await?;
        // Of many guesses at once, those that waited while others failed are not looked at.
        self.refuse_locked_out(&login.user_name, network)?;
        let is_right = turn.verify(login.password, hash).await?;
        let Some((user_id, user)) = known.filter(|_| is_right) else {
            self.lockouts().failed(&login.user_name, network, self.now());
            return Err(Problem::new(Code::LoginFailed, "the name or the password is wrong"));
        };
        // Of many guesses at once, those that were let in before the lock must not succeed behind it.
        self.refuse_locked_out(&login.user_name, network)?;
        self.lockouts().succeeded(&login.user_name, network, self.now());
        self.note_activity(user_id);
        self.activities().note(Deed::Login, user_id, now);
        let session = self.sessions().issue(user_id, now);
        Ok(LoggedIn {
            identity_id: user_id,
            user_name: user.name.clone(),
            token: session.token,
            expires_at: session.expires_at,
            lasts: session.expires_at.since(self.now()),
        })
    }

    /// Ends all sessions of the user. API tokens stay valid.
    ///
    /// Problem: `access.forbidden` by a token that is narrowed, whose holder need not be the user.
    pub async fn logout(&self, by: &Identity) -> Result<(), Problem> {
        let user = self.store().record(by.user_id).await?.filter(|user| user.record_type == RecordType::User);
        let user = user.ok_or_else(|| Problem::new(Code::RecordNotFound, "the user is gone"))?;
        self.refuse_foreign_account(by, "sessions", &user).await?;
        let noted = self.activities().note(Deed::Logout, by.user_id, self.now());
        // Before the answer: what was ended stays so, also after a crash.
        Ok(self.store().save_activity(vec![noted]).await?)
    }

    fn lane(&self, user_name: &str, network: Option<CallerNetwork>) -> Lane {
        let name = normalize_name(user_name).unwrap_or_default().into_owned();
        match self.lockouts().is_known(&name, network, self.now()) {
            true => Lane::Known { name },
            false => Lane::Stranger { network, name },
        }
    }

    fn refuse_locked_out(&self, user_name: &str, from: Option<CallerNetwork>) -> Result<(), Problem> {
        let now = self.now();
        let refused = self.lockouts().check(user_name, from, now);
        refused.map_err(|refused| refused.problem(Code::LockedOut, "too many logins failed; try again later", now))
    }

    /// Changes what the host itself keeps with a user.
    pub(crate) async fn change_user(
        &self,
        id: flowhost_model::RecordId,
        change: impl FnOnce(&mut User),
    ) -> Result<(), Problem> {
        let _writing = self.writing(id).await;
        let stored = self.store().record(id).await?.filter(|stored| stored.record_type == RecordType::User);
        let stored = stored.ok_or_else(|| Problem::new(Code::RecordNotFound, "the user is gone"))?;
        let expected = Expected::Revision(stored.revision);
        let mut user = stored.into_record::<User>()?;
        change(&mut user.body);
        self.write_stored(flowhost_store::StoredRecord::from_record(&user)?, expected, None).await?;
        Ok(())
    }

    /// The user whom this token authorises: a session's, or an API token.
    pub fn authenticate(&self, token: &str) -> Result<Identity, Problem> {
        let now = self.now();
        let invalid = || Problem::new(Code::Unauthorized, "the token is not valid, or not any more");
        let snapshot = self.snapshot();
        let (user_id, user_name, access, token) = match snapshot.user_of_token(&token_digest(token), now) {
            Some(known) => (known.user_id, known.user.name.clone(), known.access, known.token_id),
            None => {
                let claims = self.sessions().verify(token, now).map_err(|_| invalid())?;
                let user = snapshot.user(claims.user).ok_or_else(invalid)?;
                let logout = self.activities().last(Deed::Logout, claims.user);
                if user.sessions_valid_from.max(logout).is_some_and(|from| claims.issued_at <= from) {
                    return Err(invalid());
                }
                (claims.user, user.name.clone(), snapshot.access_of(&user.roles, false), None)
            }
        };
        drop(snapshot);
        self.note_activity(user_id);
        Ok(Identity { user_id, user_name, access, token })
    }
}
