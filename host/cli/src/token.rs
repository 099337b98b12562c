//! Where the operator's token comes from.

use std::path::Path;

use crate::failure::{Exit, Failure};

/// The file in a data folder that holds the operator's token.
pub(crate) const FILE: &str = "operator-token";

/// The token given, else that of the data folder.
pub(crate) fn find(given: Option<&str>, data: &Path) -> Result<String, Failure> {
    if let Some(token) = given {
        return Ok(token.trim().to_owned());
    }
    let file = data.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(token.trim().to_owned()),
        Err(error) => {
            let what = format!("no token given, and none in {}: {error}", file.display());
            let next = "give one with --token or FLOWHOST_TOKEN, or name the server's data folder with --data";
            Err(Failure::new(Exit::Unauthorized, what).next(next))
        }
    }
}
