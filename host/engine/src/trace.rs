//! The wasm frames of a trap or a panic, as text.
//!
//! The names in them are the component's own, and as long and as strange as it likes. Each is bounded before anything is made
//! of it: wasmtime's own text demangles whole names, which takes exponential time on a crafted one.

use std::fmt::{self, Write};

use wasmtime::{FrameInfo, WasmBacktrace};

/// The most frames that a trace shows: those nearest to the fault.
const FRAMES: usize = 32;

/// The most bytes of a name that is shown.
const NAME_BYTES: usize = 256;

/// The longest mangled name that is made readable, in bytes. A longer one is shown as it is.
const MANGLED_BYTES: usize = 2 << 10;

/// The frames as text, a line each: at most [`FRAMES`] lines with two names of [`NAME_BYTES`] each.
pub(crate) fn text(backtrace: &WasmBacktrace) -> String {
    let mut text = String::from("error while executing at wasm backtrace:");
    for (index, frame) in backtrace.frames().iter().take(FRAMES).enumerate() {
        // Writing to a string does not fail.
        let _always = line(&mut text, index, frame);
    }
    text
}

fn line(text: &mut String, index: usize, frame: &FrameInfo) -> fmt::Result {
    write!(text, "\n  {index:>3}: ")?;
    if let Some(offset) = frame.module_offset() {
        write!(text, "{offset:#8x} - ")?;
    }
    write!(text, "{}!", beginning(frame.module().name().unwrap_or("<unknown>")))?;
    match frame.func_name() {
        Some(name) => text.write_str(&readable(name)),
        None => write!(text, "<wasm function {}>", frame.func_index()),
    }
}

/// A function's name as its author wrote it, where it is one that Rust's compiler made; else as it is.
fn readable(name: &str) -> String {
    if name.len() <= MANGLED_BYTES
        && let Ok(demangled) = rustc_demangle::try_demangle(name)
    {
        let mut shown = Bounded { text: String::new() };
        // Demangling stops at the first piece that does not fit.
        let _cut_off = write!(shown, "{demangled:#}");
        return shown.text;
    }
    beginning(name).to_owned()
}

/// At most [`NAME_BYTES`] of a name.
fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

/// A text that takes no more than [`NAME_BYTES`], and then refuses.
struct Bounded {
    text: String,
}

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = NAME_BYTES - self.text.len();
        self.text.push_str(&piece[..piece.floor_char_boundary(room)]);
        if piece.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_are_readable() {
        assert_eq!(readable("_ZN5hello3run17h0123456789abcdefE"), "hello::run");
        assert_eq!(readable("_RNvCs1234_5hello3run"), "hello::run");
    }

    #[test]
    fn other_names_stay_as_they_are() {
        assert_eq!(readable("main.handle"), "main.handle");
        assert_eq!(readable("_Z3fooi"), "_Z3fooi");
    }

    #[test]
    fn a_long_name_loses_its_end() {
        assert_eq!(readable(&"é".repeat(1 << 20)).len(), NAME_BYTES);
    }

    /// Each back reference of this name stands for two of the one before it: written out it would have 2^40 parts.
    #[test]
    fn a_name_that_grows_when_it_is_read_is_cut_off() {
        let mut name = String::from("_RINvC1a1fTjjE");
        for _ in 0..40 {
            let place = base_62(name.rfind('T').unwrap_or(0) - 2);
            name = name + "TB" + &place + "B" + &place + "E";
        }
        name.push('E');
        assert!(name.len() < MANGLED_BYTES);
        assert!(readable(&name).len() <= NAME_BYTES);
    }

    /// A number as a back reference has it.
    fn base_62(number: usize) -> String {
        let Some(mut rest) = number.checked_sub(1) else { return "_".to_owned() };
        let digits = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut written = vec![b'_'];
        loop {
            written.insert(0, digits[rest % 62]);
            rest /= 62;
            if rest == 0 {
                return String::from_utf8(written).unwrap_or_default();
            }
        }
    }
}
