//! Plots as SVG, without a library: horizontal bars on a logarithmic scale.

use std::fmt::Write as _;
use std::path::Path;

use workloads::Result;
use workloads::report::readable;

use crate::adapters::Kind;
use crate::goals::{GOALS, Wanted, judge};
use crate::results::Results;

const ROW: usize = 18;
const LEFT: usize = 230;
const WIDTH: usize = 420;

/// A bar: its name, its length, what is written behind it, its colour, and a mark.
struct Bar {
    name: String,
    value: f64,
    label: String,
    colour: &'static str,
    mark: Option<f64>,
}

/// Writes all plots into `folder`.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let title = "lsm to the best peer; the line is the goal";
    std::fs::write(folder.join("compare-ratios.svg"), chart(title, &ratios(results)))?;
    let groups = [
        ("compare-writes.svg", ["fillseq", "fillrandom", "overwrite", "fillbatch1000"]),
        ("compare-reads.svg", ["readrandom", "readzipf", "readmissing", "readrandom, 2 threads"]),
        ("compare-scans.svg", ["seek + 10", "seek + 100", "seek + 1000", "full scan"]),
    ];
    for (file, names) in groups {
        let bars: Vec<Bar> = names.iter().flat_map(|name| engines(results, name)).collect();
        std::fs::write(folder.join(file), chart("a second, logarithmic", &bars))?;
    }
    Ok(())
}

fn ratios(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for goal in GOALS {
        let (Wanted::Times(mark) | Wanted::TimesAndRate(mark, _) | Wanted::TimesAndLsm(mark, _)) =
            goal.wanted
        else {
            continue;
        };
        let Some((verdict, ratio)) =
            judge(results, goal).and_then(|verdict| verdict.ratio.map(|ratio| (verdict, ratio)))
        else {
            continue;
        };
        bars.push(Bar {
            name: goal.measure.to_owned(),
            value: ratio,
            label: format!("{ratio:.2}x"),
            colour: if verdict.reached { "#2a7" } else { "#c64" },
            mark: Some(mark),
        });
    }
    bars
}

fn engines(results: &Results, name: &str) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (engine, kind) in results.engines() {
        let Some(value) = results.median(&engine, name).filter(|_| kind != Kind::Bound) else {
            continue;
        };
        let colour = match kind {
            Kind::Ours => "#25a",
            Kind::Lsm => "#79b",
            _ => "#aaa",
        };
        let (name, label) = (format!("{name}: {engine}"), readable(value));
        bars.push(Bar { name, value, label, colour, mark: None });
    }
    bars
}

/// Bars over a logarithmic axis that spans all values and marks.
fn chart(title: &str, bars: &[Bar]) -> String {
    let height = (bars.len() + 2) * ROW;
    let width = LEFT + WIDTH + 70;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"13\">{title}</text>\n"
    );
    let values = bars.iter().flat_map(|bar| std::iter::once(bar.value).chain(bar.mark));
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = ((least / 1.5).ln(), (most * 1.05).ln());
    let x = |value: f64| ((value.max(least).ln() - low) / (high - low)).max(0.0) * WIDTH as f64;
    for (at, bar) in bars.iter().enumerate() {
        let (top, base) = (ROW + at * ROW + 4, ROW + at * ROW + 14);
        let end = LEFT as f64 + x(bar.value);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{base}\">{}</text>",
            LEFT - 6,
            bar.name,
            x(bar.value),
            bar.colour,
            end + 4.0,
            bar.label
        );
        if let Some(mark) = bar.mark {
            let mark = LEFT as f64 + x(mark);
            let bottom = top + 14;
            let _ = writeln!(
                svg,
                "<line x1=\"{mark:.1}\" x2=\"{mark:.1}\" y1=\"{}\" y2=\"{bottom}\" \
                 stroke=\"black\" stroke-width=\"2\"/>",
                top - 2
            );
        }
    }
    svg + "</svg>\n"
}
