//! Sessions: what a login gives, signed by the host.
//!
//! A token is a JWT (RFC 7519) signed with HMAC-SHA-256, and there is exactly one header that is taken: the one that is
//! written. Neither `none` nor any other algorithm can be asked for, since the header is compared, never interpreted.
//!
//! Signing is a call of `hmac` and reading one of `serde_json`; no JWT crate is involved. `jsonwebtoken` chooses its
//! cryptography for the whole process, so that two hosts in one program, or a host and the program that embeds it,
//! could break each other's tokens, and its pure-Rust cryptography brings RSA (RUSTSEC-2023-0071) and three curves for
//! one HMAC.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{RecordId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// The cookie that carries a session's token.
pub const COOKIE: &str = "flowhost_session";

/// `{"alg":"HS256","typ":"JWT"}` in base64.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// The bytes that HMAC-SHA-256 makes of a key.
const HMAC_BLOCK_BYTES: usize = 64;

const MICROS: i64 = 1_000_000;

/// Issues and verifies sessions with a key of the host's own, which signs nothing else.
#[derive(Clone)]
pub(crate) struct Sessions {
    mac: Hmac<Sha256>,
    lifetime: Duration,
}

/// A session that was just issued.
pub(crate) struct Session {
    /// What the user shows from now on. A secret.
    pub(crate) token: String,
    /// From when on it is not valid any more.
    pub(crate) expires_at: Timestamp,
}

/// What a valid token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Who logged in.
    pub(crate) user: RecordId,
    /// When, to the microsecond: a login right after the user's sessions were ended is told from one right before.
    pub(crate) issued_at: Timestamp,
    /// From when on the token is not valid any more.
    pub(crate) expires_at: Timestamp,
}

/// Why a token is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// It was valid once.
    #[error("the session has expired; log in again")]
    Expired,
    /// This host did not issue it.
    #[error("the token is not valid")]
    Forged,
}

/// The token's middle part. JWT counts in seconds; what `iat` lacks stands in a claim of our own.
#[derive(Deserialize)]
struct Payload {
    sub: RecordId,
    iat: i64,
    iat_micros: i64,
    exp: i64,
}

