//! Takes sign-ups for a newsletter from a web page's form or from another program.
//!
//! The payload has an `email`, a `name` and, if the person ticked them, the `topics` to write about. The flow checks them,
//! brings them into one form and returns the entry for the list. An entry is identified by its e-mail address, so that a
//! second click of the same person can be recognised by whoever keeps the list.
//!
//! ```sh
//! flowhost webhook create signup --flow signup --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/signup/call -d @requests/signup.json
//! curl http://127.0.0.1:8080/api/latest/webhook/signup/call -d @requests/no-email.json   # 422, names the field
//! ```

use flowhost_guest::{Execution, FlowError, Input, Level, Outputs, flow, form, json};
use serde::{Deserialize, Serialize};

/// What is written about; a person who names nothing gets the first.
const TOPICS: [&str; 3] = ["releases", "events", "jobs"];

/// The longest address that mail servers must accept (RFC 5321, 4.5.3.1.3, without its angle brackets), in bytes.
const LONGEST_EMAIL: usize = 254;

/// The payload.
#[derive(Deserialize)]
struct Signup {
    email: String,
    name: String,
    #[serde(default, deserialize_with = "form::many")]
    topics: Vec<String>,
}

/// The outputs.
#[derive(Serialize)]
struct Entry {
    email: String,
    name: String,
    topics: Vec<String>,
    greeting: String,
}

#[flow]
fn signup(this: &Execution, input: Input<Signup>) -> Result<Outputs, FlowError> {
    let email = checked_email(&input.email)?;
    let name = checked_name(&input.name)?;
    let topics = checked_topics(&input.topics)?;
    this.log(Level::Info, "signed up", &json!({ "email": email, "topics": topics }));

    let greeting = format!("Welcome, {name}! We will write to {email}.");
    Outputs::of(&Entry { email, name, topics, greeting })
}

/// The address without spaces around it and with its domain in lower case, which does not matter to mail servers.
fn checked_email(email: &str) -> Result<String, FlowError> {
    let email = email.trim();
    let (user, domain) = email.rsplit_once('@').unwrap_or_default();
    let labels_fit = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    if user.is_empty() || !labels_fit || email.len() > LONGEST_EMAIL || email.contains(char::is_whitespace) {
        return Err(rejected("email", &format!("`{email}` is not an e-mail address")));
    }
    Ok(format!("{user}@{}", domain.to_lowercase()))
}

/// The name with single spaces.
fn checked_name(name: &str) -> Result<String, FlowError> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { Err(rejected("name", "the name is empty")) } else { Ok(name) }
}

fn checked_topics(topics: &[String]) -> Result<Vec<String>, FlowError> {
    if let Some(unknown) = topics.iter().find(|topic| !TOPICS.contains(&topic.as_str())) {
        return Err(rejected("topics", &format!("nothing is written about `{unknown}`, only {}", TOPICS.join(", "))));
    }
    Ok(if topics.is_empty() { vec![TOPICS[0].into()] } else { topics.to_vec() })
}

/// The caller's mistake, with the field for the page to mark.
fn rejected(field: &str, why: &str) -> FlowError {
    FlowError::invalid_input(why).with_details(json!({ "field": field }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(payload: &str) -> Result<Outputs, FlowError> {
        signup(&Execution::for_test(), Input::from_json(payload)?)
    }

    #[test]
    fn a_signup_becomes_an_entry() {
        let outputs = call(include_str!("../requests/signup.json")).unwrap();
        let expected = json!({
            "email": "ada.lovelace@example.org",
            "name": "Ada Lovelace",
            "topics": ["releases", "events"],
            "greeting": "Welcome, Ada Lovelace! We will write to ada.lovelace@example.org.",
        });
        assert_eq!(outputs, Outputs::from(expected));
    }

    #[test]
    fn a_form_may_send_one_topic_or_none() {
        let topics = |payload| call(payload).unwrap().get("topics").unwrap().clone();
        assert_eq!(topics(r#"{"email": "a@b.org", "name": "A", "topics": "jobs"}"#), json!(["jobs"]));
        assert_eq!(topics(r#"{"email": "a@b.org", "name": "A"}"#), json!(["releases"]));
    }

    #[test]
    fn a_mistake_names_its_field() {
        for (payload, field, message) in [
            (include_str!("../requests/no-email.json"), "email", "the input does not fit: `email`: missing"),
            (r#"{"email": "a.b.org", "name": "A"}"#, "email", "`a.b.org` is not an e-mail address"),
            (r#"{"email": "a@b.", "name": "A"}"#, "email", "`a@b.` is not an e-mail address"),
            (r#"{"email": "a@b.org", "name": "  "}"#, "name", "the name is empty"),
            (
                r#"{"email": "a@b.org", "name": "A", "topics": ["cats"]}"#,
                "topics",
                "nothing is written about `cats`, only releases, events, jobs",
            ),
        ] {
            let error = call(payload).unwrap_err();
            assert_eq!((error.message(), error.code()), (message, Some(FlowError::INVALID_INPUT)));
            assert_eq!(error.details().unwrap()["field"], field);
        }
    }

    #[test]
    fn the_log_says_who_signed_up() {
        let this = Execution::for_test();
        let input = Signup { email: "a@B.org".into(), name: "A".into(), topics: Vec::new() };
        signup(&this, Input::new(input)).unwrap();
        assert_eq!(this.logged()[0].fields, json!({"email": "a@b.org", "topics": ["releases"]}));
    }
}
