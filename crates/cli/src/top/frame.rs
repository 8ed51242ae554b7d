//! One picture of `top`: lines of text, a pure function of what was sampled and how much room
//! there is.
//!
//! What it looks like: `frame-80.txt` beside this file, which a test compares.

use std::collections::VecDeque;
use std::time::Duration;

use console::{measure_text_width, truncate_str};

use super::sample::{Sample, TIMED};
use crate::escape::Escaped;
use crate::picture::{self, Marks};
use crate::terminal::{Paint, Style};
use crate::units::{Bytes, Count, Time, whole};

/// Rates that are remembered for the little charts.
const REMEMBERED: usize = 120;

/// Columns from which on the charts are long and the tree counts entries.
const WIDE: usize = 100;

/// What `top` has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The sample before the last; equal to the last at first.
    before: Sample,
    now: Sample,
    /// Operations written, gets and bytes of tables written, a second each, newest last.
    rates: [VecDeque<f64>; 3],
}

/// The counters whose rates are drawn as charts.
const CHARTED: [&str; 3] = ["/stats/operations", "/stats/gets", "/made"];

impl Seen {
    /// Takes the next sample in.
    pub(crate) fn take(&mut self, next: Sample) {
        let first = self.now.report.is_null();
        self.before = std::mem::replace(&mut self.now, next);
        if first {
            self.before = self.now.clone();
            return;
        }
        for (rates, counter) in self.rates.iter_mut().zip(CHARTED) {
            let rate = match counter {
                "/made" => made(&self.now, &self.before),
                counter => self.now.rate(&self.before, counter),
            };
            rates.push_back(rate.unwrap_or(0.0));
            if rates.len() > REMEMBERED {
                rates.pop_front();
            }
        }
    }

    /// The last sample.
    pub(crate) fn now(&self) -> &Sample {
        &self.now
    }

    /// Draws everything in at most `columns` times `rows`.
    pub(crate) fn frame(&self, title: &str, size: (usize, usize), paint: Paint) -> Vec<String> {
        let (columns, rows) = size;
        let mut lines = vec![self.heading(title, columns, paint), String::new()];
        lines.extend(self.throughput(columns, paint));
        lines.extend(self.latencies(paint));
        lines.push(String::new());
        lines.extend(self.facts(paint));
        lines.push(String::new());
        let label = |key: &[u8]| self.label(key);
        let marks = Marks { compacting: &self.now.compacting, label: &label };
        let full = self.now.number("/write_buffer_bytes").unwrap_or(64 << 20);
        let tree = picture::draw_marked(&self.now.shape, full, columns, paint, marks);
        lines.extend(tree.trim_start_matches('\n').lines().map(str::to_owned));
        lines.truncate(rows);
        lines.into_iter().map(|line| truncate_str(&line, columns, "…").into_owned()).collect()
    }

    fn heading(&self, title: &str, columns: usize, paint: Paint) -> String {
        let mut about = Vec::new();
        if let Some(clients) = self.now.number("/clients/now") {
            // The viewer itself is one of them.
            about.push(format!("{} clients", Count(clients.saturating_sub(1))));
            about.push(format!("up {}", Time(Duration::from_secs_f64(self.now.seconds.max(0.0)))));
        }
        if let Some(mode) = self.now.report.get("durability").and_then(|mode| mode.as_str()) {
            about.push(mode.to_owned());
        }
        if self.now.report.pointer("/activity/stopped").is_some_and(|stopped| *stopped == true) {
            about.push("WRITES HAVE STOPPED".to_owned());
        }
        let about = about.join("  ");
        let room = columns.saturating_sub(measure_text_width(&about) + 2);
        let title = truncate_str(title, room, "…").into_owned();
        let space = " ".repeat(room.saturating_sub(measure_text_width(&title)));
        format!("{}{space}  {}", paint.style(Style::Bold, title), paint.style(Style::Dim, about))
            .trim_end()
            .to_owned()
    }

    /// What comes in and out, with a chart of the last while.
    fn throughput(&self, columns: usize, paint: Paint) -> Vec<String> {
        let (now, before) = (&self.now, &self.before);
        let chart = if columns >= WIDE { 60 } else { 28 };
        let [writes, gets, made_rates] = &self.rates;
        let mut lines = Vec::new();
        let mut row = |name: &str, rate: String, rates: &VecDeque<f64>, more: String| {
            let name = paint.style(Style::Bold, format!("{name:<8}"));
            let chart = paint.style(Style::Level(1), sparkline(rates, chart));
            lines.push(format!("{name}{rate:>13}  {chart}  {more}").trim_end().to_owned());
        };
        if let Some(rate) = now.rate(before, "/stats/operations") {
            let bytes = now.rate(before, "/stats/write_bytes").unwrap_or(0.0);
            row("writes", per_second(rate), writes, format!("{}/s", Bytes(whole(bytes))));
        }
        if let Some(rate) = now.rate(before, "/stats/gets") {
            let (found, all) =
                (now.grown(before, "/stats/get_hits"), now.grown(before, "/stats/gets"));
            let share = found.zip(all).filter(|(_, all)| *all > 0);
            let found = share.map(|(found, all)| format!("{} found", percent(found, all)));
            row("gets", per_second(rate), gets, found.unwrap_or_default());
        }
        if let Some(rate) = made(now, before) {
            let flushed = now.rate(before, "/stats/flush_bytes").unwrap_or(0.0);
            let merged = now.rate(before, "/stats/compaction_write_bytes").unwrap_or(0.0);
            let (flushed, merged) = (Bytes(whole(flushed)), Bytes(whole(merged)));
            let more = format!("{flushed} + {merged} merged");
            row("tables", format!("{}/s", Bytes(whole(rate))), made_rates, more);
        }
        lines
    }

