//! What must not be kept or shown of a flow's texts.

use std::fmt;

use flowhost_model::RawValue;

/// Takes out of a flow's texts what must not be kept or shown.
pub trait Mask: fmt::Debug + Send + Sync {
    /// The text without it.
    fn mask(&self, text: String) -> String;

    /// The JSON without it; JSON again.
    fn mask_json(&self, json: Box<RawValue>) -> Box<RawValue>;
}

/// Everything may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Unmasked;

impl Mask for Unmasked {
    fn mask(&self, text: String) -> String {
        text
    }

    fn mask_json(&self, json: Box<RawValue>) -> Box<RawValue> {
        json
    }
}
