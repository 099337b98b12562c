//! Reminds of something at a given time, or after a while.
//!
//! The payload has a `name`, a `text`, and either the time `at` which to remind, or how long to wait: `in_seconds`. The flow keeps
//! the reminder in the setting `reminder.NAME`, sleeps, and then marks it there as `reminded_at`, for whoever shows it. Minutes
//! or months may pass, and restarts of the host. Whoever deletes the setting meanwhile, or sets another reminder of the same
//! name, has called it off.
//!
//! ```sh
//! flowhost webhook create reminder --flow reminder --role Developer --enable
//! curl 'http://127.0.0.1:8080/api/latest/webhook/reminder/call?async' -d @requests/tea.json
//! curl 'http://127.0.0.1:8080/api/latest/webhook/reminder/call?async' -d @requests/birthday.json
//! ```

use std::time::{Duration, SystemTime};

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The payload.
#[derive(Deserialize)]
struct Wanted {
    name: String,
    text: String,
    at: Option<Timestamp>,
    in_seconds: Option<u64>,
}

/// The value of the setting.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Reminder {
    text: String,
    due: Timestamp,
    /// Tells it from another of the same name.
    execution: String,
    reminded_at: Option<Timestamp>,
}

#[flow]
fn reminder(this: &Execution, wanted: Input<Wanted>) -> Result<Outputs, FlowError> {
    let wanted = wanted.json;
    let setting = format!("reminder.{}", wanted.name);
    let (due, wait) = match (wanted.at, wanted.in_seconds) {
        (Some(at), None) => (at, None),
        (None, Some(seconds)) => {
            let wait = Duration::from_secs(seconds);
            (after(this.now(), wait)?, Some(wait))
        }
        _ => return Err(FlowError::invalid_input("a reminder has either `at` or `in_seconds`")),
    };
    let reminder = Reminder { text: wanted.text, due, execution: this.id(), reminded_at: None };
    this.settings().save(&setting, &reminder)?;
    this.progress(format_args!("reminds at {due}"));
    let slept = match wait {
        Some(wait) => this.sleep().for_duration(wait),
        None => this.sleep().until(due.into()),
    };
    if let Err(refused) = slept {
        this.settings().delete(&setting)?;
        return Err(refused.into());
    }
    remind(this, &setting, &reminder)
}

/// The time so long after another.
fn after(now: SystemTime, wait: Duration) -> Result<Timestamp, FlowError> {
    let too_far = || FlowError::invalid_input("`in_seconds` is too far in the future");
    let due = now.checked_add(wait).ok_or_else(too_far)?;
    Timestamp::try_from(due).map_err(|_| too_far())
}

/// Marks the reminder, unless it is not the one in the setting any more.
fn remind(this: &Execution, setting: &str, reminder: &Reminder) -> Result<Outputs, FlowError> {
    let reminded = Reminder { reminded_at: Some(this.now().try_into()?), ..reminder.clone() };
    if this.settings().compare_and_set(setting, Some(reminder), Some(&reminded))? {
        this.info(&reminded.text);
        Outputs::of(&reminded)
    } else {
        this.info("called off");
        Outputs::of(reminder)
    }
}

#[cfg(test)]
mod tests {
    use flowhost_guest::json;

    use super::*;

    const NINE: &str = "2027-03-01T09:00:00Z";

    fn at_nine() -> Execution {
        Execution::for_test().with_now(NINE.parse::<Timestamp>().unwrap().into())
    }

    fn set(this: &Execution, payload: &str) -> Result<Outputs, FlowError> {
        reminder(this, Input::from_json(payload)?)
    }

    #[test]
    fn it_reminds_after_a_while() {
        let this = at_nine();
        let outputs = set(&this, include_str!("../requests/tea.json")).unwrap();
        assert_eq!(this.slept(), [Duration::from_secs(240)]);
        assert_eq!(this.progress_told(), ["reminds at 2027-03-01T09:04:00Z"]);
        assert_eq!(this.logged()[0].message, "The tea is ready");
        let expected = json!({
            "text": "The tea is ready",
            "due": "2027-03-01T09:04:00Z",
            "execution": this.id(),
            "reminded_at": "2027-03-01T09:04:00Z",
        });
        assert_eq!(this.settings_saved()["reminder.tea"], expected);
        assert_eq!(outputs, Outputs::from(expected));
    }

    #[test]
    fn it_reminds_at_a_time() {
        let this = at_nine();
        set(&this, include_str!("../requests/birthday.json")).unwrap();
        assert_eq!(this.settings_saved()["reminder.birthday"]["reminded_at"], "2030-12-10T07:00:00Z");
    }

    #[test]
    fn what_is_overdue_is_reminded_of_at_once() {
        let this = at_nine();
        set(&this, r#"{ "name": "call", "text": "Call Ada", "at": "2027-02-28T09:00:00Z" }"#).unwrap();
        assert_eq!(this.slept(), [Duration::ZERO]);
        assert_eq!(this.settings_saved()["reminder.call"]["reminded_at"], NINE);
    }

    #[test]
    fn what_was_called_off_is_not_reminded_of() {
        let this = at_nine();
        let due = NINE.parse().unwrap();
        let reminder = Reminder { text: "Call Ada".into(), due, execution: this.id(), reminded_at: None };
        let outputs = remind(&this, "reminder.call", &reminder).unwrap();
        assert_eq!(outputs.get("reminded_at"), Some(&json!(null)));
        assert!(this.settings_saved().is_empty());
        assert_eq!(this.logged()[0].message, "called off");
    }

    #[test]
    fn the_time_is_given_once() {
        for (times, message) in [
            ("", "a reminder has either `at` or `in_seconds`"),
            (r#", "at": "2027-03-01T10:00:00Z", "in_seconds": 1"#, "a reminder has either `at` or `in_seconds`"),
            (r#", "in_seconds": 1000000000000000"#, "`in_seconds` is too far in the future"),
        ] {
            let error = set(&at_nine(), &format!(r#"{{ "name": "a", "text": "b"{times} }}"#)).unwrap_err();
            assert_eq!((error.message(), error.code()), (message, Some(FlowError::INVALID_INPUT)));
        }
    }

    #[test]
    fn what_is_too_far_off_leaves_nothing_behind() {
        let this = at_nine();
        let error = set(&this, r#"{ "name": "a", "text": "b", "in_seconds": 1000000000 }"#).unwrap_err();
        assert_eq!(error.code(), Some("sleep.too-long"));
        assert!(this.settings_saved().is_empty());
    }
}
