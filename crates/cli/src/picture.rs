//! The tree as a picture: a line for each run, a bar for each table over the keys it holds.
//!
//! What it looks like: `picture-80.txt` beside this file, which a test compares.
//!
//! Left is the smallest key, right the largest; equal lengths hold about equal amounts of data, see
//! [`crate::axis`]. A run whose tables are narrower than a column is drawn as one bar.

use crate::axis::Axis;
use crate::engine::{MemtableShape, RunShape, Shape, TableShape};
use crate::escape::Escaped;
use crate::terminal::{Paint, Style};
use crate::units::{Bytes, Count};

/// Columns of the label on the left.
const LABEL: usize = 9;

/// Runs of one level that are drawn; more are summed up in a line.
const RUNS_MAX: usize = 12;

/// From this share of tombstones on, a table is drawn hatched.
const HATCHED_FROM: f64 = 0.25;

/// Columns from which on there is room for the counts of entries.
const WIDE: usize = 100;

/// Columns of the figures on the right: two of space, bytes, tables; entries if there is room.
const FIGURES: usize = 2 + 9 + 12;
const FIGURES_WIDE: usize = FIGURES + 20;

/// Columns that a key on the axis may take, its tick and the space after it included.
const KEY_COLUMNS: usize = 20;

/// What is said of tables and keys beside the shape.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a> {
    /// Numbers of tables that are being merged, ascending; they are drawn `▓`.
    pub(crate) compacting: &'a [u64],
    /// How a key is written.
    pub(crate) label: &'a dyn Fn(&[u8]) -> String,
}

/// Draws `shape` in `columns` columns; `write_buffer_bytes` is what a full memtable holds.
pub(crate) fn draw(shape: &Shape, write_buffer_bytes: u64, columns: usize, paint: Paint) -> String {
    let marks = Marks { compacting: &[], label: &|key| Escaped(key).to_string() };
    draw_marked(shape, write_buffer_bytes, columns, paint, marks)
}

/// The same, with marks.
pub(crate) fn draw_marked(
    shape: &Shape,
    write_buffer_bytes: u64,
    columns: usize,
    paint: Paint,
    marks: Marks<'_>,
) -> String {
    let wide = columns >= WIDE;
    let figures = if wide { FIGURES_WIDE } else { FIGURES };
    let bar = columns.saturating_sub(LABEL + figures).max(8);
    let mut canvas = Canvas { paint, marks, bar, wide, lines: Vec::new(), hatched: false };
    let axis = Axis::new(shape);
    for (rank, memtable) in shape.memtables.iter().enumerate() {
        canvas.memtable(rank, memtable, write_buffer_bytes);
    }
    canvas.lines.push(String::new());
    let mut number = 0;
    for group in shape.levels.chunk_by(|a, b| a.runs.is_empty() && b.runs.is_empty()) {
        match group {
            [level] if !level.runs.is_empty() => canvas.level(number, &level.runs, &axis),
            empty => canvas.empty_levels(number, empty.len()),
        }
        number += group.len();
    }
    if tables(shape).next().is_none() {
        canvas.lines.push(paint.style(Style::Dim, "no tables yet"));
    } else {
        canvas.axis(&axis);
        canvas.total(shape);
    }
    canvas.lines.join("\n")
}

/// All tables, newest level first.
fn tables(shape: &Shape) -> impl Iterator<Item = &TableShape> + Clone {
    shape.levels.iter().flat_map(|level| &level.runs).flat_map(|run| &run.tables)
}

/// Lines drawn so far, and what they are drawn with.
struct Canvas<'m> {
    paint: Paint,
    marks: Marks<'m>,
    /// Columns of the bars.
    bar: usize,
    /// Whether the counts of entries are shown.
    wide: bool,
    lines: Vec<String>,
    /// Whether any table was drawn hatched, so that the picture must say what it means.
    hatched: bool,
}

/// The sums that a line shows on its right.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    bytes: u64,
    tables: u64,
    entries: u64,
    tombstones: u64,
}

impl<'a> FromIterator<&'a TableShape> for Sum {
    fn from_iter<I: IntoIterator<Item = &'a TableShape>>(tables: I) -> Self {
        tables.into_iter().fold(Self::default(), |sum, table| Self {
            bytes: sum.bytes + table.bytes,
            tables: sum.tables + 1,
            entries: sum.entries + table.entries,
            tombstones: sum.tombstones + table.tombstones,
        })
    }
}

