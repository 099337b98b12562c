//! `/api/latest/user`.

use axum::extract::Request;
use flowhost::NewUser;
use flowhost::model::{Meta, Record, User};
use http::HeaderMap;
use serde::Serialize;

use super::parameters::{Common, Query};
use super::token::identity;
use super::{Answer, Shared, record};

/// A user without what authorises as one.
#[derive(Serialize)]
struct UserView {
    #[serde(flatten)]
    meta: Meta,
    is_enabled: bool,
}

impl From<Record<User>> for UserView {
    fn from(user: Record<User>) -> Self {
        Self { meta: user.meta, is_enabled: user.body.is_enabled }
    }
}

pub(super) async fn list(api: Shared, Query(common): Query<Common>, headers: HeaderMap) -> Answer {
    identity(&api.host, &headers)?;
    let users: Vec<UserView> = api.host.users().await?.into_iter().map(UserView::from).collect();
    Ok(record(common.plain, "user", &users))
}

pub(super) async fn create(api: Shared, Query(common): Query<Common>, headers: HeaderMap, request: Request) -> Answer {
    let by = identity(&api.host, &headers)?;
    let user: NewUser = api.json(request).await?;
    Ok(record(common.plain, "user", &UserView::from(api.host.create_user(&by, user).await?)))
}
