//! [`Ground`]: the databases that workloads run on, opened and filled when one first needs them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use workloads::engine::{Engine, Guarantee, Setup};
use workloads::keys::{Values, keyed, shuffled};
use workloads::lsm_engine::LsmEngine;
use workloads::mixes::{Mix, queue};
use workloads::mixgraph::{VALUE_BYTES_MAX, mixgraph};
use workloads::points::Store;
use workloads::run::Extent;
use workloads::{Measure, ycsb};

use crate::engine::Options;
use crate::failure::Failure;

/// Where everything runs, and how large it is.
pub(super) struct Ground {
    root: PathBuf,
    records: u64,
    time: Duration,
    clients: u64,
    options: Options,
    values: Values,
    /// The database of numbered records.
    numbered: Option<Box<dyn Engine>>,
    /// How often each of its records was written over; `None` before there are any.
    generation: Option<u64>,
    /// YCSB's records, and their database.
    ycsb: Option<(ycsb::Records, Box<dyn Engine>)>,
    /// Whether a workload has inserted more of them.
    grown: bool,
    /// Folders made for workloads that want one of their own.
    folders: u32,
}

type Measures = Result<Vec<Measure>, Failure>;

fn failed(error: workloads::Error) -> Failure {
    match error.downcast::<crate::engine::Error>() {
        Ok(error) => Failure::Engine(*error),
        Err(other) => Failure::Request(other.to_string()),
    }
}

impl Ground {
    pub(super) fn new(
        root: PathBuf,
        (records, value_bytes): (u64, usize),
        time: Duration,
        clients: u64,
        options: Options,
    ) -> Self {
        Self {
            root,
            records,
            time,
            clients,
            options,
            values: Values::new(value_bytes, VALUE_BYTES_MAX.max(value_bytes)),
            numbered: None,
            generation: None,
            ycsb: None,
            grown: false,
            folders: 0,
        }
    }

    /// Opens a database in a new folder.
    fn open(&mut self, name: &str, guarantee: Guarantee) -> Result<Box<dyn Engine>, Failure> {
        self.folders += 1;
        let path = self.root.join(format!("{}-{name}", self.folders));
        std::fs::create_dir(&path).map_err(|error| Failure::io("make", &path, error))?;
        self.open_in(&path, guarantee)
    }

    fn open_in(&self, path: &Path, guarantee: Guarantee) -> Result<Box<dyn Engine>, Failure> {
        let setup = Setup {
            path,
            write_buffer_bytes: self.options.write_buffer_bytes,
            cache_bytes: self.options.block_cache_bytes,
            guarantee,
        };
        Ok(Box::new(LsmEngine::open(&setup, &self.options).map_err(failed)?))
    }

    /// Runs one workload.
    pub(super) fn run(&mut self, name: &str) -> Measures {
        match name {
            "fillseq" | "fillrandom" | "fillbatch" | "fillsync" => self.fill(name),
            "ycsb-load" => self.ycsb_load(),
            "ycsb-a" => self.ycsb(ycsb::ON_ONE_LOAD[0]),
            "ycsb-b" => self.ycsb(ycsb::ON_ONE_LOAD[1]),
            "ycsb-c" => self.ycsb(ycsb::ON_ONE_LOAD[2]),
            "ycsb-f" => self.ycsb(ycsb::ON_ONE_LOAD[3]),
            "ycsb-d" => self.ycsb(ycsb::ON_ONE_LOAD[4]),
            "ycsb-e" => self.ycsb(ycsb::E),
            "mixgraph" => {
                let engine = self.open(name, Guarantee::Buffered)?;
                let done = mixgraph(&*engine, &self.values, self.records, self.extent(1));
                engine.close().and(done).map_err(failed)
            }
            "queue" => {
                let engine = self.open(name, Guarantee::Buffered)?;
                let extent = Extent { calls: 4 * self.records, ..self.extent(1) };
                let done = queue(&*engine, &self.values, 10_000, extent);
                engine.close().and(done).map(|measure| vec![measure]).map_err(failed)
            }
            _ => self.on_records(name),
        }
    }

    fn extent(&self, threads: u64) -> Extent {
        Extent { threads, calls: self.records, time_max: self.time }
    }

    fn store<'a>(&'a self, engine: &'a dyn Engine, generation: u64) -> Store<'a> {
        let (records, time_max) = (self.records, self.time);
        Store { engine, values: &self.values, records, generation, time_max }
    }

