//! Strategies as text, for command lines and for databases that remember how they were set up;
//! skews as text, for command lines.
//!
//! ```text
//! leveled | partial:SELECTION | lazy-leveled | lazy-l0 | tiered
//! fluid:INNER:LAST:whole | fluid:INNER:LAST:SELECTION          (runs that may rest)
//! fifo:MAX_BYTES:TTL_US                                        (`-` for no limit)
//! SELECTION := least-overlap | round-robin | most-tombstones | oldest | coldest
//! SKEW      := uniform | zipf:THETA | zipf | sequential          (`zipf`: a THETA of 0.99)
//! ```

use std::fmt;
use std::str::FromStr;

use crate::options::{Granularity, InvalidOption, Strategy};
use crate::policy::partial::Selection;
use crate::simulate::Skew;

const SELECTIONS: [(&str, Selection); 5] = [
    ("least-overlap", Selection::LeastOverlap),
    ("round-robin", Selection::RoundRobin),
    ("most-tombstones", Selection::MostTombstones),
    ("oldest", Selection::Oldest),
    ("coldest", Selection::Coldest),
];

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SELECTIONS.iter().find(|(_, selection)| selection == self);
        f.write_str(name.map_or("least-overlap", |(name, _)| name))
    }
}

impl FromStr for Selection {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Selection, InvalidOption> {
        let found = SELECTIONS.iter().find(|(name, _)| *name == text);
        found.map(|(_, selection)| *selection).ok_or(InvalidOption {
            name: "selection",
            expected: "least-overlap, round-robin, most-tombstones, oldest or coldest",
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::Leveled => f.write_str("leveled"),
            Strategy::Partial(selection) => write!(f, "partial:{selection}"),
            Strategy::LazyLeveled => f.write_str("lazy-leveled"),
            Strategy::LazyL0 => f.write_str("lazy-l0"),
            Strategy::Tiered => f.write_str("tiered"),
            Strategy::Fluid { inner_runs, last_runs, granularity } => {
                write!(f, "fluid:{inner_runs}:{last_runs}:")?;
                match granularity {
                    Granularity::Whole => f.write_str("whole"),
                    Granularity::Partial(selection) => write!(f, "{selection}"),
                }
            }
            Strategy::Fifo { max_bytes, ttl_us } => {
                let limit = |limit: Option<u64>| limit.map_or("-".into(), |n| n.to_string());
                let max_bytes = Some(*max_bytes).filter(|bytes| *bytes != u64::MAX);
                write!(f, "fifo:{}:{}", limit(max_bytes), limit(*ttl_us))
            }
        }
    }
}

impl FromStr for Strategy {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Strategy, InvalidOption> {
        let parts: Vec<&str> = text.split(':').collect();
        let invalid = InvalidOption {
            name: "strategy",
            expected: "leveled, partial:SELECTION, lazy-leveled, lazy-l0, tiered, \
                       fluid:INNER:LAST:(whole|SELECTION) or fifo:MAX_BYTES:TTL_US",
        };
        let limit = |text: &str| match text {
            "-" => Ok(None),
            digits => digits.parse().map(Some).or(Err(invalid.clone())),
        };
        match parts.as_slice() {
            ["leveled"] => Ok(Strategy::Leveled),
            ["partial"] => Ok(Strategy::Partial(Selection::default())),
            ["partial", selection] => Ok(Strategy::Partial(selection.parse()?)),
            ["lazy-leveled"] => Ok(Strategy::LazyLeveled),
            ["lazy-l0"] => Ok(Strategy::LazyL0),
            ["tiered"] => Ok(Strategy::Tiered),
            ["fluid", inner, last, granularity] => Ok(Strategy::Fluid {
                inner_runs: inner.parse().or(Err(invalid.clone()))?,
                last_runs: last.parse().or(Err(invalid))?,
                granularity: match *granularity {
                    "whole" => Granularity::Whole,
                    selection => Granularity::Partial(selection.parse()?),
                },
            }),
            ["fifo", max_bytes, ttl_us] => Ok(Strategy::Fifo {
                max_bytes: limit(max_bytes)?.unwrap_or(u64::MAX),
                ttl_us: limit(ttl_us)?,
            }),
            _ => Err(invalid),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Uniform => f.write_str("uniform"),
            Skew::Zipf { theta } => write!(f, "zipf:{theta}"),
            Skew::Sequential => f.write_str("sequential"),
        }
    }
}

impl FromStr for Skew {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Skew, InvalidOption> {
        let invalid = InvalidOption {
            name: "skew",
            expected: "uniform, sequential, zipf or zipf:THETA with THETA from 0 to below 1",
        };
        match text.split_once(':') {
            None if text == "uniform" => Ok(Skew::Uniform),
            None if text == "sequential" => Ok(Skew::Sequential),
            None if text == "zipf" => Ok(Skew::Zipf { theta: 0.99 }),
            Some(("zipf", theta)) => {
                let theta = theta.parse().ok().filter(|theta| (0.0..1.0).contains(theta));
                theta.map(|theta| Skew::Zipf { theta }).ok_or(invalid)
            }
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skew_reads_back() {
        for skew in [Skew::Uniform, Skew::Zipf { theta: 0.7 }, Skew::Sequential] {
            assert_eq!(skew.to_string().parse(), Ok(skew), "{skew}");
        }
        assert_eq!("zipf".parse(), Ok(Skew::Zipf { theta: 0.99 }));
        for text in ["", "Uniform", "zipf:", "zipf:1", "zipf:-0.1", "zipf:NaN", "uniform:0.5"] {
            assert!(text.parse::<Skew>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_strategy_reads_back() {
        let mut all = vec![
            Strategy::Leveled,
            Strategy::LazyLeveled,
            Strategy::LazyL0,
            Strategy::Tiered,
            Strategy::Fluid { inner_runs: 3, last_runs: 1, granularity: Granularity::Whole },
            Strategy::Fifo { max_bytes: u64::MAX, ttl_us: None },
            Strategy::Fifo { max_bytes: 7, ttl_us: Some(8) },
        ];
        for (_, selection) in SELECTIONS {
            let granularity = Granularity::Partial(selection);
            all.push(Strategy::Partial(selection));
            all.push(Strategy::Fluid { inner_runs: 1, last_runs: 2, granularity });
        }
        for strategy in all {
            assert_eq!(strategy.to_string().parse(), Ok(strategy), "{strategy}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "Leveled", "partial:", "fluid:1:2", "fluid:a:1:whole", "fifo:1", "fifo:x:-"]
        {
            assert!(text.parse::<Strategy>().is_err(), "{text}");
        }
    }
}
