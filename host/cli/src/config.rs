//! The configuration of `flowhost serve`: `DIR/config.toml`, then the environment, then flags; what comes later wins.

use std::fmt;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use flowhost::{AllowList, BODY_BYTES_CAP, HttpPolicy, IpNet, Limits, SecretKeys};
use flowhost_server::{AccessLogTarget, ServerOptions};

/// The file in the data folder.
const FILE: &str = "config.toml";

/// What the names of variables begin with.
const PREFIX: &str = "FLOWHOST_";

/// Variables with this prefix that are no configuration of `serve`.
const OTHER_VARIABLES: [&str; 8] = [
    "FLOWHOST_DATA",
    "FLOWHOST_KEY",
    "FLOWHOST_PLAIN_HTTP",
    SECRET_KEY,
    "FLOWHOST_SERVER",
    "FLOWHOST_TOKEN",
    "FLOWHOST_LOG",
    "FLOWHOST_LOG_FORMAT",
];

/// The variable that may hold the keys for secrets themselves, in place of a file that holds them.
const SECRET_KEY: &str = "FLOWHOST_SECRET_KEY";

/// How much two names must be alike, from 0 to 1, for one to be suggested in place of the other.
const ALIKE: f64 = 0.8;

/// The configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workspace: String,
    /// The file with the keys for secrets.
    secret_key_file: Option<PathBuf>,
    /// The keys for secrets themselves, from the environment.
    secret_key: Option<Hidden>,
    pub(crate) limits: Limits,
    pub(crate) http: HttpPolicy,
    pub(crate) server: ServerOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workspace: "default".into(),
            secret_key_file: None,
            secret_key: None,
            limits: Limits::default(),
            http: HttpPolicy::default(),
            server: ServerOptions::default(),
        }
    }
}

/// A text that nothing shows.
#[derive(Clone)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What is wrong with the configuration, and where.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: String,
    what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A key whose value is a whole number.
struct Number {
    name: &'static str,
    least: u64,
    most: u64,
    get: fn(&Config) -> u64,
    set: fn(&mut Config, u64),
}

/// The longest time that can be set: a year in milliseconds.
const LONGEST_MS: u64 = 365 * 24 * 3600 * 1000;

/// The most bytes of memory or log that one execution may be given: what 32-bit wasm can address.
const ADDRESSABLE: u64 = 4 << 30;

macro_rules! numbers {
    (@get duration $field:expr) => { u64::try_from($field.as_millis()).unwrap_or(u64::MAX) };
    (@get optional $field:expr) => { $field.unwrap_or(0) };
    (@get $kind:ident $field:expr) => { u64::try_from($field).unwrap_or(u64::MAX) };
    (@set duration $field:expr, $value:expr) => { $field = Duration::from_millis($value) };
    (@set optional $field:expr, $value:expr) => { $field = Some($value).filter(|value| *value > 0) };
    (@set $kind:ident $field:expr, $value:expr) => { $field = $kind::try_from($value).unwrap_or($kind::MAX) };
    ($($name:ident: $kind:ident = $($field:ident).+, $least:expr, $most:expr;)*) => {
        &[$(Number {
            name: stringify!($name),
            least: $least,
            most: $most,
            get: |config| numbers!(@get $kind config.$($field).+),
            set: |config, value| numbers!(@set $kind config.$($field).+, value),
        }),*]
    };
}