    /// Fills a new database; the workloads after it run on the last one filled.
    fn fill(&mut self, name: &str) -> Measures {
        let guarantee = if name == "fillsync" { Guarantee::Synced } else { Guarantee::Buffered };
        if let Some(engine) = self.numbered.take() {
            engine.close().map_err(failed)?;
        }
        let engine = self.open(name, guarantee)?;
        let store = self.store(&*engine, 0);
        let clients = self.clients;
        let measure = match name {
            "fillseq" => store.fill(name, clients, (0..self.records).collect()),
            "fillbatch" => store.fill_batch(1000),
            _ => store.fill(name, clients, shuffled(self.records, 1)),
        };
        let mut measure = measure.map_err(failed)?;
        name.clone_into(&mut measure.name);
        self.numbered = Some(engine);
        self.generation = Some(0);
        Ok(vec![measure])
    }

    /// Runs a workload on the numbered records, which are loaded first if there are none.
    fn on_records(&mut self, name: &str) -> Measures {
        let engine = match self.numbered.take() {
            Some(engine) => engine,
            None => self.open("records", Guarantee::Buffered)?,
        };
        if self.generation.is_none() {
            let order = keyed(shuffled(self.records, 1));
            self.store(&*engine, 0).load(&order).map_err(failed)?;
            engine.settle().map_err(failed)?;
            self.generation = Some(0);
        }
        let measures = self.measure(name, &*engine);
        self.numbered = Some(engine);
        if name == "deletehalf" {
            self.generation = None; // the next one loads them again
        }
        measures.map_err(failed)
    }

    fn measure(&mut self, name: &str, engine: &dyn Engine) -> workloads::Result<Vec<Measure>> {
        let (records, clients) = (self.records, self.clients);
        if name == "overwrite" {
            self.generation = self.generation.map(|generation| generation + 1);
        }
        let store = self.store(engine, self.generation.unwrap_or(0));
        let mix = |gets, ranges| store.mixed(name, Mix { gets, ranges }, clients, records);
        let measure = match name {
            "overwrite" => store.fill(name, clients, shuffled(records, 2))?,
            "readrandom" => store.read_random(name, clients, records)?,
            "readzipf" => store.read_zipf(name, records)?,
            "readmissing" => store.read_missing(name, records)?,
            "seek10" => store.seek(name, 10, records / 2)?,
            "seek100" => store.seek(name, 100, records / 10)?,
            "seek1000" => store.seek(name, 1000, (records / 50).max(10))?,
            "readseq" => store.scan(name, 1)?,
            "readwhilewriting" => return Ok(store.read_while_writing(self.time)?.into()),
            "mixed" => mix(50, 0)?,
            "report-80-20" => mix(80, 0)?,
            "report-20-80" => mix(20, 0)?,
            "report-ranges" => mix(30, 50)?,
            "report-equal" => mix(33, 33)?,
            "deletehalf" => store.delete_half(name)?,
            "compact" => {
                let begun = Instant::now();
                engine.compact()?;
                Measure::single(name, begun.elapsed().as_secs_f64(), "s")
            }
            other => return Err(format!("there is no workload {other}").into()),
        };
        Ok(vec![measure])
    }

    fn ycsb_load(&mut self) -> Measures {
        if let Some((_, engine)) = self.ycsb.take() {
            engine.close().map_err(failed)?;
        }
        let records = ycsb::Records::new((self.records / 10).max(100), self.records);
        let engine = self.open("ycsb", Guarantee::Buffered)?;
        let load = records.load(&*engine, self.extent(1)).map_err(failed)?;
        engine.settle().map_err(failed)?;
        self.ycsb = Some((records, engine));
        self.grown = false;
        Ok(vec![load])
    }

    fn ycsb(&mut self, workload: ycsb::Workload) -> Measures {
        // Ranges must find what was loaded and nothing more.
        if self.ycsb.is_none() || self.grown && workload.name == ycsb::E.name {
            self.ycsb_load()?;
        }
        self.grown |= ["YCSB D", ycsb::E.name].contains(&workload.name);
        let Some((records, engine)) = &self.ycsb else { return Ok(Vec::new()) };
        let measure = records.run(&**engine, self.extent(1), workload).map_err(failed)?;
        Ok(vec![measure])
    }

    /// Closes the databases.
    pub(super) fn close(self) -> Result<(), Failure> {
        let mut engines = self.numbered.into_iter().chain(self.ycsb.map(|(_, engine)| engine));
        engines.try_for_each(|engine| engine.close().map_err(failed))
    }
}
