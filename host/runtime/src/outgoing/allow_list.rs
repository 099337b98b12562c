//! Which requests may be sent: a list of lines of the form `[METHOD[,METHOD]] scheme://host[:port]`.

use std::fmt;
use std::str::FromStr;

use http::Method;
use url::{Host, Url};

/// The longest line, in characters: a name of the web has at most 253.
const LINE_LIMIT: usize = 500;

/// The requests that a host, or a flow, may send. Nothing unless a line permits it.
///
/// `https://api.example.com` permits any method on the scheme's own port; `GET,POST https://*.example.com:8443` two methods
/// on one port of every name below `example.com`; `*` stands for any method, host or port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// None for any.
    methods: Option<Vec<Method>>,
    scheme: Scheme,
    host: HostPattern,
    /// None for any.
    port: Option<u16>,
}

/// The schemes that requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// Every name that ends with a dot and this.
    Below(String),
    Exactly(Host),
}

/// Why a line is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{line}` is no line of an allow-list: {reason}; write it like `GET,POST https://api.example.com:8443`")]
pub struct InvalidLine {
    line: String,
    reason: &'static str,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Line {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        if line.chars().count() > LINE_LIMIT {
            return Err("it is too long");
        }
        let mut words = line.split_ascii_whitespace();
        let (methods, origin) = match (words.next(), words.next(), words.next()) {
            (Some(origin), None, _) => ("*", origin),
            (Some(methods), Some(origin), None) => (methods, origin),
            _ => return Err("it has neither one nor two words"),
        };
        let methods = match methods {
            "*" => None,
            named => Some(named.split(',').map(method).collect::<Result<Vec<_>, _>>()?),
        };
        let (scheme, rest) = origin.split_once("://").ok_or("it has no scheme")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err("the scheme is neither `https` nor `http`"),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err("a line has neither path nor query nor user");
        }
        // The colons of an IPv6 address stand in brackets.
        let end = rest.rfind(']').unwrap_or(0);
        let (host, port) = match rest[end..].rfind(':') {
            Some(colon) => (&rest[..end + colon], Some(&rest[end + colon + 1..])),
            None => (rest, None),
        };
        let port = match port {
            None => Some(scheme.port()),
            Some("*") => None,
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or("the port is no port")?),
        };
        let host = match (host, host.strip_prefix("*.")) {
            ("*", _) => HostPattern::Any,
            (_, Some(name)) => match parsed(name)? {
                Host::Domain(name) => HostPattern::Below(name),
                _ => return Err("only names have names below them"),
            },
            _ => HostPattern::Exactly(parsed(host)?),
        };
        Ok(Self { methods, scheme, host, port })
    }
}

fn method(name: &str) -> Result<Method, &'static str> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    // Methods are told apart by case; those in use are in upper case.
    let method = is_name.then(|| Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok());
    method.flatten().ok_or("a method is no method")
}

/// A host in the form in which addresses have it: lower case, in ASCII, without the dot at the end.
fn parsed(host: &str) -> Result<Host, &'static str> {
    if host.contains('*') {
        return Err("`*` stands for a whole host, or begins one as `*.`");
    }
    let host = Host::parse(host).map_err(|_| "the host is no host")?;
    Ok(match host {
        Host::Domain(name) => Host::Domain(without_dot(&name).to_owned()),
        address => address,
    })
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl Line {
    fn permits(&self, method: &Method, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
            && url.scheme() == self.scheme.as_str()
            && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
            && match (&self.host, host) {
                (HostPattern::Any, _) => true,
                (HostPattern::Below(name), Host::Domain(host)) => {
                    let above = without_dot(host).strip_suffix(name.as_str());
                    above.and_then(|above| above.strip_suffix('.')).is_some_and(|above| !above.is_empty())
                }
                (HostPattern::Below(_), _) => false,
                (HostPattern::Exactly(Host::Domain(name)), Host::Domain(host)) => name == without_dot(host),
                (HostPattern::Exactly(Host::Ipv4(address)), Host::Ipv4(host)) => *address == host,
                (HostPattern::Exactly(Host::Ipv6(address)), Host::Ipv6(host)) => *address == host,
                (HostPattern::Exactly(_), _) => false,
            }
    }
}