    /// How long operations took since the last sample.
    fn latencies(&self, paint: Paint) -> Vec<String> {
        if self.now.report.get("latencies").is_none() {
            return Vec::new();
        }
        let heading =
            format!("{:<8}{:>13}{:>13}{:>13}{:>13}{:>13}", "", "p50", "p90", "p99", "p99.9", "max");
        let mut lines = vec![String::new(), paint.style(Style::Dim, heading)];
        for what in TIMED {
            let times = self.now.times(&self.before, what);
            let name = paint.style(Style::Bold, format!("{what:<8}"));
            let shares = [0.5, 0.9, 0.99, 0.999, 1.0];
            let columns = shares.map(|share| {
                let time = times.within(share).map_or("-".to_owned(), |t| Time(t).to_string());
                format!("{time:>13}")
            });
            lines.push(format!("{name}{}", columns.concat()));
        }
        lines
    }

    /// Cache, filters, stalls and jobs: two facts a line.
    fn facts(&self, paint: Paint) -> Vec<String> {
        let (now, before) = (&self.now, &self.before);
        let mut facts: Vec<(&str, String)> = Vec::new();
        if let Some(bytes) = now.number("/stats/cache_bytes") {
            let hits = now.share(before, "/stats/cache_hits", "/stats/cache_misses");
            let hits =
                hits.map_or("idle".to_owned(), |share| format!("{:.1} % hits", 100.0 * share));
            facts.push(("cache", format!("{hits}, {}", Bytes(bytes))));
        }
        if let Some(let_through) = now.grown(before, "/stats/filter_false_positives") {
            let misses = now.grown(before, "/stats/table_misses").unwrap_or(0);
            let text = match misses {
                0 => "idle".to_owned(),
                _ => format!("{} of misses let through", percent(let_through, misses)),
            };
            facts.push(("filters", text));
        }
        if let Some(stalled) = now.rate(before, "/stats/stall_us") {
            let slowed = now.rate(before, "/stats/slowdown_us").unwrap_or(0.0);
            let share = |us: f64| format!("{:.1} %", us / 10_000.0);
            facts.push(("stalls", format!("{} stopped, {} slowed", share(stalled), share(slowed))));
        }
        if let Some(compactions) = now.number("/activity/compactions") {
            let bytes = Bytes(now.number("/activity/compacting_bytes").unwrap_or(0));
            let flushing = now.report.pointer("/activity/flushing").is_some_and(|on| *on == true);
            let flush = if flushing { ", a flush" } else { "" };
            let text = match (compactions, flushing) {
                (0, false) => "idle".to_owned(),
                (0, true) => "a flush".to_owned(),
                (count, _) => format!("{count} merging {bytes} (▓){flush}"),
            };
            facts.push(("jobs", text));
        }
        if let Some(bytes) = now.number("/log_bytes") {
            let logs = now.number("/logs").unwrap_or(0);
            facts.push(("logs", format!("{logs}, {}", Bytes(bytes))));
        }
        if let Some(edits) = now.rate(before, "/stats/edits") {
            facts.push(("edits", format!("{edits:.1}/s of the manifest")));
        }
        if let Some(memory) = now.report.get("memory").and_then(serde_json::Value::as_object) {
            let all = memory.iter().filter(|(name, _)| *name != "limit_bytes");
            let used: u64 = all.filter_map(|(_, bytes)| bytes.as_u64()).sum();
            facts.push(("memory", Bytes(used).to_string()));
        }
        let flushed = now.number("/stats/flush_bytes").unwrap_or(0);
        let merged = now.number("/stats/compaction_write_bytes").unwrap_or(0);
        if flushed > 0 {
            let amplification = (flushed + merged) as f64 / flushed as f64;
            facts.push(("written", format!("{amplification:.2} times (since the start)")));
        }
        let pairs = facts.chunks(2).map(|pair| {
            let one = |(name, text): &(&str, String)| {
                format!("{}{text}", paint.style(Style::Bold, format!("{name:<9}")))
            };
            let first = pair.first().map(one).unwrap_or_default();
            let space = " ".repeat(40usize.saturating_sub(measure_text_width(&first)));
            format!("{first}{space}{}", pair.get(1).map(one).unwrap_or_default())
        });
        pairs.map(|line| line.trim_end().to_owned()).collect()
    }