impl Canvas<'_> {
    /// One line: `bar` has [`Canvas::bar`] columns, colours not counted.
    fn row(&mut self, label: &str, style: Style, bar: &str, figures: &str) {
        let label = self.paint.style(style, format_args!("{label:<LABEL$}"));
        self.lines.push(format!("{label}{bar}  {figures}").trim_end().to_owned());
    }

    fn memtable(&mut self, rank: usize, memtable: &MemtableShape, full_bytes: u64) {
        // Memory comes in pieces: the first is there before anything is in it.
        let used = if memtable.entries == 0 { 0 } else { memtable.memory_bytes };
        let share = used as f64 / full_bytes.max(1) as f64;
        let filled = meter(share, self.bar);
        let rest = "░".repeat(self.bar - filled.chars().count());
        let bar = format!(
            "{}{}",
            self.paint.style(Style::Memory, filled),
            self.paint.style(Style::Dim, rest)
        );
        let (label, what) = if rank == 0 { ("memory", "active") } else { ("", "sealed") };
        let bytes = Bytes(memtable.memory_bytes).to_string();
        let figures = self.in_columns(&bytes, what, memtable.entries);
        self.row(label, Style::Memory, &bar, &figures);
    }

    /// One line for neighbouring levels without tables.
    fn empty_levels(&mut self, first: usize, count: usize) {
        let label = match count {
            1 => format!("L{first}"),
            _ => format!("L{first}-L{}", first + count - 1),
        };
        let bar = self.paint.style(Style::Dim, "·".repeat(self.bar));
        self.row(&label, Style::Level(first), &bar, &format!("{:>9}", "empty"));
    }

    fn level(&mut self, number: usize, runs: &[RunShape], axis: &Axis<'_>) {
        let style = Style::Level(number);
        let drawn = if runs.len() > RUNS_MAX { RUNS_MAX - 1 } else { runs.len() };
        for (rank, run) in runs.iter().take(drawn).enumerate() {
            let label = match rank {
                0 => format!("L{number}"),
                1 => format!("{} runs", runs.len()),
                _ => String::new(),
            };
            let cells = run_cells(&run.tables, axis, self.bar, self.marks.compacting);
            self.hatched |= cells.contains('▒');
            let bar = self.paint.style(style, cells);
            let figures = self.figures(run.tables.iter().collect());
            self.row(&label, style, &bar, &figures);
        }
        let rest = runs.get(drawn..).unwrap_or_default();
        if !rest.is_empty() {
            let text = format!("… and {} older runs", rest.len());
            let bar = self.paint.style(Style::Dim, format_args!("{text:<0$}", self.bar));
            let figures = self.figures(rest.iter().flat_map(|run| &run.tables).collect());
            self.row("", style, &bar, &figures);
        }
    }

    fn figures(&self, sum: Sum) -> String {
        let tables = match sum.tables {
            1 => "1 table".to_owned(),
            count => format!("{} tables", Count(count)),
        };
        let bytes = Bytes(sum.bytes).to_string();
        self.in_columns(&bytes, &tables, sum.entries)
    }

    fn in_columns(&self, bytes: &str, what: &str, entries: u64) -> String {
        if self.wide {
            return format!("{bytes:>9}{what:>12}{:>12} entries", Count(entries));
        }
        format!("{bytes:>9}{what:>12}")
    }

    /// Some keys, each under its place.
    fn axis(&mut self, axis: &Axis<'_>) {
        let labels = (self.bar / KEY_COLUMNS).max(1);
        let columns = self.bar / labels;
        let mut line = String::new();
        for label in 0..labels {
            let place = (label * columns) as f64 / self.bar as f64;
            let key = axis.key_at(place).map(self.marks.label).unwrap_or_default();
            let key = console::truncate_str(&key, columns.saturating_sub(3), "…").into_owned();
            let used = console::measure_text_width(&key) + 1;
            line.push('╵');
            line.push_str(&key);
            line.push_str(&" ".repeat(columns.saturating_sub(used)));
        }
        let line = self.paint.style(Style::Dim, line.trim_end());
        self.row("", Style::Dim, &line, "");
    }

    fn total(&mut self, shape: &Shape) {
        let sum: Sum = tables(shape).collect();
        let figures = self.figures(sum);
        let share = 100.0 * sum.tombstones as f64 / sum.entries.max(1) as f64;
        let note = match (self.hatched, sum.tombstones) {
            (_, 0) => String::new(),
            (false, _) => format!("{share:.1} % of all entries are deletions"),
            (true, _) => format!("{share:.1} % of all entries are deletions (▒ many)"),
        };
        let note = console::truncate_str(&note, self.bar, "…").into_owned();
        let space = " ".repeat(self.bar.saturating_sub(console::measure_text_width(&note)));
        let bar = format!("{}{space}", self.paint.style(Style::Dim, note));
        self.row("all", Style::Bold, &bar, &figures);
    }
}

