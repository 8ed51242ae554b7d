//! `lsm demo`: the whole of the engine at work on real data, each claim proved as it is made.
//!
//! 1. A map in memory is the oracle: it holds what the database must hold, and every comparison is
//!    of contents, not of counts.
//! 2. A proof that fails ends the demo with its own exit code.
//! 3. The folder is a temporary one, removed at the end, unless `--dir` names one to keep.

mod check;
mod child;
mod show;
mod workload;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::args::{Cli, DemoArgs, DemoWriterArgs};
use crate::data;
use crate::engine::{Db, Durability, Options, WriteBatch};
use crate::failure::Failure;
use crate::open;
use crate::progress::Progress;
use crate::terminal::Terminal;
use crate::units::{Bytes, Count, Time, per_second};

use check::{same, whole};
use show::Show;
use workload::{LAST, Random, Records};

/// Records written together while loading.
const BATCH_RECORDS: usize = 100;

/// A child is killed when it has acknowledged this many batches at least, and twice as many at
/// most.
const BATCHES_BEFORE_KILL: u64 = 400;

/// After that, it may go on for up to this many microseconds.
const KILL_DELAY_US_MAX: u64 = 5000;

/// Options under which two megabytes grow a tree of several levels.
fn options(base: Options) -> Options {
    Options {
        write_buffer_bytes: 16 << 10,
        table_bytes: 16 << 10,
        size_ratio: 4,
        block_cache_bytes: 1 << 20,
        ..base
    }
}

/// The child of the demo.
pub(crate) fn writer(cli: &Cli, args: &DemoWriterArgs) -> Result<(), Failure> {
    child::writer(cli, args)
}

/// Runs the demo.
pub(crate) fn demo(cli: &Cli, args: &DemoArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut options = options(open::base(&cli.open)?);
    open::apply(&cli.open, &mut options)?;
    if options.durability == Durability::None {
        let why = "the demo proves that writes survive a kill: without a log they do not";
        return Err(Failure::Request(why.into()));
    }
    let (dir, _removed_at_the_end) = folder(args)?;
    let flags = cli.open.to_flags();
    let show = Show::new(terminal);
    let mut demo = Demo { args, dir, options, flags, records: Records::new(), show };
    demo.run()
}

/// The folder to work in, and what removes it if it is a temporary one.
fn folder(args: &DemoArgs) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    if let Some(dir) = &args.dir {
        let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            let dir = dir.display();
            return Err(Failure::Request(format!(
                "{dir} is not empty: the demo wants a new folder"
            )));
        }
        return Ok((dir.clone(), None));
    }
    let made = tempfile::Builder::new().prefix("lsm-demo-").tempdir();
    let temporary =
        made.map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), error))?;
    Ok((temporary.path().join("db"), Some(temporary)))
}

/// One run of the demo.
struct Demo<'a> {
    args: &'a DemoArgs,
    dir: PathBuf,
    options: Options,
    /// The options given on the command line, for the child.
    flags: Vec<std::ffi::OsString>,
    /// What the database must hold.
    records: Records,
    show: Show<'a>,
}