/// Every number that can be set. `docs/operating.md` says what each is for.
const NUMBERS: &[Number] = numbers! {
    cpu_ms: duration = limits.budget.cpu, 1, LONGEST_MS;
    wall_ms: duration = limits.budget.wall, 1, LONGEST_MS;
    memory_bytes: usize = limits.budget.memory_bytes, 64 << 10, ADDRESSABLE;
    output_bytes: usize = limits.budget.output_bytes, 2, ADDRESSABLE;
    log_bytes: usize = limits.budget.log_bytes, 0, ADDRESSABLE;
    handles: usize = limits.budget.handles, 1, 1_000_000;
    journal_entries: u64 = limits.budget.journal_entries, 1, 10_000_000;
    journal_bytes: usize = limits.budget.journal_bytes, 1_024, ADDRESSABLE;
    executions: u32 = limits.executions, 1, 10_000;
    queued: u32 = limits.queued, 0, 100_000_000;
    queue_bytes: u64 = limits.queue_bytes, 0, 1 << 40;
    guest_bytes: optional = limits.guest_bytes, 0, 1 << 50;
    admission_wait_ms: duration = limits.admission_wait, 0, LONGEST_MS;
    wait_ms: duration = limits.wait, 1, LONGEST_MS;
    body_stall_ms: duration = limits.body_stall, 1, LONGEST_MS;
    body_silence_ms: duration = limits.body_silence, 1, LONGEST_MS;
    unload_ms: duration = limits.unload, 1, LONGEST_MS;
    children: u32 = limits.children, 0, 1_000_000;
    child_depth: u32 = limits.child_depth, 0, 1_000;
    body_bytes: u64 = limits.body_bytes, 0, BODY_BYTES_CAP;
    data_bytes: optional = limits.data_bytes, 0, 1 << 50;
    file_bytes: u64 = limits.file_bytes, 0, 1 << 30;
    list_ms: duration = limits.list, 1, LONGEST_MS;
    ticket_ms: duration = limits.ticket, 1_000, LONGEST_MS;
    session_ms: duration = limits.session, 1_000, LONGEST_MS;
    development_ms: duration = limits.development, 0, LONGEST_MS;
    compile_component_bytes: u64 = limits.compile.component_bytes, 8, 1 << 30;
    compile_time_ms: duration = limits.compile.time, 1, LONGEST_MS;
    compile_memory_bytes: u64 = limits.compile.memory_bytes, 256 << 20, 1 << 40;
    compile_artifact_bytes: u64 = limits.compile.artifact_bytes, 1 << 20, 4 << 30;
    compile_parallel: usize = limits.compile.parallel, 1, 64;
    http_body_bytes: u64 = limits.http.body_bytes, 0, BODY_BYTES_CAP;
    http_time_ms: duration = limits.http.time, 1, LONGEST_MS;
    http_total_ms: duration = limits.http.total, 1, LONGEST_MS;
    http_connect_ms: duration = limits.http.connect, 1, LONGEST_MS;
    http_requests: u32 = limits.http.requests, 0, 1_000_000;
    http_parallel: u32 = limits.http.parallel, 1, 10_000;
    http_host_parallel: u32 = limits.http.host_parallel, 1, 10_000;
    max_connections: usize = server.max_connections, 1, 1_000_000;
    request_bytes: u64 = server.request_bytes, 1 << 20, 1 << 40;
    answer_bytes: u64 = server.answer_bytes, 1 << 20, 1 << 40;
    header_timeout_ms: duration = server.header_timeout, 1, LONGEST_MS;
    body_timeout_ms: duration = server.body_timeout, 1, LONGEST_MS;
    idle_timeout_ms: duration = server.idle_timeout, 1, LONGEST_MS;
    drain_timeout_ms: duration = server.drain_timeout, 0, LONGEST_MS;
};

/// Keys whose value is text.
const TEXTS: [&str; 6] = ["listen", "workspace", "http_ca_file", "public_url", "secret_key_file", "access_log"];

/// Keys whose value is a list of texts; in a variable or a flag there are commas between them.
const LISTS: [&str; 3] = ["http_allow", "http_private", "trusted_proxies"];

impl Config {
    /// The configuration of a data folder, its file and the process's environment.
    ///
    /// Gives the configuration, and the variables that look like configuration but are none.
    pub(crate) fn load(data: &Path, variables: Vec<(String, String)>) -> Result<(Self, Vec<String>), ConfigError> {
        let mut config = Self::default();
        config.apply_file(&data.join(FILE))?;
        let unknown = config.apply_variables(variables)?;
        Ok((config, unknown))
    }

