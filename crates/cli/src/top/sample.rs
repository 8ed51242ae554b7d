//! [`Sample`]: what a database does at one moment, and what happened between two of them.

use std::time::Duration;

use serde_json::Value;

use crate::engine::{LevelShape, MemtableShape, RunShape, Shape, TableShape};

/// What a source tells at one moment. All counters grow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Seconds on the source's clock.
    pub(crate) seconds: f64,
    /// Everything else that it tells, under the names of the server's `json`.
    pub(crate) report: Value,
    /// The tree.
    pub(crate) shape: Shape,
    /// Tables that are being merged.
    pub(crate) compacting: Vec<u64>,
}

/// Which latencies there are.
pub(crate) const TIMED: [&str; 3] = ["get", "write", "range"];

impl Sample {
    /// Takes the answer of a server apart; `None` if it is not one.
    pub(crate) fn from_report(report: Value) -> Option<Self> {
        let shape = shape(report.get("shape")?)?;
        let seconds = report.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
        let numbers = report.pointer("/activity/compacting").and_then(Value::as_array);
        let numbers = numbers.into_iter().flatten().filter_map(Value::as_u64);
        let mut compacting: Vec<u64> = numbers.collect();
        compacting.sort_unstable();
        Some(Self { seconds, report, shape, compacting })
    }

    /// A number, if the source tells it.
    pub(crate) fn number(&self, pointer: &str) -> Option<u64> {
        self.report.pointer(pointer)?.as_u64()
    }

    /// How much a counter grew a second; `None` if the source does not tell, or no time passed.
    pub(crate) fn rate(&self, before: &Self, pointer: &str) -> Option<f64> {
        let seconds = self.seconds - before.seconds;
        (seconds > 0.0).then_some(self.grown(before, pointer)? as f64 / seconds)
    }

    /// How much a counter grew.
    pub(crate) fn grown(&self, before: &Self, pointer: &str) -> Option<u64> {
        Some(self.number(pointer)?.saturating_sub(before.number(pointer).unwrap_or(0)))
    }

    /// `part` of `part + rest`, of what happened since `before`; `None` if nothing did.
    pub(crate) fn share(&self, before: &Self, part: &str, rest: &str) -> Option<f64> {
        let (part, rest) = (self.grown(before, part)?, self.grown(before, rest)?);
        (part + rest > 0).then(|| part as f64 / (part + rest) as f64)
    }

    /// The times of one kind of operation since `before`, ascending.
    pub(crate) fn times(&self, before: &Self, what: &str) -> Times {
        let old = before.counts(what);
        let mut counts = self.counts(what);
        for (ns, count) in &mut counts {
            if let Ok(at) = old.binary_search_by_key(ns, |(ns, _)| *ns) {
                *count = count.saturating_sub(old.get(at).map_or(0, |(_, count)| *count));
            }
        }
        counts.retain(|(_, count)| *count > 0);
        Times { counts }
    }

    fn counts(&self, what: &str) -> Vec<(u64, u64)> {
        let list = self.report.get("latencies").and_then(|all| all.get(what)?.as_array());
        let pair = |pair: &Value| Some((pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?));
        list.into_iter().flatten().filter_map(pair).collect()
    }
}

/// How often what took how long, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    counts: Vec<(u64, u64)>,
}

impl Times {
    /// The time within which `share` of the operations ended; `None` if there were none.
    pub(crate) fn within(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().map(|(_, count)| count).sum();
        let mut left = (all as f64 * share).ceil().max(1.0);
        let found = self.counts.iter().find(|(_, count)| {
            left -= *count as f64;
            left <= 0.0
        });
        let found = found.or(self.counts.last());
        found.map(|(ns, _)| Duration::from_nanos(*ns))
    }
}

/// The tree of a server's report.
fn shape(value: &Value) -> Option<Shape> {
    let mut shape = Shape::default();
    for memtable in value.get("memtables")?.as_array()? {
        let mut drawn = MemtableShape::default();
        drawn.memory_bytes = memtable.get(0)?.as_u64()?;
        drawn.entries = memtable.get(1)?.as_u64()?;
        shape.memtables.push(drawn);
    }
    for level in value.get("levels")?.as_array()? {
        let mut drawn = LevelShape::default();
        for run in level.as_array()? {
            let mut tables = RunShape::default();
            tables.tables = run.as_array()?.iter().map(table).collect::<Option<_>>()?;
            drawn.runs.push(tables);
        }
        shape.levels.push(drawn);
    }
    Some(shape)
}

fn table(value: &Value) -> Option<TableShape> {
    let number = |at: usize| value.get(at)?.as_u64();
    let key = |at: usize| bytes(value.get(at)?.as_str()?);
    let mut table = TableShape::default();
    (table.number, table.bytes, table.raw_bytes) = (number(0)?, number(1)?, number(2)?);
    (table.entries, table.tombstones) = (number(3)?, number(4)?);
    (table.smallest, table.largest) = (key(5)?, key(6)?);
    Some(table)
}

/// The bytes that hexadecimal digits stand for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(seconds: f64, gets: u64, counts: &Value) -> Sample {
        Sample::from_report(json!({
            "seconds": seconds, "stats": { "gets": gets, "get_hits": gets / 4 },
            "latencies": { "get": counts }, "activity": { "compacting": [7] },
            "shape": { "memtables": [[100, 3]],
                       "levels": [[], [[[7, 1000, 2000, 10, 1, "00ff", "80000001"]]]] },
        }))
        .unwrap()
    }

    #[test]
    fn what_happened_is_the_difference_of_two_samples() {
        let before = sample(10.0, 100, &json!([[1000, 5], [2000, 5]]));
        let now = sample(12.0, 500, &json!([[1000, 5], [2000, 95], [9000, 10]]));
        assert_eq!(now.rate(&before, "/stats/gets"), Some(200.0));
        assert_eq!(now.rate(&now, "/stats/gets"), None);
        assert_eq!(now.rate(&before, "/stats/other"), None);
        let times = now.times(&before, "get");
        assert_eq!(times.within(0.5), Some(Duration::from_micros(2)));
        assert_eq!(times.within(0.91), Some(Duration::from_micros(9)));
        assert_eq!(times.within(1.0), Some(Duration::from_micros(9)));
        assert_eq!(now.times(&before, "range").within(0.5), None);
        // A server that was started again counts from zero.
        assert_eq!(before.grown(&now, "/stats/gets"), Some(0));
    }

    #[test]
    fn the_tree_is_read_back_and_nonsense_is_refused() {
        let sample = sample(1.0, 0, &json!([]));
        let table = &sample.shape.levels[1].runs[0].tables[0];
        assert_eq!((table.number, &table.smallest[..]), (7, &[0, 255][..]));
        assert_eq!(table.largest, [0x80, 0, 0, 1]);
        assert_eq!((sample.shape.memtables[0].entries, &sample.compacting[..]), (3, &[7][..]));
        for bad in [json!({}), json!({"shape": 3}), json!({"shape": {"memtables": [[1]]}})] {
            assert!(Sample::from_report(bad).is_none());
        }
        assert_eq!(bytes("0g"), None);
        assert_eq!(bytes("123"), None);
    }
}
