//! The goals: ratios of `lsm` to the best peer of the same run.

use crate::adapters::Kind;
use crate::results::Results;

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// At least so many times the best peer's rate.
    Times(f64),
    /// As `Times`, and so many times the best LSM peer's.
    TimesAndLsm(f64, f64),
    /// As `Times`, and at least so many a second.
    TimesAndRate(f64, f64),
    /// At most so many times the best peer's figure, where less is better.
    AtMost(f64),
    /// At most this, whatever the peers do.
    Below(f64),
    /// Less than every LSM peer's.
    BelowEveryLsm,
    /// At least so many times another of its own figures.
    TimesOwn(&'static str, f64),
}

/// A row of the table of goals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) measure: &'static str,
    pub(crate) wanted: Wanted,
}

const fn goal(measure: &'static str, wanted: Wanted) -> Goal {
    Goal { measure, wanted }
}

/// All goals.
pub(crate) const GOALS: [Goal; 29] = [
    goal("fillseq", Wanted::TimesAndRate(2.5, 1e6)),
    goal("fillrandom", Wanted::Times(2.5)),
    goal("overwrite", Wanted::Times(2.5)),
    goal("fillrandom, 2 threads", Wanted::Times(2.5)),
    goal("fillrandom, 2 threads", Wanted::TimesOwn("fillrandom", 1.5)),
    goal("fillbatch1000", Wanted::Times(4.0)),
    goal("readrandom", Wanted::Times(1.1)),
    goal("readzipf", Wanted::Times(1.1)),
    goal("readmissing", Wanted::Times(1.3)),
    goal("seek + 10", Wanted::Times(1.1)),
    goal("seek + 100", Wanted::Times(1.3)),
    goal("seek + 1000", Wanted::Times(1.5)),
    goal("full scan", Wanted::Times(1.5)),
    goal("readrandom, 2 threads", Wanted::Times(1.2)),
    goal("read while writing: writes", Wanted::Times(1.2)),
    goal("read while writing: reads", Wanted::Times(1.2)),
    goal("mixed 50/50", Wanted::Times(2.0)),
    goal("mixed 50/50, 2 threads", Wanted::Times(2.0)),
    goal("scan after deletes", Wanted::TimesAndLsm(1.0, 2.0)),
    goal("every put synced, 1 threads", Wanted::Times(1.0)),
    goal("every put synced, 2 threads", Wanted::Times(1.0)),
    goal("every put synced, 8 threads", Wanted::Times(1.0)),
    goal("every put synced, 8 threads", Wanted::TimesOwn("every put synced, 2 threads", 1.05)),
    goal("reopen after kill -9", Wanted::Below(0.3)),
    goal("records lost by kill -9", Wanted::Below(0.0)),
    goal("disk, compacted", Wanted::AtMost(1.0)),
    goal("disk, most while compacting, to before", Wanted::Below(1.3)),
    goal("p99.9 of a put at full speed", Wanted::BelowEveryLsm),
    goal("p99.9 of a put at 95 %", Wanted::BelowEveryLsm),
];

/// How a goal was met.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) ours: f64,
    /// The peer compared with, and its figure.
    pub(crate) best: Option<(String, f64)>,
    /// The best LSM peer.
    pub(crate) best_lsm: Option<(String, f64)>,
    /// Ours to the figure it is compared with.
    pub(crate) ratio: Option<f64>,
    pub(crate) wanted: String,
    pub(crate) reached: bool,
}

