//! Counts the words of several texts at once: each in an execution of its own, side by side, and the counts joined.
//!
//! The payload's `texts` are texts by their titles. For each the flow starts `fan-out-worker`, which lies in the folder `worker`
//! and is deployed under that name. Then it waits for all of them and returns the number of `words`, the `most_frequent`
//! ones, the number of words of each of the `texts`, and why texts `failed`: one that cannot be counted does not spoil the
//! rest. If the host restarts meanwhile, what was counted is not counted again.
//!
//! ```sh
//! flowhost webhook create fan-out --flow fan-out --role Developer --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/fan-out/call -d @requests/texts.json
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flowhost_guest::children::{ReturnWhen, Status};
use flowhost_guest::{Execution, FlowError, Input, Level, Outputs, flow, json};
use serde::{Deserialize, Serialize};

/// The flow that counts one text.
const WORKER: &str = "fan-out-worker";

/// Texts counted at once, whoever sent them: a call with hundreds of texts leaves room for other flows.
const AT_ONCE: u32 = 8;

/// As many words are listed.
const MOST_FREQUENT: usize = 5;

/// The payload.
#[derive(Deserialize)]
struct Library {
    texts: BTreeMap<String, String>,
}

/// What the worker gives.
#[derive(Deserialize)]
struct Counted {
    words: u64,
    counts: BTreeMap<String, u64>,
}

/// The outputs.
#[derive(Default, Serialize)]
struct Joined {
    words: u64,
    most_frequent: Vec<(String, u64)>,
    texts: BTreeMap<String, u64>,
    failed: BTreeMap<String, String>,
}

#[flow]
fn fan_out(this: &Execution, library: Input<Library>) -> Result<Outputs, FlowError> {
    if library.texts.is_empty() {
        return Err(FlowError::invalid_input("there are no texts to count"));
    }
    let mut children = Vec::new();
    for text in library.texts.values() {
        let child = this.children().new_child(WORKER, &json!({ "text": text }))?;
        children.push(child.concurrency(WORKER, AT_ONCE).start()?);
    }
    this.progress(format_args!("{} texts are being counted", children.len()));
    this.children().wait(&children, ReturnWhen::AllEnded, None)?;

    let mut joined = Joined::default();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (title, child) in library.texts.keys().zip(&children) {
        if child.status()? != Status::EndedSuccess {
            let why = child.message()?.unwrap_or_else(|| "no reason was given".into());
            this.log(Level::Warn, "a text was not counted", &json!({ "title": title, "why": why }));
            joined.failed.insert(title.clone(), why);
            continue;
        }
        let counted: Counted = child.outputs()?;
        joined.words += counted.words;
        joined.texts.insert(title.clone(), counted.words);
        for (word, count) in counted.counts {
            *counts.entry(word).or_default() += count;
        }
    }
    let mut ranked: Vec<(String, u64)> = counts.into_iter().collect();
    // Sorting keeps the alphabetical order of words that are as frequent.
    ranked.sort_by_key(|(_, count)| Reverse(*count));
    ranked.truncate(MOST_FREQUENT);
    joined.most_frequent = ranked;
    Outputs::of(&joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An execution whose worker takes every word of a text for the same one, and fails with a text that has none.
    fn with_worker() -> Execution {
        Execution::for_test().with_child(WORKER, |task| match task["text"].as_str().unwrap().split_once(' ') {
            Some((word, rest)) => {
                let words = rest.split(' ').count() + 1;
                Ok(Outputs::new().set("words", words).set("counts", json!({ word: words })))
            }
            None => Err(FlowError::invalid_input("the text has no words")),
        })
    }

    fn library(texts: &[(&str, &str)]) -> Input<Library> {
        Input::new(Library { texts: texts.iter().map(|(title, text)| ((*title).into(), (*text).into())).collect() })
    }

    #[test]
    fn counts_are_joined() {
        let this = with_worker();
        let outputs =
            fan_out(&this, library(&[("one", "sea sea"), ("two", "ox ox"), ("three", "sea sea sea")])).unwrap();
        let expected = json!({
            "words": 7,
            "most_frequent": [["sea", 5], ["ox", 2]],
            "texts": { "one": 2, "two": 2, "three": 3 },
            "failed": {},
        });
        assert_eq!(outputs, Outputs::from(expected));
        let started = this.children_started();
        assert_eq!(started.len(), 3);
        assert!(started.iter().all(|child| child.concurrency == Some((WORKER.into(), AT_ONCE))));
    }

    #[test]
    fn one_failure_does_not_spoil_the_rest() {
        let this = with_worker();
        let outputs = fan_out(&this, library(&[("good", "sea sea"), ("blank", "…")])).unwrap();
        assert_eq!(outputs.get("words").unwrap(), 2);
        assert_eq!(outputs.get("failed").unwrap(), &json!({ "blank": "the text has no words" }));
        assert_eq!(this.logged()[0].fields["title"], "blank");
    }

    #[test]
    fn without_the_worker_nothing_is_counted() {
        let error = fan_out(&Execution::for_test(), library(&[("one", "sea sea")])).unwrap_err();
        assert_eq!(error.code(), Some("flow.not-found"));
    }

    #[test]
    fn the_request_beside_it_fits() {
        let library = Input::<Library>::from_json(include_str!("../requests/texts.json")).unwrap();
        assert_eq!(library.texts.len(), 3);
        assert_eq!(fan_out(&with_worker(), library).unwrap().get("failed").unwrap().as_object().unwrap().len(), 1);
    }
}
