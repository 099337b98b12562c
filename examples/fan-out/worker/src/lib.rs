//! Counts the words of one text: what `fan-out` starts for each of its texts.
//!
//! The input has the `text`. The outputs are its number of `words`, and under `counts` how often each word is in it. Case does not
//! matter.

use std::collections::BTreeMap;

use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde::{Deserialize, Serialize};

/// What to count.
#[derive(Deserialize)]
struct Task {
    text: String,
}

/// The outputs.
#[derive(Serialize)]
struct Counted {
    words: usize,
    counts: BTreeMap<String, usize>,
}

#[flow]
fn fan_out_worker(task: Input<Task>) -> Result<Outputs, FlowError> {
    let mut counts = BTreeMap::new();
    let letters = |word: &str| word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
    for word in task.text.split_whitespace().map(letters).filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    if counts.is_empty() {
        return Err(FlowError::invalid_input("the text has no words"));
    }
    Outputs::of(&Counted { words: counts.values().sum(), counts })
}

#[cfg(test)]
mod tests {
    use flowhost_guest::json;

    use super::*;

    fn count(text: &str) -> Result<Outputs, FlowError> {
        fan_out_worker(Input::new(Task { text: text.into() }))
    }

    #[test]
    fn words_are_counted_whatever_their_case() {
        let expected = json!({ "words": 4, "counts": { "it's": 1, "sea": 1, "the": 2 } });
        assert_eq!(count("The SEA – it's “the”!").unwrap(), Outputs::from(expected));
    }

    #[test]
    fn a_text_without_words_is_a_mistake() {
        assert_eq!(count(" … ").unwrap_err().code(), Some(FlowError::INVALID_INPUT));
    }
}