/// The best of the peers that keep what they acknowledge.
fn best(
    results: &Results,
    measure: &str,
    more_is_better: bool,
    kinds: &[Kind],
) -> Option<(String, f64)> {
    let peers = results.engines().into_iter().filter(|(_, kind)| kinds.contains(kind));
    let figures = peers.filter_map(|(name, _)| {
        let figure = results.median(&name, measure)?;
        Some((name, figure))
    });
    if more_is_better {
        figures.max_by(|a, b| a.1.total_cmp(&b.1))
    } else {
        figures.min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Whether a goal was met; `None` if `lsm` has no such figure.
pub(crate) fn judge(results: &Results, goal: Goal) -> Option<Verdict> {
    let ours = results.median("lsm", goal.measure)?;
    let more = !matches!(goal.wanted, Wanted::AtMost(_) | Wanted::Below(_) | Wanted::BelowEveryLsm);
    // What is measured against its own figures has no peer.
    let peers: &[Kind] = match goal.wanted {
        Wanted::TimesOwn(..) => &[],
        _ => &[Kind::Lsm, Kind::Tree],
    };
    let peer = best(results, goal.measure, more, peers);
    let lsm_peer = best(results, goal.measure, more, &peers[..peers.len().min(1)]);
    let to = |other: &Option<(String, f64)>| other.as_ref().map(|(_, figure)| ours / figure);
    let (ratio, lsm_ratio) = (to(&peer), to(&lsm_peer));
    let at_least = |ratio: Option<f64>, times: f64| ratio.is_some_and(|ratio| ratio >= times);
    let at_most = |ratio: Option<f64>, times: f64| ratio.is_some_and(|ratio| ratio <= times);
    let (reached, ratio, wanted) = match goal.wanted {
        Wanted::Times(times) => (at_least(ratio, times), ratio, format!("{times}x")),
        Wanted::TimesAndLsm(times, lsm) => {
            let reached = at_least(ratio, times) && at_least(lsm_ratio, lsm);
            (reached, ratio, format!("{times}x; {lsm}x the best LSM"))
        }
        Wanted::TimesAndRate(times, rate) => {
            let wanted = format!("{times}x; {} /s", workloads::report::readable(rate));
            (at_least(ratio, times) && ours >= rate, ratio, wanted)
        }
        Wanted::AtMost(times) => (at_most(ratio, times), ratio, format!("at most {times}x")),
        Wanted::Below(limit) => (ours <= limit, ratio, format!("at most {limit}")),
        Wanted::BelowEveryLsm => {
            (at_most(lsm_ratio, 1.0), lsm_ratio, "below every LSM peer".to_owned())
        }
        Wanted::TimesOwn(other, times) => {
            let ratio = results.median("lsm", other).map(|figure| ours / figure);
            (at_least(ratio, times), ratio, format!("{times}x its own {other}"))
        }
    };
    Some(Verdict { ours, best: peer, best_lsm: lsm_peer, ratio, wanted, reached })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::run;

    fn results(figures: &[(&str, &str, f64)]) -> Results {
        let mut results = Results::default();
        for (engine, name, value) in figures {
            results.add(run(engine, name, *value, "/s"));
        }
        results
    }

    #[test]
    fn a_rate_needs_its_ratio_to_the_best_peer_and_engines_that_forget_do_not_count() {
        let wanted = goal("overwrite", Wanted::Times(2.5));
        let mut figures = vec![("lsm", "overwrite", 260.0), ("floor", "overwrite", 9e9)];
        if cfg!(feature = "fjall") {
            figures.extend([("fjall", "overwrite", 100.0), ("sled", "overwrite", 9e9)]);
            let verdict = judge(&results(&figures), wanted).expect("ours is there");
            assert!(verdict.reached && verdict.ratio == Some(2.6), "{verdict:?}");
            figures.push(("LMDB", "overwrite", 110.0));
            assert!(!judge(&results(&figures), wanted).expect("ours is there").reached);
        } else {
            assert!(!judge(&results(&figures), wanted).expect("ours is there").reached);
        }
    }

    #[test]
    fn limits_need_no_peer() {
        let wanted = goal("reopen after kill -9", Wanted::Below(0.3));
        let judged = |seconds| judge(&results(&[("lsm", "reopen after kill -9", seconds)]), wanted);
        assert!(judged(0.3).is_some_and(|verdict| verdict.reached));
        assert!(judged(0.31).is_some_and(|verdict| !verdict.reached));
        assert!(judge(&results(&[]), wanted).is_none());
    }
}