    /// Applies a flag of the form `KEY=VALUE`.
    pub(crate) fn apply_flag(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let place = format!("--set {assignment}");
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(ConfigError { place, what: "expected KEY=VALUE".into() });
        };
        self.apply_text(key.trim(), value.trim(), &place)
    }

    /// Applies the value of a key, as it is written in a variable or a flag.
    pub(crate) fn apply_text(&mut self, key: &str, value: &str, place: &str) -> Result<(), ConfigError> {
        let wrong = |what: String| ConfigError { place: place.to_owned(), what };
        match key {
            "listen" => self.server.listen = parsed(key, value, "an address such as 127.0.0.1:8080", place)?,
            "workspace" => value.clone_into(&mut self.workspace),
            "http_ca_file" => self.http.ca_file = Some(value).filter(|file| !file.is_empty()).map(PathBuf::from),
            "http_allow" => {
                let allow: Result<AllowList, _> = value.parse();
                self.http.allow = allow.map_err(|error| wrong(format!("`http_allow`: {error}")))?;
            }
            "http_private" => self.http.private = networks(key, value, place)?,
            "public_url" => {
                let is_url = |scheme: &str| value.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
                if !value.is_empty() && !is_url("https://") && !is_url("http://") {
                    return Err(wrong("`public_url` must be a URL such as https://flows.example.com".into()));
                }
                self.server.public_url = Some(value.to_owned()).filter(|url| !url.is_empty());
            }
            "access_log" => {
                self.server.access_log = match value {
                    "" => None,
                    "-" => Some(AccessLogTarget::StandardError),
                    file => Some(AccessLogTarget::File(file.into())),
                };
            }
            "trusted_proxies" => self.server.trusted_proxies = networks(key, value, place)?,
            "secret_key_file" => self.secret_key_file = Some(PathBuf::from(value)).filter(|_| !value.is_empty()),
            _ => {
                let number = number(key).ok_or_else(|| wrong(unknown(key)))?;
                let value = parsed(key, value, "a whole number", place)?;
                if !(number.least..=number.most).contains(&value) {
                    let Number { least, most, .. } = number;
                    return Err(wrong(format!("`{key}` must be from {least} to {most}, not {value}")));
                }
                (number.set)(self, value);
            }
        }
        Ok(())
    }

    /// The keys for secrets; none where none are configured.
    pub(crate) fn secret_keys(&self, data: &Path) -> Result<SecretKeys, ConfigError> {
        let wrong = |place: &str, what: String| ConfigError { place: place.to_owned(), what };
        match (&self.secret_key_file, &self.secret_key) {
            (None, None) => Ok(SecretKeys::default()),
            (Some(file), None) => {
                SecretKeys::from_file(file, data).map_err(|error| wrong("secret_key_file", error.to_string()))
            }
            // Lines are hard to write into some environments.
            (None, Some(Hidden(keys))) => {
                SecretKeys::parse(&keys.split_ascii_whitespace().collect::<Vec<_>>().join("\n"))
                    .map_err(|error| wrong(SECRET_KEY, error.to_string()))
            }
            (Some(_), Some(_)) => {
                Err(wrong(SECRET_KEY, "is set, and so is `secret_key_file`; keep the keys in one of them".into()))
            }
        }
    }

    /// The numbers that differ from their defaults, for the log of a start.
    pub(crate) fn changed(&self) -> Vec<(&'static str, u64)> {
        let default = Self::default();
        let changed = NUMBERS.iter().filter(|number| (number.get)(self) != (number.get)(&default));
        changed.map(|number| (number.name, (number.get)(self))).collect()
    }

    fn apply_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let place = file.display().to_string();
        let wrong = |what: String| ConfigError { place: place.clone(), what };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            // Whether there can be a data folder here is for the host to say.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        for (key, value) in table {
            match value {
                toml::Value::String(text) if TEXTS.contains(&key.as_str()) => self.apply_text(&key, &text, &place)?,
                toml::Value::Integer(value) if !TEXTS.contains(&key.as_str()) => {
                    self.apply_text(&key, &value.to_string(), &place)?;
                }
                toml::Value::Array(items) if LISTS.contains(&key.as_str()) => {
                    let texts = items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>();
                    let texts = texts.ok_or_else(|| wrong(format!("`{key}` must be a list of texts in quotes")))?;
                    self.apply_text(&key, &texts.join(","), &place)?;
                }
                _ if LISTS.contains(&key.as_str()) => {
                    return Err(wrong(format!("`{key}` must be a list of texts in quotes")));
                }
                _ if TEXTS.contains(&key.as_str()) => return Err(wrong(format!("`{key}` must be text in quotes"))),
                _ if number(&key).is_some() => return Err(wrong(format!("`{key}` must be a whole number"))),
                _ => return Err(wrong(unknown(&key))),
            }
        }
        Ok(())
    }

    fn apply_variables(&mut self, variables: Vec<(String, String)>) -> Result<Vec<String>, ConfigError> {
        let mut others = Vec::new();
        for (variable, value) in variables {
            let Some(key) = variable.strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
            if TEXTS.contains(&key.as_str()) || LISTS.contains(&key.as_str()) || number(&key).is_some() {
                self.apply_text(&key, &value, &variable)?;
            } else if variable == SECRET_KEY {
                self.secret_key = Some(Hidden(value)).filter(|Hidden(keys)| !keys.trim().is_empty());
            } else if !OTHER_VARIABLES.contains(&variable.as_str()) {
                // Told, not refused: where services find each other by variables, others make some with this prefix.
                others.push(variable);
            }
        }
        Ok(others)
    }
}

