//! Reports as people like to see them: a table of text, and a plot as SVG.

use std::fmt::Write as _;

use crate::simulate::{Report, Spread};

/// Returns a table of settings, one line each, the closed form in brackets.
///
/// A setting is one report, or the reports of its phases ([`crate::simulate::simulate_phases`]):
/// then the numbers are means over the phases, and what is written has its least and its most
/// beside it. What a report does not know is a dash.
///
/// ```text
/// policy         T         write amp   least to most       space amp  worst          runs  ...
/// lazy-leveled   4       6.68  (4.0)    5.85 to 7.55     1.12  (1.2)   1.40    5.8  (7.0)  ...
/// ```
pub fn table<R: AsRef<[Report]>>(settings: &[R]) -> String {
    let has_phases = settings.iter().any(|phases| phases.as_ref().len() > 1);
    let phases_head = if has_phases { format!(" {:>15}", "least to most") } else { String::new() };
    let mut text = format!(
        "{:<13}{:>3}  {:>16}{phases_head} {:>15} {:>6} {:>13} {:>11} {:>12} {:>8}\n",
        "policy",
        "T",
        "write amp",
        "space amp",
        "worst",
        "runs",
        "absent get",
        "filters MiB",
        "stalled"
    );
    for phases in settings.iter().map(AsRef::as_ref) {
        let Some(r) = phases.get(phases.len() / 2) else { continue };
        let mean = |number: fn(&Report) -> f64| Spread::of(phases, number).mean;
        let closed = |value: Option<f64>| value.map_or(String::new(), |v| format!("({v:.1})"));
        let dash = || "-".to_owned();
        let written = Spread::of(phases, |r| r.write_amplification);
        let range = format!("{:.2} to {:.2}", written.least, written.most);
        let range = if has_phases { format!(" {range:>15}") } else { String::new() };
        let worst = Spread::of_known(phases, |r| r.space_amplification_max);
        let stalled = Spread::of_known(phases, |r| r.stalled);
        push(
            &mut text,
            format_args!(
                "{:<13}{:>3}  {:>9.2} {:>6}{range} {:>8.2} {:>6} {:>6} {:>6.1} {:>6} {:>11.4} \
                 {:>12.1} {:>8}\n",
                r.policy,
                r.size_ratio,
                written.mean,
                closed(r.closed.map(|c| c.write_amplification)),
                mean(|r| r.space_amplification),
                closed(r.closed.map(|c| c.space_amplification)),
                worst.map_or_else(dash, |worst| format!("{:.2}", worst.most)),
                mean(|r| r.runs_mean),
                closed(r.closed.map(|c| c.runs)),
                mean(|r| r.absent_key_blocks),
                mean(|r| r.filter_bytes as f64) / f64::from(1 << 20),
                stalled.map_or_else(dash, |stalled| format!("{:.1} %", stalled.mean * 100.0)),
            ),
        );
    }
    text
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

/// Which number of a report a plot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// [`Report::write_amplification`].
    Write,
    /// [`Report::space_amplification`].
    Space,
    /// [`Report::runs_mean`].
    Runs,
    /// [`Report::absent_key_blocks`].
    AbsentGet,
}

