//! Bytes as text and back: how keys and values are written on the command line, in TSV and in JSON.
//!
//! ```text
//! \t tab   \n newline   \r return   \0 NUL   \\ backslash   \xHH any byte, two hexadecimal digits
//! ```
//!
//! 1. `unescape(escape(b)) == b` for all bytes, and escaped text is valid UTF-8 without raw
//!    controls, so it holds no TAB or newline and cannot drive a terminal.
//! 2. Printable UTF-8 stands for itself; every other byte is escaped.
//! 3. A backslash that begins nothing known is an error, never taken literally.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Writes bytes in escaped form when displayed.
///
/// ```
/// use lsm_cli::escape::Escaped;
/// assert_eq!(Escaped(b"caf\xc3\xa9\t\\ \xff").to_string(), r"café\t\\ \xff");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(
    /// The bytes to be written.
    pub &'a [u8],
);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut plain = chunk.valid();
            while let Some((at, c)) = plain.char_indices().find(|&(_, c)| is_special(c)) {
                let (before, rest) = plain.split_at(at);
                f.write_str(before)?;
                write_special(f, c)?;
                plain = rest.strip_prefix(c).unwrap_or_default();
            }
            f.write_str(plain)?;
            write_hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Controls, the backslash, and the marks that reorder or break a line unseen.
fn is_special(c: char) -> bool {
    c == '\\'
        || c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c == '\u{feff}'
}

fn write_special(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\t' => f.write_str(r"\t"),
        '\n' => f.write_str(r"\n"),
        '\r' => f.write_str(r"\r"),
        '\0' => f.write_str(r"\0"),
        '\\' => f.write_str(r"\\"),
        other => write_hex(f, other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, r"\x{byte:02x}"))
}

/// Appends the escaped form of `bytes` to `text`.
pub fn escape_into(bytes: &[u8], text: &mut String) {
    // Writing to a String cannot fail.
    let written = write!(text, "{}", Escaped(bytes));
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// A backslash that begins no escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(r"byte {at}: a backslash must begin \t \n \r \0 \\ or \xHH")]
pub struct BadEscape {
    /// Where the backslash stands, in bytes from the start of the text.
    pub at: usize,
}

/// Returns the bytes that `text` stands for, borrowed if nothing in it is escaped.
///
/// # Errors
/// [`BadEscape`] if a backslash begins no escape of this module.
///
/// ```
/// use lsm_cli::escape::unescape;
/// assert_eq!(&*unescape(br"a\tb\x00").unwrap(), b"a\tb\0");
/// assert_eq!(unescape(br"C:\temp\q").unwrap_err().at, 7);
/// ```
pub fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, BadEscape> {
    let Some(first) = text.iter().position(|&byte| byte == b'\\') else {
        return Ok(Cow::Borrowed(text));
    };
    let (plain, mut rest) = text.split_at(first);
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend_from_slice(plain);
    while let [head, tail @ ..] = rest {
        if *head != b'\\' {
            bytes.push(*head);
            rest = tail;
            continue;
        }
        let (byte, after) =
            escaped_byte(tail).ok_or_else(|| BadEscape { at: text.len() - rest.len() })?;
        bytes.push(byte);
        rest = after;
    }
    Ok(Cow::Owned(bytes))
}

/// The byte meant by what follows a backslash, and what follows that.
fn escaped_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b't', rest @ ..] => Some((b'\t', rest)),
        [b'n', rest @ ..] => Some((b'\n', rest)),
        [b'r', rest @ ..] => Some((b'\r', rest)),
        [b'0', rest @ ..] => Some((0, rest)),
        [b'\\', rest @ ..] => Some((b'\\', rest)),
        [b'x', high, low, rest @ ..] => Some((nibble(*high)? << 4 | nibble(*low)?, rest)),
        _ => None,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(bytes: &[u8]) -> String {
        Escaped(bytes).to_string()
    }

    #[test]
    fn every_pair_of_bytes_survives_the_round_trip() {
        for high in 0..=255u8 {
            for low in 0..=255u8 {
                let bytes = [high, low];
                let text = escape(&bytes);
                assert_eq!(&*unescape(text.as_bytes()).unwrap(), bytes, "{text}");
                assert!(!text.chars().any(char::is_control), "{bytes:?} gave a control");
            }
        }
    }

    #[test]
    fn every_character_survives_and_printable_ones_stand_for_themselves() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let text = escape(c.to_string().as_bytes());
            assert_eq!(&*unescape(text.as_bytes()).unwrap(), c.to_string().as_bytes());
            assert_eq!(text == c.to_string(), !is_special(c), "{c:?}");
        }
    }

    #[test]
    fn the_written_forms_are_the_documented_ones() {
        assert_eq!(escape(b"\t\n\r\0\\\x1b[31m\x7f\xff"), r"\t\n\r\0\\\x1b[31m\x7f\xff");
        assert_eq!(escape("naïve 語 \u{202e}".as_bytes()), r"naïve 語 \xe2\x80\xae");
        // A character cut in half is its bytes, and what follows is not swallowed.
        assert_eq!(escape(b"\xe8\xaax"), r"\xe8\xaax");
        assert_eq!(&*unescape(br"\xe8\xaa\x9E").unwrap(), "語".as_bytes());
    }

    #[test]
    fn a_backslash_that_begins_nothing_is_refused_with_its_place() {
        for (text, at) in [
            (&br"\"[..], 0),
            (br"ab\", 2),
            (br"\q", 0),
            (br"\x", 0),
            (br"\x1", 0),
            (br"\t\xg0", 2),
            (br"\x0g", 0),
            (br"\\\", 2),
            (br"\x+1", 0),
            (br"\N", 0),
        ] {
            assert_eq!(unescape(text), Err(BadEscape { at }), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(unescape(b"plain \xff bytes"), Ok(Cow::Borrowed(_))));
        assert!(matches!(unescape(b""), Ok(Cow::Borrowed(b""))));
    }
}
