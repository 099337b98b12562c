//! Tickets: leave to read one execution for a while, signed by the host.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{RecordId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs and checks tickets with a key of the host's own.
#[derive(Clone)]
pub(crate) struct Tickets {
    key: [u8; 32],
    lifetime: Duration,
}

const EXPIRY_BYTES: usize = 8;

impl Tickets {
    pub(crate) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// A ticket for this execution, from `now` on.
    pub(crate) fn issue(&self, id: RecordId, now: Timestamp) -> String {
        let expiry = now.saturating_add(self.lifetime).as_micros().to_be_bytes();
        let signature = self.signature(id, expiry).map(|mac| mac.finalize().into_bytes());
        let signature: &[u8] = signature.as_ref().map_or(&[], |signature| signature.as_slice());
        BASE64URL_NOPAD.encode(&[&expiry, signature].concat())
    }

    /// Whether the ticket is one of ours for this execution and has not expired.
    pub(crate) fn is_valid(&self, ticket: &str, id: RecordId, now: Timestamp) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(ticket.as_bytes()) else {
            return false;
        };
        let Some((expiry, signature)) = bytes.split_first_chunk::<EXPIRY_BYTES>() else {
            return false;
        };
        let is_ours = self.signature(id, *expiry).is_some_and(|mac| mac.verify_slice(signature).is_ok());
        is_ours && now.as_micros() <= i64::from_be_bytes(*expiry)
    }

    fn signature(&self, id: RecordId, expiry: [u8; EXPIRY_BYTES]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of every length, so that there always is a signature.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(b"flowhost execution ticket");
        mac.update(id.as_bytes());
        mac.update(&expiry);
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_execution_and_expires() {
        let tickets = Tickets::new([7; 32], Duration::from_secs(60));
        let (id, now) = (RecordId::new(), Timestamp::now());
        let ticket = tickets.issue(id, now);
        assert!(tickets.is_valid(&ticket, id, now));
        assert!(tickets.is_valid(&ticket, id, now.saturating_add(Duration::from_secs(59))));
        assert!(!tickets.is_valid(&ticket, id, now.saturating_add(Duration::from_secs(61))));
        assert!(!tickets.is_valid(&ticket, RecordId::new(), now));
        assert!(!Tickets::new([8; 32], Duration::from_secs(60)).is_valid(&ticket, id, now));
        for forged in ["", "AAAA", "not base64!", &ticket[..ticket.len() - 2]] {
            assert!(!tickets.is_valid(forged, id, now));
        }
    }
}
