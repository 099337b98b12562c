//! A named text or blob.

use serde::{Deserialize, Serialize};

use crate::{Body, Class, Home, Kind, Property, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::File,
    path: "file",
    description: "A named text or blob. Its bytes as they are: `/api/latest/file/<id>/content`.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[
        Property {
            is_derived: true,
            ..Property::new(
                "content",
                Kind::Content,
                "The content; in base64 where `is_binary` is set. Null in lists, and where it has more than 1 MiB. Written \
                 as null it stays as it is.",
            )
            .optional()
        },
        Property::new("content_type", Kind::Text(128), "The media type, such as `text/plain`.").optional(),
        Property::new(
            "is_binary",
            Kind::Bool,
            "Whether `content` is in base64. Where it is not said, content is text, and bytes that are no UTF-8 are binary.",
        )
        .optional(),
        Property::new("size", Kind::Count, "The size of the content in bytes.").read_only().class(Class::Export),
    ],
};

/// A named text or blob, without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The number of its bytes.
    #[serde(default)]
    pub size: u64,
    /// The media type.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Whether they are anything but UTF-8, or said to be.
    #[serde(default)]
    pub is_binary: bool,
}

impl Body for File {
    const TYPE: RecordType = RecordType::File;
}
