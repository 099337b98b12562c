//! How many files and sockets the process may have open, and how many the configuration can need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// The database with its log and index for each connection of the store, artifacts, pipes, the runtime's own: with room.
const OWN: u64 = 128;

/// Sockets of clients that are told that there are too many.
const TURNED_AWAY: u64 = 100;

/// Names that are looked up at once, with a socket and a file each.
const LOOKUPS: u64 = 2 * 32;

/// What a file with a long content or the compiler's pipes and files take.
const COMPILATION: u64 = 8;

/// Lets the process open as many files as the system permits. Warns where that may be too few.
pub(crate) fn raise(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    // A limit that cannot be raised is the limit.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let limit = if raised.is_ok() { limit.maximum } else { limit.current };
    if let Some(advice) = limit.and_then(|limit| advice(config, limit)) {
        tracing::warn!("{advice}");
    }
}

/// How many descriptors the configuration can need.
fn needed(config: &Config) -> u64 {
    let connections = u64::try_from(config.server.max_connections).unwrap_or(u64::MAX);
    // Each exchange has a connection, and as many may be kept for the next ones.
    let exchanges = 2 * u64::from(config.limits.http.host_parallel);
    let compilations = COMPILATION * config.limits.compile.parallel as u64;
    [exchanges, compilations, OWN, TURNED_AWAY, LOOKUPS].iter().fold(connections, |sum, more| sum.saturating_add(*more))
}

/// What an operator should know where so few may be open.
fn advice(config: &Config, limit: u64) -> Option<String> {
    let needed = needed(config);
    if needed <= limit {
        return None;
    }
    let connections = config.server.max_connections as u64;
    let fitting = connections.saturating_sub(needed - limit);
    let lower = if fitting > 0 {
        format!("set `max_connections` to {fitting}")
    } else {
        "lower `max_connections` and `http_host_parallel`".to_owned()
    };
    Some(format!(
        "the process may open {limit} files and sockets, and the configuration can need {needed}; \
         raise the limit (`ulimit -n`, `LimitNOFILE=` of systemd), or {lower}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_configuration_fits_common_limits() {
        assert_eq!(advice(&Config::default(), 4_096), None);
    }

    #[test]
    fn advice_names_the_key_and_the_value_that_fits() {
        let mut config = Config::default();
        let few = needed(&config) - 1;
        let told = advice(&config, few).unwrap();
        assert!(told.contains("set `max_connections` to 999"), "{told}");
        config.server.max_connections = 999;
        assert_eq!(advice(&config, few), None);
        assert!(advice(&config, 10).unwrap().contains("`http_host_parallel`"));
    }
}
