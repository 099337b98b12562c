//! Names of records.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_script::{Script, UnicodeScript};

use crate::visible::is_invisible;

/// The longest name, in characters.
pub const NAME_LIMIT: usize = 128;

/// Scripts with letters that look like those of another one here.
const LOOK_ALIKE: [Script; 6] =
    [Script::Latin, Script::Greek, Script::Cyrillic, Script::Armenian, Script::Cherokee, Script::Coptic];

/// Why a text cannot be a record's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing is left of it without its blanks.
    #[error("a name must not be empty")]
    Empty,
    /// It has more than [`NAME_LIMIT`] characters.
    #[error("a name has at most {NAME_LIMIT} characters")]
    TooLong,
    /// It holds a control character.
    #[error("a name must not hold control characters")]
    Control,
    /// It holds an invisible character, or one that changes the direction of the text around it.
    #[error("a name must not hold U+{0:04X}, which is invisible or turns the text around it")]
    Invisible(u32),
    /// It holds letters that look alike and are not.
    #[error("a name must not mix letters of {0} and {1}, which look alike")]
    LookAlike(&'static str, &'static str),
}

/// Returns the name as it is kept: without blanks at its ends, its characters composed as Unicode's form NFC has them.
///
/// ```
/// use flowhost_model::{InvalidName, normalize_name};
///
/// assert_eq!(normalize_name(" cafe\u{301} ").unwrap(), "caf\u{e9}");
/// assert_eq!(normalize_name("sign\u{200b}up"), Err(InvalidName::Invisible(0x200b)));
/// ```
pub fn normalize_name(name: &str) -> Result<Cow<'_, str>, InvalidName> {
    let name = composed(name.trim());
    if name.is_empty() {
        Err(InvalidName::Empty)
    } else if name.chars().count() > NAME_LIMIT {
        Err(InvalidName::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(InvalidName::Control)
    } else if let Some(letter) = invisible(&name) {
        Err(InvalidName::Invisible(letter.into()))
    } else {
        Ok(name)
    }
}

/// Returns a text with its characters composed, as Unicode's form NFC has them: macOS and some senders take them apart.
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

/// Refuses a name that could be taken for another one: letters of two scripts that look alike, such as the Cyrillic `а` among
/// Latin ones.
///
/// ```
/// use flowhost_model::refuse_look_alikes;
///
/// assert!(refuse_look_alikes("Zahlungen für Ελλάδα").is_err());
/// assert!(refuse_look_alikes("оплата 2 🚀").is_ok());
/// ```
pub fn refuse_look_alikes(name: &str) -> Result<(), InvalidName> {
    let mut found = name.chars().map(|letter| letter.script()).filter(|script| LOOK_ALIKE.contains(script));
    let Some(first) = found.next() else { return Ok(()) };
    match found.find(|script| *script != first) {
        None => Ok(()),
        Some(other) => Err(InvalidName::LookAlike(first.full_name(), other.full_name())),
    }
}

/// Returns the first character that cannot be seen. The joiners within emoji and some scripts are part of what is seen there.
fn invisible(name: &str) -> Option<char> {
    let mut before = ' ';
    name.chars().find(|letter| {
        let joins = matches!(letter, '\u{200c}' | '\u{200d}') && !before.is_ascii();
        before = *letter;
        is_invisible(*letter) && !joins
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_outer_blanks_and_have_a_limit() {
        assert_eq!(normalize_name("  signup ").unwrap(), "signup");
        assert_eq!(normalize_name(" \t"), Err(InvalidName::Empty));
        assert_eq!(normalize_name(&"é".repeat(128)).map(|name| name.len()), Ok(256));
        assert_eq!(normalize_name(&"é".repeat(129)), Err(InvalidName::TooLong));
        assert_eq!(normalize_name("a\nb"), Err(InvalidName::Control));
    }

    #[test]
    fn names_are_composed() {
        assert_eq!(normalize_name("Mu\u{308}ller").unwrap(), "Müller");
        assert!(matches!(composed("Müller"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_nobody_sees_is_no_part_of_a_name() {
        for letter in ['\u{202e}', '\u{200b}', '\u{200d}', '\u{2028}', '\u{feff}', '\u{e0041}', '\u{ad}'] {
            assert_eq!(normalize_name(&format!("a{letter}b")), Err(InvalidName::Invisible(letter.into())));
        }
        for name in ["👨\u{200d}👩\u{200d}👧", "می\u{200c}خواهم", "Ærøskøbing 🚀", "注文 webhook"] {
            assert_eq!(normalize_name(name).unwrap(), name);
        }
    }

    #[test]
    fn letters_that_look_alike_are_not_mixed() {
        assert_eq!(refuse_look_alikes("p\u{430}ypal"), Err(InvalidName::LookAlike("Latin", "Cyrillic")));
        for name in ["paypal", "оплата", "注文 webhook", "Ελλάδα 1", "", "🚀"] {
            assert_eq!(refuse_look_alikes(name), Ok(()), "{name}");
        }
    }
}
