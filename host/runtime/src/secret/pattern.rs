//! Patterns of hosts that a secret's value may be sent to.

/// A host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    name: String,
    /// Whether every name below it is meant, and not the name itself.
    is_below: bool,
}

impl HostPattern {
    /// Reads a pattern: `api.example.com`, or `*.example.com`. Error: what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, is_below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = plain(name);
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        let is_label = |label: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
        };
        if is_address && !is_below || !is_address && name.len() <= 253 && name.split('.').all(is_label) {
            return Ok(Self { name, is_below });
        }
        let expected =
            "expected the name of a host, without scheme, port and path: `api.example.com`, or `*.example.com`";
        Err(format!("`{text}` is no host; {expected}"))
    }

    /// Whether this host is meant.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let host = plain(host);
        if !self.is_below {
            return host == self.name;
        }
        host.strip_suffix(&self.name).and_then(|rest| rest.strip_suffix('.')).is_some_and(|below| !below.is_empty())
    }
}

/// A name of a host in the one form in which names are compared: lower case, no brackets, no dot at its end.
fn plain(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, host: &str) -> bool {
        HostPattern::parse(pattern).unwrap().allows(host)
    }

    #[test]
    fn a_pattern_means_one_host_or_all_below_one() {
        assert!(allows("api.example.com", "API.example.com."));
        assert!(!allows("api.example.com", "example.com"));
        assert!(!allows("api.example.com", "x.api.example.com"));
        assert!(allows("*.example.com", "a.b.Example.com"));
        assert!(!allows("*.example.com", "example.com"));
        assert!(!allows("*.example.com", ".example.com"));
        assert!(!allows("*.example.com", "badexample.com"));
        assert!(allows("127.0.0.1", "127.0.0.1"));
        assert!(allows("[::1]", "::1"));
        assert!(allows("::1", "[::1]"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let wrong =
            ["", "*", "*.", "https://a.b", "a.b:443", "a/b", "a b", "*.*.b", "a..b", "*.127.0.0.1", "a.*.b", "a@b"];
        for text in wrong {
            assert!(HostPattern::parse(text).unwrap_err().contains("expected the name of a host"), "{text}");
        }
    }
}