impl Sessions {
    pub(crate) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        // HMAC fills a short key up with zeros. Doing so here makes a key of the one length that cannot be refused.
        let mut block = [0; HMAC_BLOCK_BYTES];
        let (start, _) = block.split_at_mut(key.len());
        start.copy_from_slice(&key);
        Self { mac: Hmac::new(&block.into()), lifetime }
    }

    /// A session of this user from `now` on. It ends with a whole second, never later than its lifetime says.
    pub(crate) fn issue(&self, user: RecordId, now: Timestamp) -> Session {
        let (iat, iat_micros) = (now.as_micros().div_euclid(MICROS), now.as_micros().rem_euclid(MICROS));
        let exp = now.saturating_add(self.lifetime).as_micros().div_euclid(MICROS);
        // An id and three numbers: nothing that JSON would want escaped.
        let payload = format!(r#"{{"sub":"{user}","iat":{iat},"iat_micros":{iat_micros},"exp":{exp}}}"#);
        let signed = format!("{HEADER}.{}", BASE64URL_NOPAD.encode(payload.as_bytes()));
        let signature = self.mac.clone().chain_update(signed.as_bytes()).finalize().into_bytes();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        Session { token, expires_at: Timestamp(exp.saturating_mul(MICROS)) }
    }

    /// What the token says, if this host issued it and it is still valid at `now`.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, SessionError> {
        let claims = self.claims(token).ok_or(SessionError::Forged)?;
        if now < claims.expires_at { Ok(claims) } else { Err(SessionError::Expired) }
    }

    /// What the token says, if this host issued it.
    fn claims(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if header != HEADER {
            return None;
        }
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        self.mac.clone().chain_update(signed.as_bytes()).verify_slice(&signature).ok()?;
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let Payload { sub, iat, iat_micros, exp } = serde_json::from_slice(&payload).ok()?;
        Some(Claims {
            user: sub,
            issued_at: Timestamp(iat.checked_mul(MICROS)?.checked_add(iat_micros)?),
            expires_at: Timestamp(exp.checked_mul(MICROS)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const HOUR: Duration = Duration::from_secs(3600);

    fn sessions() -> Sessions {
        Sessions::new(KEY, HOUR)
    }

    fn after(now: Timestamp, seconds: u64) -> Timestamp {
        now.saturating_add(Duration::from_secs(seconds))
    }

    /// A token with this header and payload, truly signed with the host's key.
    fn signed(header: &str, payload: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!("{}.{}", encode(header), encode(payload));
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()))
    }

    #[test]
    fn a_session_says_who_and_when() {
        let (user, now) = (RecordId::new(), Timestamp(1_700_000_000_123_456));
        let session = sessions().issue(user, now);
        let claims = sessions().verify(&session.token, now).unwrap();
        let expires_at = Timestamp(1_700_003_600_000_000);
        assert_eq!(claims, Claims { user, issued_at: now, expires_at });
        assert_eq!(session.expires_at, expires_at);
    }

    #[test]
    fn an_expired_session_is_not_valid() {
        let now = Timestamp(1_700_000_000_000_000);
        let session = sessions().issue(RecordId::new(), now);
        assert!(sessions().verify(&session.token, after(now, 3599)).is_ok());
        assert_eq!(sessions().verify(&session.token, after(now, 3600)), Err(SessionError::Expired));
        assert_eq!(sessions().verify(&session.token, after(now, 1_000_000)), Err(SessionError::Expired));
        // The extremes neither panic nor live for ever.
        let last = Sessions::new(KEY, Duration::MAX).issue(RecordId::new(), Timestamp(i64::MAX));
        assert_eq!(sessions().verify(&last.token, Timestamp(i64::MAX)), Err(SessionError::Expired));
        let first = sessions().issue(RecordId::new(), Timestamp(-1));
        assert_eq!(sessions().verify(&first.token, Timestamp(-1)).unwrap().issued_at, Timestamp(-1));
    }

    #[test]
    fn a_token_of_another_key_is_forged() {
        let now = Timestamp::now();
        let session = Sessions::new([8; 32], HOUR).issue(RecordId::new(), now);
        assert_eq!(sessions().verify(&session.token, now), Err(SessionError::Forged));
    }

    #[test]
    fn a_changed_character_anywhere_makes_a_token_forged() {
        let now = Timestamp::now();
        let token = sessions().issue(RecordId::new(), now).token;
        for at in 0..token.len() {
            for other in ["A", "B", ".", "-", "=", " "] {
                let mut tampered = token.clone();
                tampered.replace_range(at..=at, other);
                if tampered != token {
                    assert_eq!(sessions().verify(&tampered, now), Err(SessionError::Forged), "{tampered}");
                }
            }
            assert_eq!(sessions().verify(&token[..at], now), Err(SessionError::Forged));
        }
        for padded in [format!("{token}="), format!("{token}A"), format!("{token}."), format!(" {token}")] {
            assert_eq!(sessions().verify(&padded, now), Err(SessionError::Forged));
        }
        // An expired token that was tampered with is forged: it does not tell that it was ours.
        assert_eq!(sessions().verify(&token[1..], after(now, 7200)), Err(SessionError::Forged));
    }

    #[test]
    fn another_user_cannot_be_put_into_a_token() {
        let now = Timestamp::now();
        let (mine, theirs) = (sessions().issue(RecordId::new(), now), sessions().issue(RecordId::new(), now));
        let signature = mine.token.rsplit_once('.').unwrap().1;
        let payload = theirs.token.rsplit_once('.').unwrap().0;
        assert_eq!(sessions().verify(&format!("{payload}.{signature}"), now), Err(SessionError::Forged));
    }

    #[test]
    fn no_algorithm_but_the_hosts_is_taken() {
        let now = Timestamp(1_700_000_000_000_000);
        let payload = format!(r#"{{"sub":"{}","iat":1700000000,"iat_micros":0,"exp":1700003600}}"#, RecordId::new());
        assert!(sessions().verify(&signed(r#"{"alg":"HS256","typ":"JWT"}"#, &payload), now).is_ok());
        // Each of these is signed with the right key all the same: the header alone makes them forged.
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"None","typ":"JWT"}"#,
            r#"{"alg":"HS384","typ":"JWT"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            r#"{"alg":"ES256","typ":"JWT"}"#,
            r#"{"alg":"hs256","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT","alg":"none"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#,
            r#"{"alg":"HS256"}"#,
            "{}",
            "",
        ] {
            assert_eq!(sessions().verify(&signed(header, &payload), now), Err(SessionError::Forged), "{header}");
        }
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        let payload = BASE64URL_NOPAD.encode(payload.as_bytes());
        for unsigned in [
            format!("{none}.{payload}."),
            format!("{none}.{payload}"),
            format!("{HEADER}.{payload}."),
            format!("{HEADER}.{payload}"),
        ] {
            assert_eq!(sessions().verify(&unsigned, now), Err(SessionError::Forged), "{unsigned}");
        }
    }

    #[test]
    fn what_is_no_token_is_forged() {
        for text in ["", ".", "..", "...", "fh_0123", "not a token", "é.é.é", HEADER] {
            assert_eq!(sessions().verify(text, Timestamp::now()), Err(SessionError::Forged), "{text}");
        }
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        for payload in ["", "{}", "null", r#"{"sub":"x","iat":0,"iat_micros":0,"exp":9999999999}"#] {
            let token = signed(header, payload);
            assert_eq!(sessions().verify(&token, Timestamp::now()), Err(SessionError::Forged), "{payload}");
        }
        let user = RecordId::new();
        let huge = signed(header, &format!(r#"{{"sub":"{user}","iat":0,"iat_micros":0,"exp":{}}}"#, i64::MAX));
        assert_eq!(sessions().verify(&huge, Timestamp::now()), Err(SessionError::Forged));
    }

    #[test]
    fn tokens_are_what_other_programs_call_a_jwt() {
        assert_eq!(BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#), HEADER);
        let user = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let token = sessions().issue(user, Timestamp(1_700_000_000_000_042)).token;
        // Made with Python's hmac, hashlib and base64 alone.
        assert_eq!(token, TOKEN_BY_PYTHON);
    }

    const TOKEN_BY_PYTHON: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
        eyJzdWIiOiIwMTg5MGE1ZC1hYzk2LTc3NGItYmNjZS1iMzAyMDk5YTgwNTciLCJpYXQiOjE3MDAwMDAwMDAsImlhdF9taWNyb3MiOjQyLCJleHAiOjE3MDAwMDM2MDB9.\
        tU7YK72akffvQyalLO7rUGYn9ARlphxBif-ZkFFHqCk";
}