    /// A key, as a number if the server's keys are numbers.
    fn label(&self, key: &[u8]) -> String {
        let width = match self.now.number("/width") {
            Some(32) => server::Width::Bits32,
            Some(64) => server::Width::Bits64,
            _ => return Escaped(key).to_string(),
        };
        width.decode(key).map_or_else(|| Escaped(key).to_string(), |number| number.to_string())
    }
}

/// Bytes of tables made a second.
fn made(now: &Sample, before: &Sample) -> Option<f64> {
    let flushed = now.rate(before, "/stats/flush_bytes")?;
    Some(flushed + now.rate(before, "/stats/compaction_write_bytes")?)
}

fn per_second(rate: f64) -> String {
    format!("{}/s", Count(whole(rate)))
}

fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}

/// The last `columns` rates as eighths of the largest of them.
fn sparkline(rates: &VecDeque<f64>, columns: usize) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = rates.iter().skip(rates.len().saturating_sub(columns));
    let most = shown.clone().copied().fold(0.0, f64::max);
    let cell = |rate: &f64| {
        let eighths = if most > 0.0 { (rate / most * 8.0).ceil() } else { 0.0 };
        let at = usize::try_from(whole(eighths)).unwrap_or(0);
        LEVELS.get(at).copied().unwrap_or('█')
    };
    let line: String = shown.map(cell).collect();
    format!("{line:>columns$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(second: u64, busy: bool) -> Sample {
        let n = second * second * 1000;
        let table = |number: u64, low: &str, high: &str| {
            json!([number, 40_000 * number, 90_000, 9000, 90 * number, low, high])
        };
        let on = u64::from(busy);
        Sample::from_report(json!({
            "format": 1, "seconds": second, "width": 32, "write_buffer_bytes": 1 << 20,
            "durability": "buffered", "clients": { "now": 3, "served": 9, "refused": 0 },
            "stats": {
                "gets": 3 * n, "get_hits": 2 * n, "operations": n, "write_bytes": 8 * n,
                "flush_bytes": 9 * n, "compaction_write_bytes": 27 * n, "cache_hits": 9 * n,
                "cache_misses": n, "cache_bytes": 1 << 20, "table_misses": n,
                "filter_false_positives": n / 100, "stall_us": n / 10, "slowdown_us": n,
            },
            "memory": { "active_memtable_bytes": 700_000, "limit_bytes": 1 << 30 },
            "activity": { "flushing": busy, "compactions": on, "compacting": [4],
                          "compacting_bytes": 160_000, "stopped": false },
            "latencies": { "get": [[900, n], [4000, n / 50]], "write": [[2500, n]], "range": [] },
            "shape": { "memtables": [[500_000, 20_000]], "levels": [
                [[table(3, "00000001", "c0000000")]], [],
                [[table(4, "00000001", "40000000"), table(5, "40000001", "c0000000")]] ] },
        }))
        .unwrap()
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        (1..40).for_each(|second| seen.take(sample(second, second > 20)));
        seen
    }

    #[test]
    fn the_frame_at_80_columns() {
        let frame = seen().frame("lsm top  127.0.0.1:8080", (80, 50), Paint::Plain).join("\n");
        assert_eq!(frame, include_str!("frame-80.txt").trim_end(), "\n{frame}");
    }

    #[test]
    fn frames_keep_within_their_room() {
        let seen = seen();
        for size in [(40, 10), (80, 24), (81, 3), (200, 60), (333, 100)] {
            let plain = seen.frame("a title", size, Paint::Plain);
            assert!(plain.len() <= size.1, "{size:?}");
            assert!(plain.iter().all(|line| measure_text_width(line) <= size.0), "{plain:?}");
            let coloured = seen.frame("a title", size, Paint::Coloured).join("\n");
            assert_eq!(console::strip_ansi_codes(&coloured), plain.join("\n"));
        }
    }

    #[test]
    fn nothing_is_claimed_of_what_a_source_does_not_tell() {
        let mut seen = Seen::default();
        let report = json!({ "shape": { "memtables": [], "levels": [] }, "stats": {} });
        seen.take(Sample::from_report(report).unwrap());
        let frame = seen.frame("empty", (80, 24), Paint::Plain).join("\n");
        assert!(frame.contains("no tables yet") && !frame.contains('%'), "{frame}");
    }

    #[test]
    fn charts_scale_to_their_largest() {
        let rates = VecDeque::from([0.0, 1.0, 4.0, 8.0]);
        assert_eq!(sparkline(&rates, 5), "  ▁▄█");
        assert_eq!(sparkline(&rates, 2), "▄█");
        assert_eq!(sparkline(&VecDeque::new(), 3), "   ");
    }
}
