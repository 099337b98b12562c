//! A named text or blob.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, Kind, Property, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::File,
    path: "file",
    description: "A named text or blob.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[
        Property::new("content", Kind::LongText, "The content; in base64 where `is_binary` is set.").optional(),
        Property::new("content_type", Kind::Text(128), "The media type, such as `text/plain`.").optional(),
        Property::new("is_binary", Kind::Bool, "Whether `content` is in base64.").optional(),
    ],
};

/// A named text or blob.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct File {
    /// The content; in base64 where `is_binary` is set.
    #[serde(default)]
    pub content: Option<String>,
    /// The media type.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Whether `content` is in base64.
    #[serde(default)]
    pub is_binary: Option<bool>,
}

impl Body for File {
    const TYPE: RecordType = RecordType::File;
}
