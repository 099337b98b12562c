//! The value of a setting, and the webhook that it may be.

use flowhost_model::{Digest, WebhookOptions};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::{Code, Problem};
use crate::record::check_options;
use crate::webhook;

/// A setting of this name and more is a webhook.
pub(crate) const WEBHOOK_PREFIX: &str = "client.webhook.";

/// What stands for a key when a setting is read back. Written back, it keeps the key.
pub(crate) const MASK: &str = "********";

/// The shortest key, in characters, unless `options.allow_short_key` is set. Of random letters and digits, that is more than can
/// be guessed at any rate.
pub(crate) const KEY_LEAST: usize = 16;

/// The longest key, in characters.
pub(crate) const KEY_LIMIT: usize = 128;

/// The largest value of a setting, as text in bytes.
pub(crate) const VALUE_LIMIT: usize = 1 << 20;

/// The value of a setting that is a webhook, without its key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSetting {
    pub(crate) flow_name: String,
    pub(crate) user_name: String,
    #[serde(default)]
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) options: WebhookOptions,
}

/// The mode of a webhook in the setting form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Mode {
    /// Development mode.
    #[serde(rename = "dev", alias = "development")]
    Development,
    /// Productive mode.
    #[default]
    #[serde(rename = "productive", alias = "prod")]
    Productive,
}

impl Mode {
    pub(crate) fn is_productive(self) -> bool {
        self == Self::Productive
    }
}

impl WebhookSetting {
    pub(crate) fn from_value(value: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(value)
    }
}

/// The member that holds a webhook's key.
fn webhook_key() -> &'static str {
    "key"
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::RecordInvalid, detail)
}

