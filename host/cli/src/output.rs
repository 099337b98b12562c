//! What a command prints: data on standard output, everything else on standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use flowhost_model::is_invisible;
use serde_json::json;

use crate::failure::{Exit, Failure};

/// How the output of one command looks.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    /// JSON for programs, or tables and sentences for people.
    pub(crate) json: bool,
}

/// A colour with a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Faint,
    Good,
    Bad,
    Busy,
}

/// One field of a table.
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A field in a colour.
    pub(crate) fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

impl Output {
    /// Writes text and a line's end to standard output.
    pub(crate) fn data(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            // Whoever reads has read enough, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::new(Exit::Local, format!("the output cannot be written: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Writes what the server answered to standard output, as it came.
    pub(crate) fn answer(self, body: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_end();
        // A flow's answer may hold what a terminal would obey.
        if io::stdout().is_terminal() { self.data(&printable(text)) } else { self.data(text) }
    }

    /// Tells the person something beside the data.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            say(&printable(text));
        }
    }

    /// Tells the person, or a program, that the data are not what they seem to be.
    pub(crate) fn caution(self, text: &str) {
        if self.json {
            say(&json!({ "note": text }).to_string());
        } else {
            self.note(text);
        }
    }

    /// Writes one line of parts in colours.
    pub(crate) fn parts(self, parts: &[(&str, Paint)]) -> Result<(), Failure> {
        let colours = colours(&io::stdout());
        self.data(
            &parts.iter().map(|(text, hue)| paint(&printable(text), *hue, colours).into_owned()).collect::<String>(),
        )
    }

    /// Writes rows in columns under a head.
    pub(crate) fn table(self, head: &[&str], rows: &[Vec<Cell>]) -> Result<(), Failure> {
        let head: Vec<Cell> = head.iter().map(|title| Cell::painted(*title, Paint::Faint)).collect();
        let colours = colours(&io::stdout());
        self.data(&table(&head, rows, colours))
    }
}

/// Writes a line to standard error. If that is closed, as after a terminal was, the command goes on without it.
pub(crate) fn say(line: &str) {
    let _closed = writeln!(io::stderr(), "{line}");
}

fn table(head: &[Cell], rows: &[Vec<Cell>], colours: bool) -> String {
    let rows = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    let mut widths = vec![0; head.len()];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(&cell.text).chars().count());
        }
    }
    let line = |row: &[Cell]| {
        let mut line = String::new();
        for (index, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let text = printable(&cell.text).replace('\n', " ");
            // The last column is not filled up: lines would wrap for blanks' sake.
            let blanks = if index + 1 == row.len() { 0 } else { width - text.chars().count() + 2 };
            line.push_str(&paint(&text, cell.paint, colours));
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        line
    };
    rows().map(line).collect::<Vec<_>>().join("\n")
}

fn paint(text: &str, paint: Paint, colours: bool) -> Cow<'_, str> {
    let code = match paint {
        _ if !colours => return text.into(),
        Paint::Plain => return text.into(),
        Paint::Faint => 2,
        Paint::Good => 32,
        Paint::Bad => 31,
        Paint::Busy => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m").into()
}

/// Whether a stream gets colours: a terminal does, unless `NO_COLOR` is set; `CLICOLOR_FORCE` colours anything.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    if set("CLICOLOR_FORCE") { true } else { !set("NO_COLOR") && stream.is_terminal() }
}

/// Returns the text with invisible characters, and control characters other than line ends and tabs, as escapes, so that a
/// terminal neither obeys nor hides them.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| (c.is_control() && c != '\n' && c != '\t') || (is_invisible(c) && c != '\u{200d}');
    if !text.contains(obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

/// A word of a command that is shown to be copied: a shell takes it as it is, whatever it holds.
pub(crate) fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''")).into()
}

/// The instant of the API's form as people read it, in UTC and to the second.
pub(crate) fn to_the_second(at: &str) -> String {
    let text = at.replacen('T', " ", 1);
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// The instant of the API's form as people read it, in UTC and to the millisecond.
pub(crate) fn to_the_millisecond(at: &str) -> String {
    at.get(..23).map_or_else(|| at.to_owned(), |at| format!("{}Z", at.replacen('T', " ", 1)))
}

/// JSON text with line breaks and indentation; nothing else changes, no digit of a number either.
pub(crate) fn indented(json: &str) -> String {
    let mut shown = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    let mut rest = json.chars().peekable();
    let line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = rest.next() {
        if in_string {
            shown.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                shown.push(c);
            }
            '{' | '[' => {
                shown.push(c);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    shown.push(close);
                } else {
                    depth += 1;
                    line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut shown, depth);
                shown.push(c);
            }
            ',' => {
                shown.push(c);
                line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["signup".into(), "on".into()], vec!["a".into(), "öff\nx".into()]];
        let text = table(&["NAME".into(), "STATE".into()], &rows, false);
        assert_eq!(text, "NAME    STATE\nsignup  on\na       öff x");
    }

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(printable("a\tb\n\x1b[2J\u{9b}1m"), "a\tb\n\\u{1b}[2J\\u{9b}1m");
    }

    #[test]
    fn a_shell_takes_a_word_for_one() {
        for (text, word) in [("a-b_1.c", "a-b_1.c"), ("", "''"), ("a b", "'a b'"), ("it's;", r"'it'\''s;'")] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn times_are_to_the_second() {
        assert_eq!(to_the_second("2026-11-22T09:48:44.000000+00:00"), "2026-11-22 09:48:44Z");
        assert_eq!(to_the_millisecond("2026-11-22T09:48:44.123456+00:00"), "2026-11-22 09:48:44.123Z");
    }

    #[test]
    fn indenting_changes_blanks_only() {
        let json = r#"{"a":[1,2.50,{}],"b":"x\"{,:}\\","c":[ ],"n":123456789012345678901234567890}"#;
        let expected = "{\n  \"a\": [\n    1,\n    2.50,\n    {}\n  ],\n  \"b\": \"x\\\"{,:}\\\\\",\n  \"c\": [],\n  \
                        \"n\": 123456789012345678901234567890\n}";
        assert_eq!(indented(json), expected);
    }
}
