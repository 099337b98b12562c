//! `/api/latest/auth`, and the tokens of users.

use axum::body::Body;
use axum::extract::Request;
use flowhost::model::RecordType;
use flowhost::{LoggedIn, Login, NewToken, Problem, SESSION_COOKIE};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::json;

use super::parameters::{Parameters, Path, id, resolve};
use super::token::{reader, writer};
use super::{Answer, Shared, requester};
use crate::answer;
use crate::caller_address::CallerAddress;
use crate::over_tls::OverTls;

/// The token in the answer, and in a cookie that scripts and other sites do not get at.
pub(super) async fn login(api: Shared, request: Request) -> Answer {
    let is_over_tls = request.extensions().get::<OverTls>().is_some();
    let from = request.extensions().get().map(|CallerAddress(address)| *address);
    let login: Login = api.login_json(request).await?;
    // Another text may be a password that was typed into the wrong field.
    if api.host.is_user(&login.user_name) {
        requester::note(&login.user_name);
    }
    let session = api.host.login(login, from).await?;
    let mut answer = answer::json(StatusCode::OK, &session);
    answer.headers_mut().insert(SET_COOKIE, cookie(&session, is_over_tls)?);
    Ok(answer.map(Body::new))
}

/// Ends the user's sessions.
pub(super) async fn logout(api: Shared, headers: HeaderMap) -> Answer {
    let by = writer(&api.host, &headers)?;
    api.host.logout(&by).await?;
    let mut answer = answer::empty(StatusCode::NO_CONTENT);
    let cleared = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    if let Ok(cleared) = HeaderValue::try_from(cleared) {
        answer.headers_mut().insert(SET_COOKIE, cleared);
    }
    Ok(answer.map(Body::new))
}

/// `Secure` keeps a browser from sending the cookie without TLS. Where there is no TLS, it would keep it from sending it at all.
fn cookie(session: &LoggedIn, is_over_tls: bool) -> Result<HeaderValue, Problem> {
    let (token, seconds) = (&session.token, session.lasts.as_secs());
    let secure = if is_over_tls { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::try_from(cookie)
        .map_err(|_| Problem::new(flowhost::Code::HostError, "the host failed; its log says more"))
}

pub(super) async fn tokens(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let user = resolve(&api.host, &by, RecordType::User, &segment, &parameters).await?;
    Ok(parameters.content("token", json!(api.host.tokens(&by, user).await?), None))
}

pub(super) async fn create_token(
    api: Shared,
    Path(segment): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let user = resolve(&api.host, &by, RecordType::User, &segment, &parameters).await?;
    let (token, _taken) = api.json::<NewToken>(&by, request).await?;
    let issued = api.host.create_token(&by, user, token).await?;
    let mut answer = parameters.content("token", json!(issued), None);
    answer.extensions_mut().insert(issued.id);
    Ok(answer)
}

pub(super) async fn revoke_token(
    api: Shared,
    Path((segment, token)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let user = resolve(&api.host, &by, RecordType::User, &segment, &parameters).await?;
    api.host.revoke_token(&by, user, id(&token)?).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}
