//! Texts about what strangers made, which are as long as those like.

use std::fmt::{self, Display, Write};

/// Stands at the end of a text that was cut.
const CUT: char = '…';

/// Returns a value's text, or its first `limit` bytes and `…` if it is longer.
///
/// Formatting stops at the limit: a text of megabytes is not built to be thrown away.
pub fn bounded_text(value: impl Display, limit: usize) -> String {
    Bounded { text: String::new(), limit, is_one_line: false }.write(value)
}

/// [`bounded_text`] on one line: control characters become blanks.
pub fn bounded_line(value: impl Display, limit: usize) -> String {
    Bounded { text: String::new(), limit, is_one_line: true }.write(value)
}

struct Bounded {
    text: String,
    limit: usize,
    is_one_line: bool,
}

impl Bounded {
    fn write(mut self, value: impl Display) -> String {
        // The only error is this writer's own, at the limit.
        if write!(self, "{value}").is_err() {
            self.text.push(CUT);
        }
        self.text
    }
}

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let kept = &piece[..piece.floor_char_boundary(self.limit.saturating_sub(self.text.len()))];
        if self.is_one_line {
            self.text.extend(kept.chars().map(|c| if c.is_control() { ' ' } else { c }));
        } else {
            self.text.push_str(kept);
        }
        if kept.len() == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn long_text_ends_at_a_whole_character() {
        assert_eq!(bounded_text("abcdef", 6), "abcdef");
        assert_eq!(bounded_text("abcdefg", 6), "abcdef…");
        assert_eq!(bounded_text(format_args!("{}{}", "äö", "üß"), 5), "äö…");
        assert_eq!(bounded_text("", 0), "");
        assert_eq!(bounded_text("a", 0), "…");
    }

    #[test]
    fn line_has_no_control_characters() {
        assert_eq!(bounded_line("a\nb\u{1b}[2J\u{9b}", 100), "a b [2J ");
        assert_eq!(bounded_text("a\nb", 100), "a\nb");
        // As long as it was: a control character of two bytes leaves one.
        assert_eq!(bounded_line("\u{9b}\u{9b}ab", 4), "  …");
    }

    #[test]
    fn formatting_stops_at_the_limit() {
        struct Endless<'a>(&'a Cell<u32>);
        impl Display for Endless<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    self.0.set(self.0.get() + 1);
                    f.write_str("again ")?;
                }
            }
        }
        let pieces = Cell::new(0);
        assert_eq!(bounded_text(Endless(&pieces), 15), "again again aga…");
        assert_eq!(pieces.get(), 3);
    }
}