/// A bar of `share` of `columns`, to an eighth of a column.
fn meter(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = floor(share.clamp(0.0, 1.0) * columns as f64 * 8.0);
    let part = PARTS.get(eighths % 8).unwrap_or(&"");
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// The tables of a run as `columns` cells.
fn run_cells(tables: &[TableShape], axis: &Axis<'_>, columns: usize, compacting: &[u64]) -> String {
    let mut cells = vec![' '; columns];
    let mut free = 0;
    let mut crowded = false;
    for table in tables {
        let at = |key: &[u8]| floor(axis.place(key) * columns as f64 + 0.5);
        let first = at(&table.smallest).max(free);
        let end = at(&table.largest).max(first + 1).min(columns);
        let hatched = table.tombstones as f64 >= HATCHED_FROM * table.entries.max(1) as f64;
        let (fill, last) = match (compacting.binary_search(&table.number), hatched) {
            (Ok(_), _) => ('▓', '▓'),
            (Err(_), true) => ('▒', '▒'),
            (Err(_), false) => ('█', '▌'),
        };
        match cells.get_mut(first..end) {
            Some([body @ .., edge]) => {
                body.fill(fill);
                *edge = last;
                free = end;
            }
            // No cell is left for it: it shares the last one.
            _ => crowded = true,
        }
    }
    // Between tables narrower than a cell, gaps would only be noise.
    if crowded || tables.len() * 3 > columns * 2 {
        for cell in cells.iter_mut().filter(|cell| **cell == '▌') {
            *cell = '█';
        }
    }
    cells.into_iter().collect()
}

/// The whole part of a number that is not negative and small.
fn floor(number: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "columns: not negative, and far below 2^53"
    )]
    let whole = number.max(0.0) as usize;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::tests::{level, shape, table};

    fn tree() -> Shape {
        let last = (0..8u8)
            .map(|i| {
                let (low, high) = (char::from(b'a' + 3 * i), char::from(b'c' + 3 * i));
                table(10 + u64::from(i), 64 << 10, &format!("{low}pple"), &format!("{high}ebra"))
            })
            .collect();
        let mut deleted = table(5, 90 << 10, "h", "xylo");
        deleted.tombstones = deleted.entries / 2;
        let mut memtable = MemtableShape::default();
        memtable.memory_bytes = 1 << 14;
        memtable.entries = 500;
        shape(
            vec![
                level(vec![
                    vec![table(1, 30 << 10, "apple", "zebra")],
                    vec![table(2, 31 << 10, "bee", "m")],
                ]),
                level(vec![]),
                level(vec![]),
                level(vec![vec![table(4, 70 << 10, "apple", "gg"), deleted]]),
                level(vec![last]),
            ],
            vec![memtable],
        )
    }

    fn width(picture: &str) -> usize {
        picture.lines().map(console::measure_text_width).max().unwrap_or(0)
    }

    #[test]
    fn the_picture_at_80_columns() {
        let picture = draw(&tree(), 1 << 16, 80, Paint::Plain);
        assert_eq!(picture, include_str!("picture-80.txt").trim_end());
    }

    #[test]
    fn pictures_keep_within_their_columns() {
        for columns in [40, 79, 80, 99, 100, 101, 200, 333] {
            let picture = draw(&tree(), 1 << 16, columns, Paint::Plain);
            assert!(width(&picture) <= columns.max(40), "{columns}:\n{picture}");
            let coloured = draw(&tree(), 1 << 16, columns, Paint::Coloured);
            assert_eq!(console::strip_ansi_codes(&coloured), picture);
        }
    }

    #[test]
    fn more_tables_than_columns_are_one_bar_and_many_runs_are_summed_up() {
        let key = |i: u32| format!("{i:05}");
        let tables = (0..1000).map(|i| table(u64::from(i), 100, &key(2 * i), &key(2 * i + 1)));
        let runs = (0..40).map(|i| vec![table(9, 1000, &key(i), &key(1900 + i))]).collect();
        let shape = shape(vec![level(runs), level(vec![tables.collect()])], vec![]);
        let picture = draw(&shape, 1, 80, Paint::Plain);
        assert!(picture.contains("… and 29 older runs"), "{picture}");
        assert!(picture.contains(&"█".repeat(48)), "{picture}");
        assert!(picture.contains("40 runs"), "{picture}");
    }

    #[test]
    fn an_empty_database_says_so() {
        assert!(draw(&Shape::default(), 1, 80, Paint::Plain).contains("no tables yet"));
    }

    #[test]
    fn meters_fill_by_eighths() {
        assert_eq!(meter(0.0, 4), "");
        assert_eq!(meter(0.5, 4), "██");
        assert_eq!(meter(0.53125, 4), "██▏");
        assert_eq!(meter(7.0, 4), "████");
    }
}
