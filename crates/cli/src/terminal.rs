//! [`Terminal`]: where output goes, how wide it may be, and whether it may be coloured.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use crate::args::When;
use crate::escape::Escaped;
use crate::failure::Failure;

/// How a text is set off. The colours are of middle brightness, so that they read on light and on
/// dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A heading.
    Bold,
    /// What explains.
    Dim,
    /// What went well.
    Good,
    /// Something in a level of the tree, 0 the newest.
    Level(usize),
    /// Something in memory.
    Memory,
}

/// One colour of the 256 for each level, repeated from the ninth on.
const LEVELS: [u8; 8] = [172, 37, 68, 133, 71, 167, 103, 137];
const MEMORY: u8 = 244;

/// Whether texts are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Text as it is.
    Plain,
    /// With the escape sequences of ECMA-48.
    Coloured,
}

impl Paint {
    /// `text`, set off if colours are used.
    pub(crate) fn style(self, style: Style, text: impl fmt::Display) -> String {
        if self == Self::Plain {
            return text.to_string();
        }
        let code = match style {
            Style::Bold => "1".to_owned(),
            Style::Dim => "2".to_owned(),
            Style::Good => "32".to_owned(),
            Style::Level(level) => {
                let colour = LEVELS.iter().cycle().nth(level % LEVELS.len()).unwrap_or(&MEMORY);
                format!("38;5;{colour}")
            }
            Style::Memory => format!("38;5;{MEMORY}"),
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Standard output, and what is known of it.
#[derive(Debug)]
pub(crate) struct Terminal {
    out: BufWriter<StdoutLock<'static>>,
    /// Columns to draw in.
    pub(crate) columns: usize,
    /// Whether to use colours.
    pub(crate) paint: Paint,
    /// Whether output is for a machine.
    pub(crate) json: bool,
    /// Whether a person is watching, so that progress is worth showing.
    pub(crate) watched: bool,
}

/// Columns if nobody says otherwise.
const COLUMNS: usize = 80;

/// Narrower than this no picture can be drawn.
const COLUMNS_MIN: usize = 40;

impl Terminal {
    /// Looks at the process's standard output and error.
    pub(crate) fn new(json: bool, color: When, width: Option<u16>) -> Self {
        let stdout = io::stdout();
        let on_terminal = stdout.is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let coloured = match color {
            When::Always => true,
            When::Never => false,
            When::Auto => on_terminal && !no_color && !dumb,
        };
        let columns = width.map(usize::from).or_else(|| {
            let (_, columns) = console::Term::stdout().size_checked()?;
            on_terminal.then_some(usize::from(columns))
        });
        Self {
            out: BufWriter::with_capacity(64 << 10, stdout.lock()),
            columns: columns.unwrap_or(COLUMNS).max(COLUMNS_MIN),
            paint: if coloured { Paint::Coloured } else { Paint::Plain },
            json,
            watched: io::stderr().is_terminal() && !json,
        }
    }

    /// `text`, set off if colours are used.
    pub(crate) fn style(&self, style: Style, text: impl fmt::Display) -> String {
        self.paint.style(style, text)
    }

    /// Prints `text` and a newline.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::output)
    }

    /// Prints a JSON value and a newline.
    pub(crate) fn json_line(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(value)
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(Failure::output)
    }

    /// Hands everything printed so far to the system.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::output)
    }
}

/// Says something to the person at the terminal, on standard error. If nobody can be told, nobody
/// is.
pub(crate) fn say(text: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "lsm: {text}"));
}

/// Says something to the program that called us, on standard error.
pub(crate) fn say_json(value: &serde_json::Value) {
    drop(writeln!(io::stderr().lock(), "{value}"));
}

/// Bytes as a JSON string, in the escaped form that the command line reads.
pub(crate) fn json_bytes(bytes: &[u8]) -> serde_json::Value {
    serde_json::Value::String(Escaped(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of light that a colour of the 256 gives off (WCAG 2.0's relative luminance).
    fn luminance(colour: u8) -> f64 {
        const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
        let cube = usize::from(colour.wrapping_sub(16));
        let rgb = match colour {
            232.. => [8 + (colour - 232) * 10; 3],
            _ => [STEPS[cube / 36], STEPS[cube / 6 % 6], STEPS[cube % 6]],
        };
        let linear = rgb.map(|part| match f64::from(part) / 255.0 {
            part if part <= 0.03928 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn colours_stand_out_on_white_and_on_black() {
        for colour in LEVELS.into_iter().chain([MEMORY]) {
            let light = luminance(colour) + 0.05;
            assert!(1.05 / light > 2.5 && light / 0.05 > 5.0, "colour {colour}");
        }
    }

    #[test]
    fn plain_is_plain_and_colours_end_where_the_text_ends() {
        assert_eq!(Paint::Plain.style(Style::Good, "yes"), "yes");
        assert_eq!(Paint::Coloured.style(Style::Good, "yes"), "\x1b[32myes\x1b[0m");
        assert_eq!(Paint::Coloured.style(Style::Level(9), 1), "\x1b[38;5;37m1\x1b[0m");
    }
}