fn number(key: &str) -> Option<&'static Number> {
    NUMBERS.iter().find(|number| number.name == key)
}

fn parsed<T: FromStr>(key: &str, value: &str, expected: &str, place: &str) -> Result<T, ConfigError> {
    let wrong = |_| ConfigError { place: place.to_owned(), what: format!("`{key}` must be {expected}, not `{value}`") };
    value.parse().map_err(wrong)
}

/// The networks of a list. An address alone is a network of one.
fn networks(key: &str, value: &str, place: &str) -> Result<Vec<IpNet>, ConfigError> {
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match item.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => parsed(key, item, "networks such as 10.0.0.0/8", place),
        })
        .collect()
}

fn unknown(key: &str) -> String {
    let names = NUMBERS.iter().map(|number| number.name).chain(TEXTS).chain(LISTS);
    let nearest = names
        .map(|name| (strsim::jaro_winkler(key, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((_, name)) => format!("there is no `{key}`; did you mean `{name}`?"),
        None => format!("there is no `{key}`; docs/operating.md lists what can be set"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn load(file: &str, of: &[(&str, &str)]) -> Result<(Config, Vec<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), file).unwrap();
        let path = format!("{}/", folder.path().display());
        Config::load(folder.path(), variables(of)).map_err(|error| error.to_string().replace(&path, ""))
    }

    #[test]
    fn flags_win_over_variables_and_these_over_the_file() {
        let file = "listen = \"127.0.0.1:1\"\nworkspace = \"file\"\ncpu_ms = 1\nwall_ms = 2\n";
        let (mut config, _) = load(file, &[("FLOWHOST_LISTEN", "[::1]:2"), ("FLOWHOST_CPU_MS", "3")]).unwrap();
        config.apply_flag("listen=0.0.0.0:3").unwrap();
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:3");
        assert_eq!(config.workspace, "file");
        assert_eq!(config.limits.budget.cpu, Duration::from_millis(3));
        assert_eq!(config.limits.budget.wall, Duration::from_millis(2));
    }

    #[test]
    fn a_mistake_names_its_place() {
        for (file, expected) in [
            ("cpu_mss = 5", "config.toml: there is no `cpu_mss`; did you mean `cpu_ms`?"),
            ("zzz = 5", "config.toml: there is no `zzz`; docs/operating.md lists what can be set"),
            ("[zzz]\ncpu_ms = 5", "config.toml: there is no `zzz`; docs/operating.md lists what can be set"),
            ("cpu_ms = \"5\"", "config.toml: `cpu_ms` must be a whole number"),
            ("cpu_ms = -5", "config.toml: `cpu_ms` must be a whole number, not `-5`"),
            ("body_bytes = 16777217", "config.toml: `body_bytes` must be from 0 to 16777216, not 16777217"),
            ("http_allow = \"https://a\"", "config.toml: `http_allow` must be a list of texts in quotes"),
            ("http_allow = [1]", "config.toml: `http_allow` must be a list of texts in quotes"),
            (
                "http_private = [\"10.0.0.0/33\"]",
                "config.toml: `http_private` must be networks such as 10.0.0.0/8, not `10.0.0.0/33`",
            ),
            ("listen = 8080", "config.toml: `listen` must be text in quotes"),
            (
                "public_url = \"flows.example.com\"",
                "config.toml: `public_url` must be a URL such as https://flows.example.com",
            ),
            ("listen = \"8080\"", "config.toml: `listen` must be an address such as 127.0.0.1:8080, not `8080`"),
        ] {
            assert_eq!(load(file, &[]).unwrap_err(), expected);
        }
        assert!(load("cpu_ms = ", &[]).unwrap_err().starts_with("config.toml: "));
        let error = load("", &[("FLOWHOST_CPU_MS", "x")]).unwrap_err();
        assert_eq!(error, "FLOWHOST_CPU_MS: `cpu_ms` must be a whole number, not `x`");
        assert_eq!(Config::default().apply_flag("cpu_ms").unwrap_err().to_string(), "--set cpu_ms: expected KEY=VALUE");
    }

    #[test]
    fn a_list_is_an_array_in_the_file_and_has_commas_elsewhere() {
        let file =
            "http_allow = [\"GET,POST https://a.example\", \"https://b.example\"]\nhttp_private = [\"10.0.0.0/8\"]\n";
        let (config, _) = load(file, &[("FLOWHOST_HTTP_PRIVATE", "127.0.0.0/8, ::1/128")]).unwrap();
        let lines = ["GET,POST https://a.example", "https://b.example"];
        assert_eq!(config.http.allow, AllowList::new(lines).unwrap());
        assert_eq!(config.http.private, ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()));
        let mut flagged = Config::default();
        flagged.apply_flag("http_allow=GET,POST https://a.example,https://b.example").unwrap();
        assert_eq!(flagged.http.allow, config.http.allow);
        let error = load("http_allow = [\"a.example\"]", &[]).unwrap_err();
        assert!(error.starts_with("config.toml: `http_allow`: `a.example` is no line of an allow-list"), "{error}");
    }

    #[test]
    fn foreign_variables_are_told() {
        let (_, others) = load("", &[("FLOWHOST_TOKEN", "x"), ("FLOWHOST_PORT", "tcp://x"), ("PATH", "x")]).unwrap();
        assert_eq!(others, ["FLOWHOST_PORT"]);
    }

    #[test]
    fn every_number_can_be_set_and_its_default_stands_in_the_documentation() {
        let documentation = include_str!("../../../docs/operating.md");
        for number in NUMBERS {
            let mut config = Config::default();
            let default = (number.get)(&config);
            assert!((number.least..=number.most).contains(&default), "{}", number.name);
            let row = format!("| `{}` | {default} |", number.name);
            assert!(documentation.contains(&row), "docs/operating.md lacks `{row}`");
            config.apply_flag(&format!("{}={}", number.name, number.most)).unwrap();
            assert_eq!(config.changed(), [(number.name, number.most)]);
        }
    }
}