impl Demo<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        self.show.title(&self.dir, &self.options)?;
        let db = self.reopen()?;
        self.load(&db)?;
        self.change_under_a_snapshot(&db)?;
        self.show.work(&db)?;
        db.close()?;
        for kill in 1..=self.args.kills {
            self.kill(kill)?;
        }
        self.finish()
    }

    fn reopen(&self) -> Result<Db, Failure> {
        Ok(Db::open(&self.dir, self.options.clone())?)
    }

    /// Loads the data set and compares every record.
    fn load(&mut self, db: &Db) -> Result<(), Failure> {
        self.show.step("load", "every character that Unicode 15.0 names")?;
        let progress = Progress::new(self.show.watched(), Some(data::TEXT_BYTES));
        let started = Instant::now();
        let mut reader = data::open();
        let mut batch = WriteBatch::new();
        while let Some(record) = reader.record().map_err(|e| Failure::Proof(e.to_string()))? {
            batch.put(&record.key, &record.value);
            self.records.insert(record.key.into_owned(), record.value.into_owned());
            if batch.len() == BATCH_RECORDS {
                db.write(std::mem::take(&mut batch))?;
                progress.at(reader.bytes(), self.records.len() as u64);
            }
        }
        db.write(batch)?;
        let time = started.elapsed();
        drop(progress);
        let count = self.records.len() as u64;
        let (bytes, rate) = (Bytes(data::TEXT_BYTES), per_second(count, time));
        let (count, time) = (Count(count), Time(time));
        self.show.fact(format_args!("{count} records ({bytes}) in {time}, {rate} records/s"))?;
        db.wait_idle()?;
        let started = Instant::now();
        whole("after the load", db, &self.records)?;
        let time = Time(started.elapsed());
        self.show.proof(format_args!(
            "all {count} are there: by get, by a scan forward and one backward, in {time}"
        ))?;
        self.show.tree(db, &self.options)
    }

    /// Overwrites and deletes in one thread while another scans a snapshot over and over.
    fn change_under_a_snapshot(&mut self, db: &Db) -> Result<(), Failure> {
        self.show.step("snapshot", "a view that stays while the database changes")?;
        let before = self.records.clone();
        let writes = self.changes();
        let (overwritten, deleted) = (
            writes.iter().filter(|(_, value)| value.is_some()).count() as u64,
            writes.iter().filter(|(_, value)| value.is_none()).count() as u64,
        );
        let snapshot = db.snapshot();
        let mut scans = 0u64;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                writes
                    .chunks(BATCH_RECORDS)
                    .try_for_each(|chunk| db.write(workload::write_batch(chunk)))
            });
            // At least once after the last write, too.
            loop {
                let last = writer.is_finished();
                same("the snapshot", snapshot.scan::<&[u8]>(..)?, before.iter())?;
                scans += 1;
                if last {
                    break;
                }
            }
            joined(writer.join())
        })?;
        let (overwritten, deleted, total) =
            (Count(overwritten), Count(deleted), Count(before.len() as u64));
        self.show.fact(format_args!(
            "{overwritten} records overwritten and {deleted} deleted meanwhile"
        ))?;
        self.show.proof(format_args!(
            "{} scans of the snapshot, during and after, gave all {total} old records",
            Count(scans)
        ))?;
        drop(snapshot);
        workload::apply(writes, &mut self.records);
        db.wait_idle()?;
        let left = Count(whole("after the changes", db, &self.records)?);
        self.show.proof(format_args!("the database holds the {left} new ones, and nothing deleted"))
    }

    /// A third of the records overwritten, a ninth deleted, in random order.
    fn changes(&self) -> Vec<workload::Write> {
        let mut random = Random::new(self.args.seed);
        let mut writes: Vec<(u64, workload::Write)> = Vec::new();
        for (key, value) in &self.records {
            let write = match random.below(9) {
                0..3 => Some([b"changed: ", &value[..]].concat()),
                3 => None,
                _ => continue,
            };
            writes.push((random.next(), (key.clone(), write)));
        }
        writes.sort_unstable();
        writes.into_iter().map(|(_, write)| write).collect()
    }

    /// Lets a child write, kills it, reopens, and proves what must be there.
    fn kill(&mut self, kill: u32) -> Result<(), Failure> {
        let of =
            format!("a writing process is killed without warning, {kill} of {}", self.args.kills);
        self.show.step("kill", &of)?;
        let first = self.next_batch()?;
        let mut random = Random::new(self.args.seed ^ u64::from(kill) << 32);
        let plan = child::Plan {
            dir: &self.dir,
            seed: self.args.seed,
            first,
            acknowledged: BATCHES_BEFORE_KILL + random.below(BATCHES_BEFORE_KILL),
            then: Duration::from_micros(random.below(KILL_DELAY_US_MAX)),
            flags: self.flags.clone(),
        };
        let killed = child::run_and_kill(&plan)?;
        self.show
            .fact(format_args!("{} batches were acknowledged when it died", Count(killed.count)))?;
        let started = Instant::now();
        let db = self.reopen()?;
        self.show.fact(format_args!("reopened in {}", Time(started.elapsed())))?;
        let last = last_batch(&db)?;
        if last < Some(killed.last) || last > Some(killed.last + 1) {
            let why =
                format!("batch {} was acknowledged, but the last one is {last:?}", killed.last);
            return Err(Failure::Proof(why));
        }
        for number in first..=last.unwrap_or(killed.last) {
            workload::apply(workload::batch(self.args.seed, number), &mut self.records);
        }
        whole("after the kill", &db, &self.records)?;
        let unheard = last > Some(killed.last);
        let beyond = if unheard { ", and the one that it had not heard of" } else { "" };
        self.show.proof(format_args!("every acknowledged batch is there{beyond}, none in part"))?;
        Ok(db.close()?)
    }

    /// The batch after the last one that the records hold.
    fn next_batch(&self) -> Result<u64, Failure> {
        let Some(last) = self.records.get(LAST) else { return Ok(0) };
        parse_batch(last).map(|number| number + 1)
    }

    /// Checks every byte, and shows what there is in the end.
    fn finish(&mut self) -> Result<(), Failure> {
        self.show.step("verify", "every byte of every table, read and checked")?;
        let db = self.reopen()?;
        db.wait_idle()?;
        let started = Instant::now();
        let report = db.verify()?;
        let (tables, bytes) = (Count(report.tables), Bytes(report.bytes));
        let time = Time(started.elapsed());
        self.show.proof(format_args!("{tables} tables, {bytes}, sound, in {time}"))?;
        let started = Instant::now();
        db.compact()?;
        let time = Time(started.elapsed());
        self.show.fact(format_args!("compacted to the last level in {time}"))?;
        whole("after compaction", &db, &self.records)?;
        self.show.proof(format_args!(
            "and still the same {} records",
            Count(self.records.len() as u64)
        ))?;
        self.show.tree(&db, &self.options)?;
        let bytes = self.records.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        self.show.space(&db, bytes)?;
        db.close()?;
        self.show.end(self.args.dir.as_deref())
    }
}

/// The number of the last batch that the database holds.
fn last_batch(db: &Db) -> Result<Option<u64>, Failure> {
    db.get(LAST)?.map(|value| parse_batch(&value)).transpose()
}

fn parse_batch(value: &[u8]) -> Result<u64, Failure> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::Proof("the number of the last batch is no number".into()))
}

/// The result of a thread; a panic there goes on here.
fn joined(result: std::thread::Result<Result<(), crate::engine::Error>>) -> Result<(), Failure> {
    match result {
        Ok(done) => Ok(done?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
