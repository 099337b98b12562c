//! Asks a person to approve an expense, and waits for the answer.
//!
//! The payload says `what` is wanted, for which `amount` and `by` whom; and, where it is for one person to decide, the name of
//! that `approver`. The flow sends a message with a form and waits for a week, over restarts of the host, without taking
//! memory. Whoever may answer does so by `flowhost messages respond` or over the API. The outputs are the `decision`,
//! who made it (`decided_by`) and the `comment`. What nobody decides in a week is `expired`, and the message is closed.
//!
//! ```sh
//! flowhost webhook create approval --flow approval --role Developer --enable
//! curl 'http://127.0.0.1:8080/api/latest/webhook/approval/call?async' -d @requests/laptop.json
//! flowhost messages ls
//! flowhost messages respond ID '{ "decision": "approve", "comment": "The small one." }'
//! ```

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
use serde::{Deserialize, Serialize};

/// How long there is to decide.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The payload.
#[derive(Deserialize)]
struct Expense {
    what: String,
    amount: f64,
    by: String,
    approver: Option<String>,
}

/// What the form asks for.
#[derive(Deserialize)]
struct Answer {
    decision: Decision,
    #[serde(default)]
    comment: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Approve,
    Reject,
}

#[flow(title = "Approve expenses", description = "Asks a person to approve an expense, and waits for a week.")]
fn approval(this: &Execution, expense: Input<Expense>) -> Result<Outputs, FlowError> {
    let Expense { what, amount, by, approver } = expense.json;
    if !(amount.is_finite() && amount > 0.0) {
        return Err(FlowError::invalid_input("`amount` is more than nothing"));
    }
    let form = json!({
        "type": "object",
        "required": ["decision"],
        "additionalProperties": false,
        "properties": {
            "decision": { "enum": ["approve", "reject"] },
            "comment": { "type": "string", "maxLength": 1000 },
        },
    });
    let text = format!("{by} asks for **{amount:.2}**:\n\n{what}");
    let mut message = this.messages().new_message(format!("{by} asks for {amount:.2}")).text(text).form(&form)?;
    if let Some(approver) = approver {
        message = message.recipient(approver);
    }
    let message = message.send()?;
    this.progress("waits for a decision");
    let answer: Answer = match message.wait(Some(PATIENCE)) {
        Ok(answer) => answer,
        Err(refused) if refused.code() == "messages.wait-timeout" => {
            message.close()?;
            return Ok(Outputs::new().set("decision", "expired"));
        }
        Err(refused) => return Err(refused.into()),
    };
    this.progress("decided");
    Ok(Outputs::new()
        .set("decision", json!(answer.decision))
        .set("comment", answer.comment)
        .set("decided_by", message.responder()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(this: &Execution, payload: &str) -> Result<Outputs, FlowError> {
        approval(this, Input::from_json(payload)?)
    }

    const LAPTOP: &str = include_str!("../requests/laptop.json");

    #[test]
    fn a_person_decides() {
        for decision in ["approve", "reject"] {
            let answer = json!({ "decision": decision, "comment": "The small one." });
            let this = Execution::for_test().with_answer("ada", answer);
            let outputs = ask(&this, LAPTOP).unwrap();
            let expected = json!({ "decision": decision, "comment": "The small one.", "decided_by": "ada" });
            assert_eq!(outputs, Outputs::from(expected));
            let sent = &this.messages_sent()[0];
            assert_eq!((sent.subject.as_str(), &sent.recipient), ("grace asks for 1890.50", &None));
            assert!(sent.text.as_ref().unwrap().contains("A laptop for the new colleague"));
        }
    }

    #[test]
    fn one_person_can_be_asked() {
        let this = Execution::for_test().with_answer("ada", json!({ "decision": "approve" }));
        ask(&this, r#"{ "what": "Tea", "amount": 3, "by": "grace", "approver": "ada" }"#).unwrap();
        assert_eq!(this.messages_sent()[0].recipient.as_deref(), Some("ada"));
    }

    #[test]
    fn what_nobody_decides_expires() {
        let this = Execution::for_test();
        let start = this.now();
        let outputs = ask(&this, LAPTOP).unwrap();
        assert_eq!(outputs, Outputs::from(json!({ "decision": "expired" })));
        assert_eq!(this.now(), start + PATIENCE);
        assert!(this.messages_sent()[0].is_closed);
    }

    #[test]
    fn nothing_is_asked_for_nothing() {
        let this = Execution::for_test();
        let error = ask(&this, r#"{ "what": "Air", "amount": 0, "by": "grace" }"#).unwrap_err();
        assert_eq!(error.code(), Some(FlowError::INVALID_INPUT));
        assert!(this.messages_sent().is_empty());
    }
}
