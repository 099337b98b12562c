//! What an execution's log says about its exchanges.

use std::time::Instant;

use flowhost_model::LogLevel;
use http::Method;
use url::Url;

use super::failure::Failure;
use super::request::without_query;
use crate::execution::Live;

/// Says how an exchange, or a hop of it, ended: with a status, or without.
pub(crate) fn log_ended(live: &Live, what: &str, ended: Result<u16, &Failure>, began: Instant) {
    let (level, ended) = match ended {
        Ok(status) => (LogLevel::Info, status.to_string()),
        Err(failure) => (LogLevel::Warn, format!("{} ({})", failure.code, failure.message)),
    };
    let line = format!("{what}: {ended} in {} ms (attempt {})", began.elapsed().as_millis(), live.attempt);
    live.log_host(level, line);
}

/// Method and address as the log of an execution shows them: masked before they are shortened, since nobody finds half a value.
pub(super) fn shown(live: &Live, method: &Method, url: &Url) -> String {
    let address = live.log.mask().mask(without_query(url));
    format!("{method} {}", super::request::beginning(&address))
}
