//! The login token of a request.

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
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

/// The token that a call carries which may change something: the cookie counts only where the call does not come from a page of
/// another origin. `SameSite` is not enough for that: another port of the same machine and another subdomain are the same site.
pub(crate) fn of_own_page(headers: &HeaderMap) -> Option<String> {
    in_authorization(headers).or_else(|| if is_from_elsewhere(headers) { None } else { token(headers) })
}

/// Whether a browser says that a page of another origin makes the request.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return !["same-origin", "none"].iter().any(|own| site == own);
    }
    // Browsers leave that out where the address is neither `https` nor this machine's, and say the origin of a POST all the same.
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none() || authority != headers.get(HOST).and_then(|host| host.to_str().ok())
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
    fn a_page_of_another_origin_lends_no_cookie() {
        let cookie = format!("{SESSION_COOKIE}=t");
        let call = |more: &[(&'static str, &str)]| {
            let own = [("cookie", cookie.as_str()), ("host", "flows.example:8080")];
            of_own_page(&headers(&[&own[..], more].concat()))
        };
        for own in [
            &[][..],
            &[("origin", "https://flows.example:8080")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("authorization", "t")],
        ] {
            assert_eq!(call(own).as_deref(), Some("t"), "{own:?}");
        }
        for other in [
            &[("sec-fetch-site", "same-site")][..],
            &[("sec-fetch-site", "cross-site")],
            &[("origin", "https://flows.example")],
            &[("origin", "http://flows.example:8081")],
            &[("origin", "null")],
        ] {
            assert_eq!(call(other), None, "{other:?}");
        }
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
