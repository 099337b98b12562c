//! The login token of a request.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::identity::SESSION_COOKIE;

/// The token that a request carries: `Authorization: <token>`, with or without `Bearer`, or the login cookie.
pub fn token(headers: &HeaderMap) -> Option<String> {
    in_authorization(headers).or_else(|| cookies(headers).find_map(own_value).map(str::to_owned))
}

/// The token of the header `Authorization` alone: what may change something over REST, where a cookie is not enough.
pub fn in_authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => value,
    };
    Some(token.trim().to_owned())
}

/// Takes what carried the login out of the headers; other cookies stay.
pub(crate) fn consume(headers: &mut HeaderMap) {
    let kept: Vec<_> = cookies(headers).filter(|pair| own_value(pair).is_none()).map(str::to_owned).collect();
    let others = headers.iter().filter(|(name, _)| **name != AUTHORIZATION && **name != COOKIE);
    let mut cleaned: HeaderMap = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(cookies) = (!kept.is_empty()).then(|| HeaderValue::try_from(kept.join("; ")).ok()).flatten() {
        cleaned.append(COOKIE, cookies);
    }
    *headers = cleaned;
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).map(str::trim)
}

fn own_value(pair: &str) -> Option<&str> {
    pair.split_once('=').filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_comes_raw_with_bearer_or_as_the_cookie() {
        let cookie = format!("a=1; {SESSION_COOKIE}=t; b=2");
        for carrier in [("authorization", "t"), ("authorization", "bearer t"), ("cookie", cookie.as_str())] {
            assert_eq!(token(&headers(&[carrier])).as_deref(), Some("t"), "{carrier:?}");
        }
        assert_eq!(token(&headers(&[("cookie", "a=1")])), None);
    }

    #[test]
    fn what_carried_the_login_is_taken_out_and_nothing_else() {
        let cookie = format!("a=1; {SESSION_COOKIE}=t; b=2");
        let mut headers = headers(&[("authorization", "t"), ("cookie", cookie.as_str()), ("x-a", "1")]);
        consume(&mut headers);
        assert_eq!(headers.get("cookie").unwrap(), "a=1; b=2");
        assert!(!headers.contains_key("authorization"));
        assert_eq!(headers.get("x-a").unwrap(), "1");
    }
}
