//! Properties whose values are names with an order of their own, kept as the names' numbers in it.

use flowhost_model::Comparison;
use serde_json::Value;

/// The number of a name.
pub(super) fn number(names: &[&str], name: &Value) -> Option<i64> {
    let name = name.as_str()?;
    (0..).zip(names).find(|(_, known)| **known == name).map(|(number, _)| number)
}

/// The numbers whose names meet a term.
pub(super) fn of_term(names: &[&str], op: Comparison, value: &Value) -> Vec<i64> {
    let number = |value: &Value| number(names, value);
    let meets = |own: i64, name: &str| match op {
        Comparison::Eq => number(value) == Some(own),
        Comparison::Ne => number(value) != Some(own),
        Comparison::Lt => number(value).is_some_and(|other| own < other),
        Comparison::Le => number(value).is_some_and(|other| own <= other),
        Comparison::Gt => number(value).is_some_and(|other| own > other),
        Comparison::Ge => number(value).is_some_and(|other| own >= other),
        Comparison::Like => value.as_str().is_some_and(|pattern| is_like(name, pattern)),
        Comparison::In => value.as_array().is_some_and(|list| list.iter().any(|value| number(value) == Some(own))),
        Comparison::IsNull => *value == Value::Bool(false),
    };
    (0..).zip(names).filter(|(own, name)| meets(*own, name)).map(|(own, _)| own).collect()
}

/// That a column is one of these numbers, in SQL.
pub(super) fn condition(sql: &str, numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    if numbers.is_empty() { "FALSE".to_owned() } else { format!("{sql} IN ({})", numbers.join(", ")) }
}

/// SQLite's `LIKE` for texts of ASCII.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rests: Vec<&str> = vec![text];
    for part in pattern.chars() {
        rests = match part {
            // All that is left of the longest rest, and shorter ones.
            '%' => match rests.iter().max_by_key(|rest| rest.len()) {
                Some(longest) => (0..=longest.len()).filter_map(|from| longest.get(from..)).collect(),
                None => return false,
            },
            part => rests
                .into_iter()
                .filter_map(|rest| {
                    let mut chars = rest.chars();
                    let first = chars.next()?;
                    (part == '_' || first.eq_ignore_ascii_case(&part)).then_some(chars.as_str())
                })
                .collect(),
        };
    }
    rests.contains(&"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for pattern in ["ended_error", "ENDED%", "%error", "%_%", "%", "______ERROR", "E%R%R", "%%ENDED_ERROR%"] {
            assert!(is_like("ENDED_ERROR", pattern), "{pattern}");
        }
        for pattern in ["", "ENDED", "%x%", "ENDED_ERROR_", "_ENDED_ERROR", "É%"] {
            assert!(!is_like("ENDED_ERROR", pattern), "{pattern}");
        }
    }
}
