//! GitHub's signature of a delivery: the HMAC of the body's bytes, in hex in the header `X-Hub-Signature-256`.

use flowhost_guest::{Execution, FlowError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header with the signature.
const HEADER: &str = "X-Hub-Signature-256";

/// Whether the delivery has a signature, right or wrong.
pub(crate) fn is_signed(this: &Execution) -> bool {
    this.request().is_some_and(|request| request.header(HEADER).is_some())
}

/// Refuses the delivery unless GitHub has signed it with this secret.
pub(crate) fn check(this: &Execution, secret: &str) -> Result<(), FlowError> {
    let refused = |why: &str| FlowError::new(format!("no delivery of GitHub: {why}")).with_code("github.signature");
    let request = this.request().ok_or_else(|| refused("it did not come over a webhook"))?;
    let header = request.header(HEADER).ok_or_else(|| refused("it is not signed"))?;
    let signature = header.strip_prefix(b"sha256=").and_then(bytes_of_hex);
    let mut expected =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| refused(&error.to_string()))?;
    expected.update(&request.body());
    // Takes as long wherever the first difference is.
    let is_right = signature.is_some_and(|signature| expected.verify_slice(&signature).is_ok());
    if is_right { Ok(()) } else { Err(refused("its signature is not that of the secret")) }
}

fn bytes_of_hex(hex: &[u8]) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()
}
