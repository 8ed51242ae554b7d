//! [`Screen`]: the terminal while `top` has it: another screen, no cursor, keys as they come.
//!
//! Whatever ends `top`, the terminal is put back as it was when the screen is dropped.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crate::failure::Failure;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// To end: q, Escape or an interrupt.
    Quit,
    /// To look at one frame for longer: p or space.
    Pause,
    /// Nothing that has a meaning.
    Other,
}

/// To another screen without a cursor, and back. (ECMA-48, and xterm's private modes.)
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    keys: keys::Keys,
}

impl Screen {
    /// Whether there is a terminal to draw on and to take keys from.
    pub(crate) fn possible() -> bool {
        io::stdout().is_terminal() && io::stdin().is_terminal()
    }

    /// Takes the terminal.
    pub(crate) fn enter() -> Result<Self, Failure> {
        let screen = Self { keys: keys::Keys::take().map_err(Failure::output)? };
        print(ENTER).map_err(Failure::output)?;
        Ok(screen)
    }

    /// Columns and rows, as they are now.
    pub(crate) fn size() -> (usize, usize) {
        let (rows, columns) = console::Term::stdout().size_checked().unwrap_or((24, 80));
        (usize::from(columns), usize::from(rows))
    }

    /// Draws `lines` from the upper left corner on.
    pub(crate) fn draw(lines: &[String]) -> Result<(), Failure> {
        // One write, so that nothing is seen half drawn.
        let mut text = String::from("\x1b[H");
        for (rank, line) in lines.iter().enumerate() {
            if rank > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        print(&text).map_err(Failure::output)
    }

    /// Waits for a key, for at most `time`.
    pub(crate) fn key(&self, time: Duration) -> Result<Option<Key>, Failure> {
        keys::next(&self.keys, time).map_err(Failure::output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal has gone there is nobody to put it back for.
        drop(print(LEAVE));
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What a byte from the keyboard means.
#[cfg_attr(not(unix), expect(dead_code, reason = "keys are read on Unix only"))]
fn meaning(byte: Option<u8>) -> Key {
    match byte {
        None | Some(b'q' | b'Q' | 0x1b | 0x03) => Key::Quit,
        Some(b'p' | b'P' | b' ') => Key::Pause,
        Some(_) => Key::Other,
    }
}

#[cfg(unix)]
mod keys {
    use std::io;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    use super::{Key, meaning};

    /// The keyboard, each byte as it is typed and unseen.
    #[derive(Debug)]
    pub(super) struct Keys {
        before: Termios,
    }

    impl Keys {
        pub(super) fn take() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            Ok(Self { before })
        }
    }

    /// Waits for a key, for at most `time`.
    pub(super) fn next(_taken: &Keys, time: Duration) -> io::Result<Option<Key>> {
        let stdin = io::stdin();
        let timeout = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            // The window was resized, for one: draw again.
            Err(rustix::io::Errno::INTR) => return Ok(Some(Key::Other)),
            ready => ready?,
        };
        // All that was typed at once is one key: an arrow begins with an escape.
        let mut bytes = [0; 16];
        let length = rustix::io::read(&stdin, &mut bytes)?;
        Ok(Some(match bytes.get(..length) {
            Some([0x1b, _, ..]) => Key::Other,
            typed => meaning(typed.and_then(|typed| typed.first().copied())),
        }))
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            // If the terminal has gone there is nobody to put it back for.
            tcsetattr(io::stdin(), OptionalActions::Now, &self.before).unwrap_or(());
        }
    }
}

/// Elsewhere an interrupt ends `top`.
#[cfg(not(unix))]
mod keys {
    use std::io;
    use std::time::Duration;

    use super::Key;

    #[derive(Debug)]
    pub(super) struct Keys;

    impl Keys {
        pub(super) fn take() -> io::Result<Self> {
            Ok(Self)
        }
    }

    /// Waits.
    pub(super) fn next(_taken: &Keys, time: Duration) -> io::Result<Option<Key>> {
        std::thread::sleep(time);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_meanings() {
        for (byte, key) in [
            (Some(b'q'), Key::Quit),
            (Some(0x03), Key::Quit),
            (None, Key::Quit),
            (Some(b' '), Key::Pause),
            (Some(b'x'), Key::Other),
        ] {
            assert_eq!(meaning(byte), key);
        }
    }
}
