//! Where the operator's token comes from, and where tokens may go.

use std::net::IpAddr;
use std::path::Path;

use ureq::http::Uri;

use crate::failure::{Exit, Failure};

/// The file in a data folder that holds the operator's token.
pub(crate) const FILE: &str = "operator-token";

/// The token given, else that of the data folder, for a server at this address.
///
/// The data folder's token may do everything on its host, and the caller of the command has not named it: it goes to no other machine.
pub(crate) fn find(given: Option<&str>, data: &Path, server: &str) -> Result<String, Failure> {
    if let Some(token) = given {
        return Ok(token.trim().to_owned());
    }
    let file = data.join(FILE);
    if !is_this_machine(server) {
        let what = format!("no token given for {server}: that of {} goes to this machine only", file.display());
        let next = "pass one of that server with --token or FLOWHOST_TOKEN, or reach it through a tunnel, for example `ssh -L`";
        return Err(Failure::new(Exit::Unauthorized, what).next(next));
    }
    let failed = |what: String, next: &str| Err(Failure::new(Exit::Unauthorized, what).next(next));
    match std::fs::read_to_string(&file).as_deref().map(str::trim) {
        Ok("") => failed(
            format!("no token given, and {} is empty", file.display()),
            "start the server again: it writes a new one; or pass one with --token or FLOWHOST_TOKEN",
        ),
        Ok(token) => Ok(token.to_owned()),
        Err(error) => failed(
            format!("no token given, and none in {}: {error}", file.display()),
            "pass one with --token or FLOWHOST_TOKEN, or name the server's data folder with --data",
        ),
    }
}

/// Refuses to send a token or a key without encryption through a network, unless that is `forced`.
pub(crate) fn refuse_exposed(secret: &str, server: &str, forced: bool) -> Result<(), Failure> {
    if forced || is_this_machine(server) {
        return Ok(());
    }
    let what = format!("{server} is another machine, and a machine on the way there could read the {secret}");
    let next = "reach it through a tunnel, for example `ssh -L`; or, on a network that you trust, use --plain-http";
    Err(Failure::new(Exit::Usage, what).next(next))
}

/// Whether this is surely the address of a server on this machine.
pub(crate) fn is_this_machine(server: &str) -> bool {
    let Ok(uri) = server.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_this_machine_is_a_loopback_one() {
        for own in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://localhost:1",
            "http://LOCALHOST/",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "http://user@127.0.0.1",
        ] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
            "http://192.0.2.1:8080",
            "http://127.0.0.1@192.0.2.1",
            "http://127.0.0.1:8080@192.0.2.1:8080",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://127.1",
            "http://0.0.0.0:8080",
            "http://[2001:db8::1]",
            "http://",
            "not an address",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn token_of_the_data_folder_goes_to_this_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "fh_own\n").unwrap();
        let found = |given, server| find(given, folder.path(), server);
        assert_eq!(found(None, "http://127.0.0.1:8080").unwrap(), "fh_own");
        assert_eq!(found(None, "http://192.0.2.1:8080").unwrap_err().exit(), Exit::Unauthorized);
        assert_eq!(found(Some(" fh_given\n"), "http://192.0.2.1:8080").unwrap(), "fh_given");
        std::fs::write(folder.path().join(FILE), " \n").unwrap();
        assert_eq!(found(None, "http://127.0.0.1:8080").unwrap_err().exit(), Exit::Unauthorized);
    }

    #[test]
    fn token_goes_to_another_machine_only_if_forced() {
        let refused = |server, forced| refuse_exposed("token", server, forced).map_err(|failure| failure.exit());
        assert_eq!(refused("http://127.0.0.1:8080", false), Ok(()));
        assert_eq!(refused("http://192.0.2.1:8080", false), Err(Exit::Usage));
        assert_eq!(refused("http://192.0.2.1:8080", true), Ok(()));
    }
}