/// A setting's value from its text: JSON, or else YAML, which every JSON text is as well but for its numbers.
///
/// # Errors
///
/// `record.invalid` if the text is neither, or has no value in it; `request.too-large` if it is too long.
pub fn parse_setting_value(text: &str) -> Result<Value, Problem> {
    if text.len() > VALUE_LIMIT {
        return Err(Problem::new(Code::TooLarge, format!("a setting's value has at most {VALUE_LIMIT} bytes")));
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    // YAML reads such a text as null, and it is more likely the output of a command that failed.
    if !has_value(text) {
        let how = "write `null` to store null, or `\"\"` to store an empty text";
        return Err(invalid(format!("the text holds no value; {how}")));
    }
    let options = serde_saphyr::options! {
        // What aliases repeat counts, too: a text of a few hundred bytes may stand for gigabytes.
        budget: serde_saphyr::budget! { max_total_scalar_bytes: VALUE_LIMIT },
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| invalid(format!("the value is neither JSON nor YAML: {error}")))
}

/// Returns whether a text holds more than blanks, comments and YAML's marks of a document's begin and end.
fn has_value(text: &str) -> bool {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.into_iter().any(|line| !matches!(line, "" | "---" | "...") && !line.starts_with('#'))
}

/// Checks a webhook's value and takes the key out of it.
pub(crate) fn take_key(value: &mut Value, former: Option<Digest>) -> Result<Option<Digest>, Problem> {
    let webhook = WebhookSetting::from_value(value).map_err(|error| {
        let fields = "`flow_name`, `user_name`, `key` (optional), `mode: dev` (optional) and `options` (optional)";
        invalid(format!("a webhook's setting has {fields}: {error}"))
    })?;
    check_options(&webhook.options)?;
    let written = value.as_object_mut().and_then(|members| members.shift_remove(webhook_key()));
    match webhook.key.as_deref() {
        // A key that came out empty, of a template for example, must not open the webhook to everybody.
        None if written.is_some() => Err(invalid("`key`: it is empty; leave it out for a webhook without a key")),
        None => Ok(None),
        Some(MASK) if former.is_none() => {
            Err(invalid(format!("`key`: {MASK} stands for the key that a setting has, and this one has none")))
        }
        Some(MASK) => Ok(former),
        Some(key) => Ok(Some(check_key(key, &webhook.options)?)),
    }
}

/// The digest of a key that may be set.
pub(crate) fn check_key(key: &str, options: &WebhookOptions) -> Result<Digest, Problem> {
    if key.is_empty() {
        return Err(invalid("`key`: it must not be empty"));
    }
    if key.trim() != key || key.chars().any(char::is_control) {
        return Err(invalid(
            "`key`: no header can carry it: it begins or ends with a blank, or has a line break in it",
        ));
    }
    let length = key.chars().count();
    if length < KEY_LEAST && !options.allow_short_key {
        return Err(invalid(format!(
            "`key`: it has {length} characters, and at least {KEY_LEAST} are needed; use a long random key, or set \
             `options.allow_short_key` if the sender cannot"
        )));
    }
    if length > KEY_LIMIT {
        return Err(invalid(format!("`key`: it has at most {KEY_LIMIT} characters")));
    }
    Ok(webhook::key_digest(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_briefs_setting_is_understood() {
        let mut value = parse_setting_value("flow_name: signup\nuser_name: kevin\nkey: my-secret-api-key\n").unwrap();
        let key = take_key(&mut value, None).unwrap();
        assert_eq!(key, Some(webhook::key_digest(b"my-secret-api-key")));
        assert_eq!(value.to_string(), r#"{"flow_name":"signup","user_name":"kevin"}"#);
    }

    #[test]
    fn yaml_that_stands_for_far_more_than_it_is_is_refused() {
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(50));
        let levels = (1..20).map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{},", level - 1).repeat(9)));
        let nested = format!("a0: &a0 x\n{}", levels.collect::<String>());
        for bomb in [long, nested] {
            assert_eq!(parse_setting_value(&bomb).unwrap_err().code, Code::RecordInvalid);
        }
        let aliases = parse_setting_value("a: &a {b: 1}\nc: [*a, *a]\n").unwrap();
        assert_eq!(aliases.to_string(), r#"{"a":{"b":1},"c":[{"b":1},{"b":1}]}"#);
    }

    #[test]
    fn text_without_a_value_is_refused() {
        for empty in ["", " \n\t\n", "\u{feff}", "# nothing\n", "---\n...\n"] {
            let refused = parse_setting_value(empty).unwrap_err();
            assert_eq!(refused.code, Code::RecordInvalid, "{empty:?}");
            assert!(refused.detail.contains("`null`") && refused.detail.contains("`\"\"`"), "{}", refused.detail);
        }
        for null in ["null", "~", "# none\nnull\n", "--- ~"] {
            assert_eq!(parse_setting_value(null).unwrap(), Value::Null, "{null:?}");
        }
        assert_eq!(parse_setting_value("\"\"").unwrap(), "");
    }

    #[test]
    fn short_key_is_refused_unless_it_is_allowed() {
        let take = |key: &str, options: &str| {
            let text = format!("flow_name: f\nuser_name: u\nkey: {key}\noptions: {options}\n");
            take_key(&mut parse_setting_value(&text).unwrap(), None)
        };
        let refused = take("fifteen-letters", "{}").unwrap_err();
        assert!(refused.detail.contains("15 characters") && refused.detail.contains("allow_short_key"));
        assert!(take("sixteen-letters-", "{}").is_ok());
        assert!(take("k", "{ allow_short_key: true }").is_ok());
    }

    #[test]
    fn a_masked_key_keeps_the_former() {
        let mut value =
            parse_setting_value(r#"{"flow_name":"f","user_name":"u","key":"********","mode":"dev"}"#).unwrap();
        let former = Some(Digest([1; 32]));
        assert_eq!(take_key(&mut value, former).unwrap(), former);
        assert!(!WebhookSetting::from_value(&value).unwrap().mode.is_productive());
    }

    #[test]
    fn neither_an_empty_key_nor_a_mask_of_none_opens_a_webhook() {
        for key in ["", "''", "null", "'********'"] {
            let mut value = parse_setting_value(&format!("flow_name: f\nuser_name: u\nkey: {key}\n")).unwrap();
            let refused = take_key(&mut value, None).unwrap_err();
            assert!(refused.detail.contains("`key`"), "{}", refused.detail);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_is_wrong() {
        let refused =
            |text: &str| parse_setting_value(text).and_then(|mut value| take_key(&mut value, None)).unwrap_err();
        assert!(refused("flow_name: f\nuser_name: u\nmood: dev").detail.contains("mood"));
        assert!(refused("flow_name: f").detail.contains("user_name"));
        assert!(refused("- a").detail.contains("flow_name"));
        let unclosed = refused("flow_name: \"f\nuser_name: u\n");
        assert_eq!(unclosed.code, Code::RecordInvalid);
        assert!(unclosed.detail.contains("line"), "{}", unclosed.detail);
    }
}
