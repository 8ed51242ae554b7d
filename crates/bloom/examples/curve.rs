//! Measures the false-positive rate of every kind against bits a key and draws the plot of the
//! docs.
//!
//! `cargo run --release -p bloom --example curve -- plot docs/bloom-rates.svg`: the plot, in
//! seconds. `cargo run --release -p bloom --example curve -- tables [KIND]`: the tables of
//! `src/sizing.rs`, in minutes.

#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::error::Error;
use std::fmt::Write as _;

use bloom::{Filter, Kind, build, build_with_probes, theory};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const KEYS: usize = 300_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("plot"), Some(path)) => std::fs::write(path, plot()?)?,
        (Some("tables"), kind) => tables(kind.as_deref())?,
        _ => return Err("say `plot FILE` or `tables [KIND]`".into()),
    }
    Ok(())
}

/// Random keys, and the random absent ones that follow them.
struct Keys {
    members: Vec<u64>,
    random: StdRng,
}

impl Keys {
    fn new() -> Self {
        let mut random = StdRng::seed_from_u64(1);
        Self { members: (0..KEYS).map(|_| random.random()).collect(), random }
    }

    /// Asks for absent keys until so many false positives or so many lookups; returns the rate.
    fn rate(&mut self, bytes: &[u8], positives: u64, lookups: u64) -> Result<f64, Box<dyn Error>> {
        let filter = Filter::decode(bytes)?;
        let mut answers = vec![false; 4_096];
        let (mut found, mut asked) = (0, 0);
        while found < positives && asked < lookups {
            let hashes: Vec<u64> = (0..answers.len()).map(|_| self.random.random()).collect();
            filter.may_contain_hashes(&hashes, &mut answers);
            asked += hashes.len() as u64;
            found += answers.iter().filter(|answer| **answer).count() as u64;
        }
        Ok(found as f64 / asked as f64)
    }
}

/// For each half bit, the better of the two numbers of probes that theory likes best.
fn tables(only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut keys = Keys::new();
    let kinds = [
        (Kind::DoubleProbe, 1..=8),
        (Kind::Blocked, 1..=16),
        (Kind::Standard, 1..=18),
        (Kind::SplitBlock, 8..=8),
    ];
    for (kind, probes) in kinds {
        if only.is_some_and(|only| only != format!("{kind:?}")) {
            continue;
        }
        println!("{kind:?}");
        for half_bits in 1..=48 {
            let bits = f64::from(half_bits) / 2.0;
            let mut candidates: Vec<(f64, u8)> = probes
                .clone()
                .map(|probes| (theory::rate(kind, bits, probes.into()), probes))
                .collect();
            candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut best = (1.0, 1);
            for &(expected, probes) in candidates.iter().take(2) {
                if expected > candidates[0].0 * 1.05 {
                    continue;
                }
                let bytes = build_with_probes(kind, bits, probes, &keys.members);
                let rate = keys.rate(&bytes, 40_000, 200_000_000)?;
                if rate < best.0 {
                    best = (rate, probes);
                }
            }
            println!("    ({}, {:.4e}), // {bits} bits", best.1, best.0);
        }
    }
    Ok(())
}

/// The plot: measured points and lines, and the two bounds.
fn plot() -> Result<String, Box<dyn Error>> {
    let mut keys = Keys::new();
    let mut svg = frame()?;
    let ideal = |f: fn(f64) -> f64| (4..=20).map(f64::from).map(move |bits| (bits, f(bits)));
    line(&mut svg, ("#888", "6 4"), ideal(|bits| 0.618_503_f64.powf(bits)))?;
    line(&mut svg, ("#888", "2 3"), ideal(|bits| 0.5_f64.powf(bits)))?;
    let kinds = [
        (Kind::DoubleProbe, "#c0392b", "double probe"),
        (Kind::Blocked, "#e08e0b", "blocked"),
        (Kind::SplitBlock, "#8e44ad", "split block"),
        (Kind::Standard, "#2471a3", "standard"),
        (Kind::Ribbon, "#1e8449", "ribbon"),
    ];
    for (rank, (kind, colour, name)) in kinds.into_iter().enumerate() {
        let mut points = Vec::new();
        for bits in 4..=20 {
            let bits = f64::from(bits);
            let bytes = build(kind, bits, &keys.members);
            let rate = keys.rate(&bytes, 10_000, 10_000_000)?;
            println!("{name}, {bits} bits a key: {:.4} %", rate * 100.0);
            if rate > 8e-6 {
                points.push((bits, rate));
            }
        }
        for &(bits, rate) in &points {
            let (x, y) = place(bits, rate);
            writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>")?;
        }
        line(&mut svg, (colour, "none"), points.into_iter())?;
        legend(&mut svg, rank, (colour, "none"), name)?;
    }
    legend(&mut svg, 5, ("#888", "6 4"), "bound, any Bloom filter")?;
    legend(&mut svg, 6, ("#888", "2 3"), "bound, any filter")?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Where a point lies in the picture: bits to the right, the logarithm of the rate upwards.
fn place(bits: f64, rate: f64) -> (f64, f64) {
    (60.0 + (bits - 4.0) / 16.0 * 560.0, 30.0 + (-0.5 - rate.log10()) / 4.5 * 380.0)
}

fn frame() -> Result<String, std::fmt::Error> {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 460\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"640\" height=\"460\" fill=\"white\"/>\n\
         <text x=\"340\" y=\"452\" text-anchor=\"middle\">bits a key</text>\n\
         <text x=\"60\" y=\"18\">false positives, measured (300,000 keys, random hashes)</text>\n",
    );
    for bits in (4..=20).step_by(2) {
        let (x, _) = place(f64::from(bits), 0.1);
        write!(svg, "<path d=\"M{x:.1} 30V410\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"{x:.1}\" y=\"426\" text-anchor=\"middle\">{bits}</text>")?;
    }
    for (rate, label) in
        [(0.1, "10 %"), (0.01, "1 %"), (1e-3, "0.1 %"), (1e-4, "0.01 %"), (1e-5, "0.001 %")]
    {
        let (_, y) = place(4.0, rate);
        let text_y = y + 4.0;
        write!(svg, "<path d=\"M60 {y:.1}H620\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"55\" y=\"{text_y:.1}\" text-anchor=\"end\">{label}</text>")?;
    }
    Ok(svg)
}

fn line(
    svg: &mut String,
    (colour, dashes): (&str, &str),
    points: impl Iterator<Item = (f64, f64)>,
) -> std::fmt::Result {
    write!(svg, "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"")?;
    write!(svg, " stroke-dasharray=\"{dashes}\" d=\"")?;
    for (rank, (bits, rate)) in points.filter(|(_, rate)| *rate > 1e-5).enumerate() {
        let (x, y) = place(bits, rate);
        write!(svg, "{}{x:.1} {y:.1}", if rank == 0 { 'M' } else { 'L' })?;
    }
    writeln!(svg, "\"/>")
}

fn legend(
    svg: &mut String,
    rank: usize,
    (colour, dashes): (&str, &str),
    name: &str,
) -> std::fmt::Result {
    let y = 48.0 + 18.0 * rank as f64;
    write!(svg, "<path d=\"M440 {y}H470\" stroke=\"{colour}\" stroke-width=\"2\"")?;
    write!(svg, " stroke-dasharray=\"{dashes}\"/>")?;
    writeln!(svg, "<text x=\"478\" y=\"{}\">{name}</text>", y + 4.0)
}
