//! What a flow says about itself: a custom section of its component, read when it is uploaded.

use flowhost_model::{FlowMetadata, bounded_line, normalize_name};
use wasmparser::{Parser, Payload};

use crate::contract::malformed;
use crate::error::InvalidComponent;

/// The section's name. Toolchains leave it in the core module that the component is made of.
const SECTION: &str = "flowhost:flow";

/// The most bytes of it.
const LIMIT: usize = 64 << 10;

/// The longest title, and the longest description, in characters.
const TITLE_LIMIT: usize = 200;
const DESCRIPTION_LIMIT: usize = 10_000;

/// The longest reason that is told, in bytes. It may repeat what the section holds.
const REASON_LIMIT: usize = 500;

/// The most hosts, and the most secrets.
const LIST_LIMIT: usize = 100;

/// What the component says about itself; none where it says nothing. Its bytes were checked before.
pub(crate) fn read(component: &[u8]) -> Result<Option<FlowMetadata>, InvalidComponent> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| malformed(&error))?;
        if let Payload::CustomSection(section) = payload
            && section.name() == SECTION
            && found.replace(section.data()).is_some()
        {
            return Err(wrong("it is there twice"));
        }
    }
    let Some(data) = found else { return Ok(None) };
    if data.len() > LIMIT {
        return Err(wrong(format!("it has {} bytes, at most {LIMIT} are allowed", data.len())));
    }
    let metadata: FlowMetadata =
        serde_json::from_slice(data).map_err(|error| wrong(bounded_line(error, REASON_LIMIT)))?;
    check(&metadata)?;
    Ok(Some(metadata))
}

fn check(metadata: &FlowMetadata) -> Result<(), InvalidComponent> {
    let FlowMetadata { title, description, input_schema, output_schema, hosts, secrets } = metadata;
    for (name, text, limit) in [("title", title, TITLE_LIMIT), ("description", description, DESCRIPTION_LIMIT)] {
        let count = text.as_ref().map_or(0, |text| text.chars().count());
        if count > limit {
            return Err(wrong(format!("`{name}` has {count} characters, at most {limit} are allowed")));
        }
        // They are shown, also by terminals. A description may have several lines.
        let is_shown = |c: char| !c.is_control() || name == "description" && matches!(c, '\n' | '\r' | '\t');
        if !text.iter().all(|text| text.chars().all(is_shown)) {
            return Err(wrong(format!("`{name}` holds control characters")));
        }
    }
    for (name, list) in [("hosts", hosts), ("secrets", secrets)] {
        if list.len() > LIST_LIMIT {
            return Err(wrong(format!("`{name}` has {} items, at most {LIST_LIMIT} are allowed", list.len())));
        }
        if let Some(index) = list.iter().position(|item| item.chars().any(char::is_control)) {
            return Err(wrong(format!("`{name}[{index}]` holds control characters")));
        }
    }
    for (index, secret) in secrets.iter().enumerate() {
        match normalize_name(secret) {
            Ok(name) if name == *secret => {}
            Ok(_) => return Err(wrong(format!("`secrets[{index}]`: a name neither begins nor ends with a blank"))),
            Err(reason) => return Err(wrong(format!("`secrets[{index}]`: {reason}"))),
        }
    }
    for (name, schema) in [("input_schema", input_schema), ("output_schema", output_schema)] {
        if schema.as_ref().is_some_and(|schema| !schema.is_object() && !schema.is_boolean()) {
            return Err(wrong(format!("`{name}` is no JSON Schema: it is neither an object nor a boolean")));
        }
    }
    Ok(())
}

fn wrong(reason: impl Into<String>) -> InvalidComponent {
    InvalidComponent::Metadata(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_sections(sections: &[&str]) -> Vec<u8> {
        let sections: String = sections
            .iter()
            .map(|data| format!("(@custom \"{SECTION}\" \"{}\")", data.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        wat::parse_str(format!("(component (core module {sections}))")).unwrap()
    }

    #[test]
    fn it_is_found_inside_of_the_component() {
        let said =
            read(&with_sections(&[r#"{"title": "A title", "hosts": ["https://a.example"], "later": 1}"#])).unwrap();
        let said = said.unwrap();
        assert_eq!(
            (said.title.as_deref(), said.hosts.as_slice()),
            (Some("A title"), ["https://a.example".into()].as_slice())
        );
        assert_eq!(read(&with_sections(&[])).unwrap(), None);
        let lines = read(&with_sections(&[r#"{"description": "One.\n\n\tTwo."}"#])).unwrap().unwrap();
        assert_eq!(lines.description.as_deref(), Some("One.\n\n\tTwo."));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        let long = |name: &str, count: usize| format!(r#"{{"{name}": "{}"}}"#, "x".repeat(count));
        for (data, reason) in [
            ("{".to_owned(), "EOF"),
            (r#"{"title": 1}"#.to_owned(), "invalid type"),
            (long("title", 201), "`title` has 201 characters"),
            (long("description", 10_001), "`description` has 10001 characters"),
            (long("later", LIMIT), "at most 65536"),
            (r#"{"input_schema": "text"}"#.to_owned(), "`input_schema` is no JSON Schema"),
            (format!(r#"{{"secrets": [{}"a"]}}"#, r#""a","#.repeat(LIST_LIMIT)), "`secrets` has 101 items"),
            (r#"{"title": "\u001b[2J"}"#.to_owned(), "`title` holds control characters"),
            (r#"{"title": "two\nlines"}"#.to_owned(), "`title` holds control characters"),
            (r#"{"description": "\u001b]0;"}"#.to_owned(), "`description` holds control characters"),
            (r#"{"hosts": ["GET\nhttps://a.example"]}"#.to_owned(), "`hosts[0]` holds control characters"),
            (r#"{"secrets": ["a", "b\u0007"]}"#.to_owned(), "`secrets[1]` holds control characters"),
            (r#"{"secrets": [""]}"#.to_owned(), "`secrets[0]`: a name must not be empty"),
            (r#"{"secrets": [" a"]}"#.to_owned(), "`secrets[0]`: a name neither begins"),
            (format!(r#"{{"secrets": ["{}"]}}"#, "x".repeat(129)), "`secrets[0]`: a name has at most 128 characters"),
        ] {
            let refused = read(&with_sections(&[&data])).unwrap_err().to_string();
            assert!(refused.contains(reason) && refused.contains(SECTION), "{refused}");
        }
        let twice = read(&with_sections(&["{}", "{}"])).unwrap_err().to_string();
        assert!(twice.contains("twice"), "{twice}");
    }
}
