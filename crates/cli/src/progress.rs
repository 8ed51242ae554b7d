//! [`Progress`]: a bar on the terminal while long work runs; nothing if nobody is watching.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::{Bytes, Count};

/// How often the bar is drawn, a second.
const DRAWS_PER_SECOND: u8 = 12;

/// A bar over bytes, or a spinner where their number is not known. Disappears when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `total` bytes of work, or a spinner; shown only if someone is watching.
    pub(crate) fn new(watched: bool, total: Option<u64>) -> Self {
        if !watched {
            return Self { bar: ProgressBar::hidden() };
        }
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:30.37/244} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {msg}  {elapsed}",
        };
        // A template that does not parse is a bug of ours; the bar's own style does then.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar }
    }

    /// Says how far the work is.
    pub(crate) fn at(&self, bytes: u64, records: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(bytes);
        let elapsed = self.bar.elapsed();
        let rate = crate::units::per_second(bytes, elapsed).0;
        self.bar.set_message(format!("{} records  {}/s", Count(records), Bytes(rate)));
    }

    /// Says what is being done.
    pub(crate) fn doing(&self, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.bar.set_message(what);
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| crate::terminal::say(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