impl Axis {
    fn of(self, report: &Report) -> f64 {
        match self {
            Axis::Write => report.write_amplification,
            Axis::Space => report.space_amplification,
            Axis::Runs => report.runs_mean,
            Axis::AbsentGet => report.absent_key_blocks,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Axis::Write => "write amplification",
            Axis::Space => "space amplification",
            Axis::Runs => "runs",
            Axis::AbsentGet => "blocks read for an absent key",
        }
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 60.0;
/// One colour a policy, told apart by those who see no red or no green too (Okabe & Ito 2008).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00"];

/// Returns an SVG image of the settings, each a point at (`x`, `y`) with its size ratio beside it,
/// the points of one policy joined by a line. Light and dark backgrounds both work.
///
/// A setting is one report, or the reports of its phases: then the point is their mean, with a thin
/// line through it from the least `x` to the most.
pub fn svg<R: AsRef<[Report]>>(settings: &[R], x: Axis, y: Axis) -> String {
    let settings: Vec<&[Report]> =
        settings.iter().map(AsRef::as_ref).filter(|phases| !phases.is_empty()).collect();
    let spread = |axis: Axis, phases: &[Report]| Spread::of(phases, |report| axis.of(report));
    let most = |axis: Axis| settings.iter().map(|s| spread(axis, s).most).fold(0.0, f64::max);
    let (x_top, x_step) = nice(most(x));
    let (y_top, y_step) = nice(most(y));
    let px = |value: f64| LEFT + value / x_top * (WIDTH - LEFT - RIGHT);
    let py = |value: f64| HEIGHT - BOTTOM - value / y_top * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#777\">\n"
    );
    axes(&mut out, (x_top, x_step), (y_top, y_step), (&px, &py));
    let (mid_x, mid_y) = (f64::midpoint(LEFT, WIDTH - RIGHT), f64::midpoint(TOP, HEIGHT - BOTTOM));
    push(
        &mut out,
        format_args!(
            "<text x=\"{mid_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
         <text x=\"18\" y=\"{mid_y}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 18 {mid_y})\">{}</text>\n",
            HEIGHT - 16.0,
            x.name(),
            y.name()
        ),
    );
    let mut policies: Vec<&str> = Vec::new();
    for phases in &settings {
        if !policies.contains(&phases[0].policy) {
            policies.push(phases[0].policy);
        }
    }
    for (rank, policy) in policies.iter().enumerate() {
        let colour = COLOURS[rank % COLOURS.len()];
        let point = |phases: &&[Report]| {
            let (x, y) = (spread(x, phases), spread(y, phases).mean);
            let (least, most) = (px(x.least), px(x.most));
            Point { x: px(x.mean), least, most, y: py(y), size_ratio: phases[0].size_ratio }
        };
        let own = settings.iter().filter(|phases| phases[0].policy == *policy);
        let points: Vec<Point> = own.map(point).collect();
        series(&mut out, (policy, rank, colour), &points);
    }
    out.push_str("</svg>\n");
    out
}

/// Where a setting stands in an image.
struct Point {
    x: f64,
    /// Where the phase of the least `x` stands.
    least: f64,
    /// Where the phase of the most `x` stands.
    most: f64,
    y: f64,
    size_ratio: u32,
}

type Scale<'a> = &'a dyn Fn(f64) -> f64;

fn axes(out: &mut String, x: (f64, f64), y: (f64, f64), (px, py): (Scale<'_>, Scale<'_>)) {
    let mut value = 0.0;
    while value <= y.0 * 1.0001 {
        let at = py(value);
        push(
            out,
            format_args!(
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#8884\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                label(value)
            ),
        );
        value += y.1;
    }
    let mut value = 0.0;
    while value <= x.0 * 1.0001 {
        push(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                px(value),
                HEIGHT - BOTTOM + 18.0,
                label(value)
            ),
        );
        value += x.1;
    }
}

fn series(out: &mut String, (policy, rank, colour): (&str, usize, &str), points: &[Point]) {
    let line: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", p.x, p.y)).collect();
    push(
        out,
        format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            line.join(" ")
        ),
    );
    for Point { x, least, most, y, size_ratio } in points {
        if most > least {
            push(
                out,
                format_args!(
                    "<line x1=\"{least:.1}\" y1=\"{y:.1}\" x2=\"{most:.1}\" y2=\"{y:.1}\" \
                     stroke=\"{colour}\" stroke-opacity=\"0.5\"/>\n"
                ),
            );
        }
        push(
            out,
            format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{size_ratio}</text>\n",
                x + 6.0,
                y - 5.0
            ),
        );
    }
    let at = TOP + 20.0 * rank as f64;
    push(
        out,
        format_args!(
            "<circle cx=\"{}\" cy=\"{at}\" r=\"5\" fill=\"{colour}\"/>\
         <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{policy}</text>\n",
            WIDTH - RIGHT + 20.0,
            WIDTH - RIGHT + 32.0,
            at + 4.0
        ),
    );
}

/// Returns a round top of an axis at or above `most`, and a round step of about a fifth of it.
fn nice(most: f64) -> (f64, f64) {
    if !(most.is_finite() && most > 0.0) {
        return (1.0, 0.2);
    }
    let unit = 10f64.powf((most / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|s| s * unit).find(|s| s * 5.0 >= most);
    let step = step.unwrap_or(10.0 * unit);
    ((most / step).ceil() * step, step)
}

fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round() {
        assert_eq!(nice(0.0), (1.0, 0.2));
        assert_eq!(nice(5.0), (5.0, 1.0));
        assert_eq!(nice(5.1), (6.0, 2.0));
        assert_eq!(nice(47.0), (50.0, 10.0));
        let (top, step) = nice(0.034);
        assert!((top - 0.04).abs() < 1e-12 && (step - 0.01).abs() < 1e-12, "{top} {step}");
        assert_eq!(label(0.0), "0");
        assert_eq!(label(12.50), "12.5");
        assert_eq!(nice(f64::NAN), (1.0, 0.2));
    }
}
