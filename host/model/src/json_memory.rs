//! How much memory a value takes that comes as text.

/// What a place of a value takes in bytes at the most, while its array grows.
const PLACE: usize = 150;

/// What an object takes more than its members' places, in bytes.
const OBJECT: usize = 500;

/// Returns about how many bytes of memory a JSON value takes, of which this is the text: of many small objects, a hundred times as
/// much as the text. Punctuation within texts counts as well.
///
/// ```
/// use flowhost_model::json_memory;
///
/// assert!(json_memory(b"\"a long text\"") < 100);
/// assert!(json_memory(b"[{},{},{}]") > 1_000);
/// ```
pub fn json_memory(json: &[u8]) -> usize {
    let (mut objects, mut places) = (0, 0);
    for byte in json {
        objects += usize::from(*byte == b'{');
        places += usize::from(matches!(byte, b'{' | b'[' | b','));
    }
    json.len() + objects * OBJECT + places * PLACE
}

/// [`json_memory`] of a value that may be YAML, where each line may be an object.
pub fn yaml_memory(yaml: &[u8]) -> usize {
    let lines = yaml.iter().filter(|byte| **byte == b'\n').count();
    json_memory(yaml) + lines * (OBJECT + PLACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_by_places_and_objects() {
        let objects = format!("[{}]", vec![r#"{"a":1}"#; 1_000].join(","));
        assert!((500_000..1_000_000).contains(&json_memory(objects.as_bytes())));
        assert!(json_memory(format!("\"{}\"", "a".repeat(8_000)).as_bytes()) < 10_000);
        assert!(yaml_memory("- a: 1\n".repeat(1_000).as_bytes()) > 500_000);
    }
}