impl Line {
    fn covers(&self, wanted: &Self) -> bool {
        let methods = match (&self.methods, &wanted.methods) {
            (None, _) => true,
            (Some(methods), Some(wanted)) => wanted.iter().all(|method| methods.contains(method)),
            (Some(_), None) => false,
        };
        let is_below =
            |name: &str, of: &str| name.strip_suffix(of).is_some_and(|above| above.len() > 1 && above.ends_with('.'));
        let host = match (&self.host, &wanted.host) {
            (HostPattern::Any, _) => true,
            (HostPattern::Below(of), HostPattern::Below(name)) => name == of || is_below(name, of),
            (HostPattern::Below(of), HostPattern::Exactly(Host::Domain(name))) => is_below(name, of),
            (HostPattern::Exactly(host), HostPattern::Exactly(wanted)) => host == wanted,
            _ => false,
        };
        methods && host && self.scheme == wanted.scheme && (self.port.is_none() || self.port == wanted.port)
    }
}

impl AllowList {
    /// The list of these lines.
    pub fn new<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<Self, InvalidLine> {
        let parse = |line: T| {
            let line = line.as_ref().trim();
            line.parse().map_err(|reason| InvalidLine { line: line.to_owned(), reason })
        };
        Ok(Self(lines.into_iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether every request that this line permits is permitted by one line of the list.
    pub(crate) fn covers(&self, line: &str) -> bool {
        line.trim().parse::<Line>().is_ok_and(|wanted| self.0.iter().any(|line| line.covers(&wanted)))
    }

    /// Whether a line permits this request.
    pub(crate) fn permits(&self, method: &Method, url: &Url) -> bool {
        self.0.iter().any(|line| line.permits(method, url))
    }
}

impl FromStr for AllowList {
    type Err = InvalidLine;

    /// Lines with commas between them, as a variable holds them. Commas between methods are no end of a line.
    fn from_str(text: &str) -> Result<Self, InvalidLine> {
        let mut lines: Vec<String> = Vec::new();
        let mut methods = String::new();
        for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
            if piece.contains("://") {
                lines.push(std::mem::take(&mut methods) + piece);
            } else {
                methods += piece;
                methods.push(',');
            }
        }
        if let Some(rest) = methods.strip_suffix(',') {
            lines.push(rest.to_owned());
        }
        Self::new(lines)
    }
}

/// The line that permits one request and no more than its like.
pub(super) struct LineFor<'a>(pub(super) &'a Method, pub(super) &'a Url);

impl fmt::Display for LineFor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(method, url) = self;
        write!(f, "{method} {}://{}", url.scheme(), url.host_str().map(without_dot).unwrap_or_default())?;
        url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(lines: &[&str], request: &str) -> bool {
        let (method, url) = request.split_once(' ').unwrap();
        AllowList::new(lines).unwrap().permits(&method.parse().unwrap(), &Url::parse(url).unwrap())
    }

    #[test]
    fn a_line_covers_what_permits_no_more() {
        let covers = |list: &[&str], line: &str| AllowList::new(list).unwrap().covers(line);
        for (line, wanted) in [
            ("https://*:*", "https://*.a.example:8443"),
            ("https://*.example.com", "https://api.example.com"),
            ("https://*.example.com", "https://*.api.example.com"),
            ("https://*.example.com", "POST https://*.example.com"),
            ("GET,POST https://api.example.com", "POST https://api.example.com:443"),
            ("http://127.0.0.1:*", "http://127.0.0.1:80"),
        ] {
            assert!(covers(&["https://other.example", line], wanted), "{line}: {wanted}");
        }
        for (line, wanted) in [
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://badexample.com"),
            ("https://*.example.com", "https://*"),
            ("https://api.example.com", "https://*.example.com"),
            ("https://api.example.com", "http://api.example.com"),
            ("https://api.example.com", "https://api.example.com:*"),
            ("GET https://api.example.com", "https://api.example.com"),
            ("https://*:*", "nonsense"),
        ] {
            assert!(!covers(&[line], wanted), "{line}: {wanted}");
        }
    }

    #[test]
    fn nothing_is_permitted_unless_a_line_says_so() {
        assert!(!permits(&[], "GET https://example.com/"));
        assert!(permits(&["https://a.example", "https://b.example"], "PURGE https://b.example/deep?x#y"));
    }

    #[test]
    fn a_line_permits_its_methods_scheme_host_and_port() {
        let line = &["GET,POST https://api.example.com"];
        assert!(permits(line, "GET https://api.example.com"));
        assert!(permits(line, "POST https://api.example.com:443/x"));
        for other in [
            "PUT https://api.example.com",
            "GET http://api.example.com",
            "GET https://api.example.com:8443",
            "GET https://example.com",
            "GET https://x.api.example.com",
            "GET https://api.example.com.evil.net",
            "GET https://evilapi.example.com",
            "GET https://api.example.com@evil.net/",
        ] {
            assert!(!permits(line, other), "{other}");
        }
    }

    #[test]
    fn names_are_compared_as_the_web_does() {
        assert!(permits(&["https://API.Example.COM"], "GET https://api.EXAMPLE.com/"));
        assert!(permits(&["https://api.example.com."], "GET https://api.example.com/"));
        assert!(permits(&["https://api.example.com"], "GET https://api.example.com./"));
        assert!(permits(&["https://bücher.example"], "GET https://xn--bcher-kva.example/"));
        assert!(permits(&["https://xn--bcher-kva.example"], "GET https://BÜCHER.example/"));
        assert!(permits(&["http://127.0.0.1"], "GET http://2130706433/"));
        assert!(permits(&["http://[::1]:8080"], "GET http://[0:0::1]:8080/"));
    }

    #[test]
    fn a_star_stands_for_whatever_is_below_a_name_and_not_for_the_name() {
        let line = &["https://*.example.com"];
        assert!(permits(line, "GET https://a.example.com/"));
        assert!(permits(line, "GET https://a.b.example.com./"));
        assert!(!permits(line, "GET https://example.com/"));
        assert!(!permits(line, "GET https://.example.com/"));
        assert!(!permits(line, "GET https://anexample.com/"));
    }

    #[test]
    fn a_star_alone_stands_for_anything_in_its_place() {
        assert!(permits(&["* https://*"], "PATCH https://anything.example/"));
        assert!(!permits(&["https://*"], "GET http://anything.example/"));
        assert!(!permits(&["https://*"], "GET https://anything.example:444/"));
        assert!(permits(&["https://*:*"], "GET https://anything.example:444/"));
        assert!(permits(&["get http://*"], "GET http://[::1]/"));
    }

    #[test]
    fn what_is_no_line_is_refused_with_a_reason() {
        for (line, reason) in [
            ("", "it has neither one nor two words"),
            ("GET https://a https://b", "it has neither one nor two words"),
            ("api.example.com", "it has no scheme"),
            ("ftp://a", "the scheme is neither `https` nor `http`"),
            ("https://a/", "a line has neither path nor query nor user"),
            ("https://u@a", "a line has neither path nor query nor user"),
            ("https://a:", "the port is no port"),
            ("https://a:0", "the port is no port"),
            ("https://a:65536", "the port is no port"),
            ("https://", "the host is no host"),
            ("https://a b", "a method is no method"),
            ("https://a.*.b", "`*` stands for a whole host, or begins one as `*.`"),
            ("https://*.10.0.0.1", "only names have names below them"),
            ("G@T https://a", "a method is no method"),
            ("GET,,POST https://a", "a method is no method"),
        ] {
            let error = AllowList::new([line]).unwrap_err();
            assert_eq!(error.reason, reason, "{line}");
        }
    }

    #[test]
    fn a_variable_has_commas_between_lines_and_between_methods() {
        let list: AllowList = "GET,POST https://a, https://b,PUT http://c".parse().unwrap();
        assert_eq!(list, AllowList::new(["GET,POST https://a", "https://b", "PUT http://c"]).unwrap());
        assert_eq!("".parse::<AllowList>().unwrap(), AllowList::default());
        assert!("https://a,GET".parse::<AllowList>().is_err());
    }

    #[test]
    fn the_line_that_is_suggested_permits_the_request() {
        for request in ["GET https://API.example.com./x?y", "PUT http://[::1]:81/", "GET http://0x7f.1/"] {
            let (method, url) = request.split_once(' ').unwrap();
            let (method, url) = (method.parse().unwrap(), Url::parse(url).unwrap());
            let line = LineFor(&method, &url).to_string();
            assert!(AllowList::new([&line]).unwrap().permits(&method, &url), "{line}");
        }
    }
}
