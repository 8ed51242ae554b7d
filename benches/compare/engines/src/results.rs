//! Results of runs, in one JSON file, and their medians.

use std::path::Path;

use serde::{Deserialize, Serialize};
use workloads::{Measure, Result};

use crate::Size;
use crate::adapters::{self, Kind};

/// One engine's run of one group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) engine: String,
    pub(crate) group: String,
    /// Time of the process, preparation included.
    pub(crate) seconds: f64,
    pub(crate) measures: Vec<Measure>,
    /// Why there are none.
    pub(crate) failure: Option<String>,
}

/// All runs, and on what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Processor, cores, kernel.
    pub(crate) machine: String,
    pub(crate) records: u64,
    /// Fills and reads were timed for at most so long.
    pub(crate) fill_seconds: f64,
    pub(crate) read_seconds: f64,
    pub(crate) runs: Vec<Run>,
}

fn machine() -> String {
    let first = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(": ").next().unwrap_or_default().trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = first("/proc/sys/kernel/osrelease", "");
    format!("{cores} cores of {}, Linux {kernel}", first("/proc/cpuinfo", "model name"))
}

impl Results {
    /// What is in `path` already if it was run at the same size, or nothing yet.
    pub(crate) fn open(path: &Path, size: &Size) -> Result<Self> {
        let there = if path.exists() { Some(Self::read(path)?) } else { None };
        let same = |old: &Self| {
            old.records == size.records
                && old.fill_seconds == size.fill_seconds
                && old.read_seconds == size.read_seconds
        };
        if there.as_ref().is_some_and(|old| !same(old)) {
            return Err(format!("{} holds runs of another size", path.display()).into());
        }
        Ok(there.unwrap_or_else(|| Self {
            machine: machine(),
            records: size.records,
            fill_seconds: size.fill_seconds,
            read_seconds: size.read_seconds,
            runs: Vec::new(),
        }))
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    pub(crate) fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// The engines that ran, in the order of the tables.
    pub(crate) fn engines(&self) -> Vec<(String, Kind)> {
        let ran = |name: &str| self.runs.iter().any(|run| run.engine == name);
        let known = adapters::all();
        let mut engines: Vec<(String, Kind)> = known
            .iter()
            .filter(|entry| ran(entry.name))
            .map(|entry| (entry.name.to_owned(), entry.kind))
            .collect();
        for run in &self.runs {
            // Of another build: what it is cannot be known, so it is not compared.
            if engines.iter().all(|(name, _)| *name != run.engine) {
                engines.push((run.engine.clone(), Kind::Bound));
            }
        }
        engines
    }

    /// The names of all measures, in the order of their first run.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = Vec::new();
        for measure in self.runs.iter().flat_map(|run| &run.measures) {
            if names.iter().all(|(name, _)| *name != measure.name) {
                names.push((measure.name.clone(), measure.unit.clone()));
            }
        }
        names
    }

    /// The median of what an engine reached, and of one of its latencies.
    pub(crate) fn median(&self, engine: &str, name: &str) -> Option<f64> {
        self.median_of(engine, name, |measure| Some(measure.value))
    }

    /// As [`Results::median`], of a latency: 0 is p50, 1 p99, 2 p99.9.
    pub(crate) fn latency(&self, engine: &str, name: &str, quantile: usize) -> Option<f64> {
        self.median_of(engine, name, |measure| measure.latencies_us.get(quantile).copied())
    }

    fn median_of(
        &self,
        engine: &str,
        name: &str,
        figure: impl Fn(&Measure) -> Option<f64>,
    ) -> Option<f64> {
        let of_engine = self.runs.iter().filter(|run| run.engine == engine);
        let measures = of_engine.flat_map(|run| &run.measures);
        let mut figures: Vec<f64> =
            measures.filter(|measure| measure.name == name).filter_map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len().checked_sub(1)? / 2;
        match figures.len() % 2 {
            1 => Some(figures[middle]),
            _ => Some(f64::midpoint(figures[middle], figures[middle + 1])),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run(engine: &str, name: &str, value: f64, unit: &str) -> Run {
        let mut measure = Measure::single(name, value, unit);
        measure.latencies_us = vec![1.0, 2.0, value];
        Run {
            engine: engine.to_owned(),
            group: "g".to_owned(),
            seconds: 1.0,
            measures: vec![measure],
            failure: None,
        }
    }

    #[test]
    fn medians_are_of_one_engine_and_measure() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 100.0] {
            results.add(run("lsm", "fillseq", value, "/s"));
            results.add(run("fjall", "fillseq", 7.0, "/s"));
        }
        assert_eq!(results.median("lsm", "fillseq"), Some(3.0));
        assert_eq!(results.latency("lsm", "fillseq", 2), Some(3.0));
        results.add(run("lsm", "fillseq", 5.0, "/s"));
        assert_eq!(results.median("lsm", "fillseq"), Some(4.0));
        assert_eq!(results.median("lsm", "nothing"), None);
    }
}
