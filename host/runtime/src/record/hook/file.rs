//! Files.

use data_encoding::BASE64;
use flowhost_model::File;
use flowhost_store::{FileContent, StoredRecord};
use serde_json::{Value, json};

use super::{Draft, refuse};
use crate::problem::{Code, Problem};

/// The largest content in JSON, in bytes; it is told up to this size as well. Larger ones are read and written as bytes.
pub(crate) const JSON_LIMIT: usize = 1 << 20;

/// Makes bytes of the content, and checks that there are not too many. A file that is not binary is UTF-8 as a whole.
pub(super) fn prepare(draft: &mut Draft, former: Option<&StoredRecord>, limit: u64) -> Result<(), Problem> {
    let former = former.map(|former| serde_json::from_str(&former.body)).transpose();
    let former: File = former.map_err(|error| Problem::host(format!("a damaged file: {error}")))?.unwrap_or_default();
    let said = draft.touches("is_binary").then(|| draft.body.get("is_binary") == Some(&Value::Bool(true)));
    let mut is_binary = said.unwrap_or(former.is_binary);
    if let Some(Value::String(content)) = draft.body.shift_remove("content") {
        if content.len() > JSON_LIMIT {
            let larger = "larger ones are written with PUT to the file's `/content`";
            let reason = format!("has {} bytes, at most {JSON_LIMIT} are allowed; {larger}", content.len());
            return Err(refuse("content", reason));
        }
        draft.content = Some(FileContent::Whole(if is_binary {
            let decoded = BASE64.decode(content.as_bytes());
            decoded.map_err(|error| refuse("content", format!("is not base64: {error}")))?
        } else {
            content.into_bytes()
        }));
    } else if former.is_binary && said == Some(false) {
        return Err(refuse("is_binary", "the file is binary; give the text that it is to hold as its `content`"));
    } else {
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        match &draft.content {
            Some(FileContent::Whole(bytes)) => is_binary = !is_text(bytes),
            Some(FileContent::Added { bytes, .. }) => is_binary = former.is_binary || !is_text(bytes),
            None => {}
        }
    }
    let size = match &mut draft.content {
        Some(FileContent::Whole(bytes)) => bytes.len() as u64,
        Some(FileContent::Added { size, bytes }) => {
            *size = former.size;
            size.saturating_add(bytes.len() as u64)
        }
        None => former.size,
    };
    if draft.content.is_some() && size > limit {
        let name = &draft.meta.name;
        let detail = format!("the file `{name}` would have {size} bytes, at most {limit} are allowed");
        return Err(Problem::new(Code::FileTooLarge, detail));
    }
    draft.body.insert("size".into(), json!(size));
    draft.body.insert("is_binary".into(), json!(is_binary));
    Ok(())
}

/// The content of a file as JSON has it, and whether that is base64.
pub(crate) fn told(bytes: Vec<u8>, is_binary: bool) -> (String, bool) {
    if is_binary {
        return (BASE64.encode(&bytes), true);
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (BASE64.encode(error.as_bytes()), true),
    }
}

#[cfg(test)]
mod tests {
    use flowhost_model::{RecordId, RecordType, Timestamp, definition};

    use super::*;

    fn draft(members: Value, content: Option<FileContent>) -> Draft {
        let mut draft = Draft::new(definition(RecordType::File), RecordId::new(), Timestamp(0));
        let Value::Object(members) = members else { panic!("an object") };
        draft.apply(members, None).unwrap();
        draft.content = content;
        draft
    }

    fn stored(size: u64, is_binary: bool) -> StoredRecord {
        let meta = draft(json!({ "name": "f" }), None).meta;
        let body = json!({ "size": size, "content_type": null, "is_binary": is_binary }).to_string();
        StoredRecord { record_type: RecordType::File, meta, body, revision: 1 }
    }

    #[test]
    fn a_file_that_is_not_binary_is_text_whatever_is_added_to_it() {
        let whole = |bytes: &[u8]| Some(FileContent::Whole(bytes.to_vec()));
        let added = |bytes: &[u8]| Some(FileContent::Added { size: 3, bytes: bytes.to_vec() });
        for (members, content, was_binary, expected) in [
            (json!({}), None, false, (3, false)),
            (json!({}), None, true, (3, true)),
            (json!({}), whole(b"text"), true, (4, false)),
            (json!({}), whole(&[0xff]), false, (1, true)),
            (json!({}), added("ä".as_bytes()), false, (5, false)),
            (json!({}), added(&"ä".as_bytes()[..1]), false, (4, true)),
            (json!({}), added(b"a"), true, (4, true)),
            (json!({ "content": "ab" }), None, false, (2, false)),
            (json!({ "content": "AAE=" }), None, true, (2, true)),
            (json!({ "content": "AAE=", "is_binary": null }), None, true, (4, false)),
            (json!({ "content": "AAE=", "is_binary": true }), None, false, (2, true)),
            (json!({ "content": null }), None, true, (3, true)),
            (json!({ "is_binary": true }), None, false, (3, true)),
        ] {
            let mut members = members;
            members["name"] = json!("f");
            let mut draft = draft(members.clone(), content);
            prepare(&mut draft, Some(&stored(3, was_binary)), 10).unwrap();
            assert_eq!((draft.body["size"].as_u64(), &draft.body["is_binary"]), (Some(expected.0), &json!(expected.1)));
            assert!(!draft.body.contains_key("content"), "{members}");
        }
    }

    #[test]
    fn what_is_no_base64_no_text_or_too_large_is_refused() {
        let code = |members: Value, content, was_binary| {
            let refused = prepare(&mut draft(members, content), Some(&stored(3, was_binary)), 10).unwrap_err();
            refused.code
        };
        assert_eq!(code(json!({ "name": "f", "content": "?", "is_binary": true }), None, false), Code::RecordInvalid);
        assert_eq!(code(json!({ "name": "f", "is_binary": false }), None, true), Code::RecordInvalid);
        assert_eq!(
            code(json!({ "name": "f", "content": "x".repeat(JSON_LIMIT + 1) }), None, true),
            Code::RecordInvalid
        );
        assert_eq!(code(json!({ "name": "f", "content": "x".repeat(11) }), None, false), Code::FileTooLarge);
        let added = FileContent::Added { size: 3, bytes: vec![0; 8] };
        assert_eq!(code(json!({ "name": "f" }), Some(added), true), Code::FileTooLarge);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_in_base64() {
        assert_eq!(told("ä".into(), false), ("ä".into(), false));
        assert_eq!(told("ä".into(), true), ("w6Q=".into(), true));
        assert_eq!(told(vec![0xff], false), ("/w==".into(), true));
    }
}
