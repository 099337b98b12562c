//! Texts of strangers as people read them, in terminals and logs.

use std::borrow::Cow;

/// Returns whether a character cannot be seen, or turns the text around it: those of Unicode's category Cf, and the separators of
/// lines. Control characters are not among them.
pub fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Returns a text with control characters and invisible characters as escapes.
///
/// ```
/// use flowhost_model::visible;
///
/// assert_eq!(visible("a\u{202e}b\u{1b}[31m\n"), "a\\u{202e}b\\u{1b}[31m\\n");
/// assert_eq!(visible("für 👨\u{200d}👩"), "für 👨\u{200d}👩");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    // The joiner of emoji.
    let is_shown = |letter: char| letter == '\u{200d}' || !(letter.is_control() || is_invisible(letter));
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_shown(letter) { shown.push(letter) } else { shown.extend(letter.escape_default()) }
    }
    Cow::Owned(shown)
}
