//! One seed: a database in a world of its own, everything that happens to it, and what is checked.

mod load;
mod operate;
mod repair;
mod tally;

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lsm::clock::{Clock, ManualClock};
use lsm::compaction::{Granularity, Selection, Strategy};
use lsm::fs::{Call, CrashMode, Effect, Fault, FaultFs, MemFs};
use lsm::scheduler::InlineScheduler;
use lsm::{
    Db, Durability, Env, Error, Family, FamilyOptions, Options, RecoveryMode, Snapshot, WriteBatch,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::operate::Checkpoint;
use self::tally::Fate;
pub(crate) use self::tally::Tally;
use crate::history::{Batch, Change, History, Model, label};

const PATH: &str = "/disk/data/db";

/// The name of the second family. In the model its keys begin with `o/`, others with `d/`.
const OTHER: &str = "other";

/// How calls fail.
const EFFECTS: [Effect; 4] = [Effect::Nothing, Effect::Half, Effect::Done, Effect::Short];

/// What a simulation does beside operations and crashes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    /// Calls fail, the disk fills up, syncs fail and lose data.
    pub(crate) faults: bool,
    /// A lie of the medium that must be found: these calls do nothing, always.
    pub(crate) skipped: Vec<Call>,
    /// Print what happens.
    pub(crate) verbose: bool,
}

/// Runs a plan to its end.
/// # Errors
/// What went wrong, in words.
pub(crate) fn run(plan: &Plan) -> Result<Tally, String> {
    let mut world = World::new(plan.clone());
    let outcome = world.live();
    world.tally.trace = world.trace.finish();
    // Whatever is left must not run on, nor look at the disk.
    world.power_off();
    outcome.map(|()| world.tally.clone()).map_err(|why| format!("step {}: {why}", world.step))
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about one world")]
struct World {
    plan: Plan,
    random: StdRng,
    disk: MemFs,
    fs: FaultFs,
    image: Arc<Mutex<Option<MemFs>>>,
    clock: Arc<ManualClock>,
    scheduler: Arc<InlineScheduler>,
    durability: Durability,
    db: Option<Db>,
    other: Option<Family>,
    /// The second family was made: it must be there from now on.
    has_other: bool,
    /// The database was open once: its creation is done.
    created: bool,
    /// The options that it may have: those acknowledged last, and later ones that are in doubt.
    other_options: Vec<FamilyOptions>,
    snapshots: Vec<(Snapshot, Model)>,
    checkpoints: Vec<Checkpoint>,
    history: History,
    /// A fault was planned since the last reopening: errors are no surprise.
    faulty: bool,
    /// Nothing but space was lacking since then: with room again, errors are a surprise.
    only_full: bool,
    /// A power cut or a fault may have torn a log since the last opening.
    torn: bool,
    /// No more disturbance.
    ending: bool,
    written: u64,
    step: usize,
    trace: DefaultHasher,
    tally: Tally,
}

type Outcome = Result<(), String>;

impl World {
    fn new(plan: Plan) -> Self {
        let mut random = StdRng::seed_from_u64(plan.seed);
        let disk = MemFs::new();
        let durability = [Durability::Sync, Durability::Buffered, Durability::None]
            [[0, 0, 0, 1, 1, 2][random.random_range(0..6)]];
        Self {
            fs: FaultFs::new(Arc::new(disk.clone())),
            scheduler: Arc::new(InlineScheduler::new(random.random())),
            plan,
            random,
            disk,
            image: Arc::default(),
            clock: Arc::new(ManualClock::new()),
            durability,
            db: None,
            other: None,
            has_other: false,
            created: false,
            other_options: Vec::new(),
            snapshots: Vec::new(),
            checkpoints: Vec::new(),
            history: History::default(),
            faulty: false,
            only_full: false,
            torn: false,
            ending: false,
            written: 0,
            step: 0,
            trace: DefaultHasher::new(),
            tally: Tally::default(),
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.random.random_range(0..n)
    }

    /// Counts a call, and notes it.
    fn tell<T>(&mut self, what: &str, name: &'static str, answer: &lsm::Result<T>) {
        self.note(|| format!("{what}: {}", told(answer)));
        self.count(name, answer);
    }

    fn count<T>(&mut self, name: &'static str, answer: &lsm::Result<T>) {
        let fate = match answer {
            _ if self.fs.is_dead() => Fate::Cut,
            Ok(_) => Fate::Done,
            Err(_) => Fate::Failed,
        };
        self.tally.count(name, fate);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let what = what();
        what.hash(&mut self.trace);
        if self.plan.verbose {
            println!("{:4} call {:5}: {what}", self.step, self.fs.calls());
        }
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("open between the steps")
    }

    // ------------------------------------------------------------------------------- the whole

    fn live(&mut self) -> Outcome {
        self.note(|| "begin".into());
        self.reopen(CrashMode::KILL)?;
        while self.step < self.plan.steps {
            self.step += 1;
            self.disturb();
            self.operate()?;
            if self.fs.is_dead() {
                let image = self.image.lock().expect("no panic").take().expect("taken by the hook");
                self.tally.power_cuts += 1;
                self.torn = true;
                self.restart(image, CrashMode::POWER_CUTS[0])?;
            }
        }
        self.end()
    }

    /// A calm end: close, open again, compare and verify.
    fn end(&mut self) -> Outcome {
        self.calm();
        self.fs.cancel_at_call();
        self.ending = true;
        self.restart_after_kill()?;
        let db = self.db.take().expect("open");
        db.compact().map_err(|error| format!("the last compaction: {error}"))?;
        self.db = Some(db);
        self.check_all()?;
        let db = self.db.take().expect("open");
        db.verify().map_err(|error| format!("verify: {error}"))?;
        if self.durability == Durability::None {
            db.flush().map_err(|error| format!("the last flush: {error}"))?;
        }
        db.close().map_err(|error| format!("close: {error}"))?;
        self.history.survive(self.history.len());
        self.rebuild()?;
        let mode = CrashMode::POWER_CUTS[self.below(6)];
        let left = self.disk.crash(self.plan.seed, mode);
        self.restart(left, mode)
    }

    /// Ends all disturbance.
    fn calm(&mut self) {
        self.fs.clear();
        self.disk.set_capacity(None);
    }

    // ------------------------------------------------------------------------------ disturbance

    /// Now and then plans a power cut, a fault or a full disk.
    fn disturb(&mut self) {
        if self.below(40) == 0 {
            let at = self.fs.calls() + self.below(60) as u64;
            self.plan_cut(at);
        }
        if self.plan.faults && self.below(50) == 0 {
            self.plan_fault(&EFFECTS);
        }
        if self.faulty && self.below(10) == 0 {
            self.note(|| "faults end".into());
            self.calm();
            self.faulty &= !std::mem::take(&mut self.only_full);
        }
        self.clock.advance(Duration::from_millis(self.random.random_range(0..100)));
        self.scheduler.ring(self.clock.now());
    }

    fn plan_cut(&mut self, at: u64) {
        let mode = CrashMode::POWER_CUTS[self.below(6)];
        let (seed, disk, image) =
            (self.random.random(), self.disk.clone(), Arc::clone(&self.image));
        self.note(|| format!("the power will go at call {at}, {mode:?}"));
        self.fs.at_call(at, move || {
            *image.lock().expect("no panic") = Some(disk.crash(seed, mode));
        });
    }

    fn plan_fault(&mut self, effects: &[Effect]) {
        let first = !self.faulty && self.db.is_some();
        (self.faulty, self.torn) = (true, true);
        self.tally.faults += 1;
        let kind = self.below(8);
        self.only_full = kind == 0 && (first || self.only_full);
        match kind {
            0 => {
                let room = self.disk.used_bytes() + self.below(20_000) as u64;
                self.note(|| format!("the disk has {room} bytes"));
                self.disk.set_capacity(Some(room));
            }
            1 => {
                let after = self.below(8) as u64;
                self.note(|| format!("after {after} syncs one will lose data"));
                self.disk.lose_at_sync(after);
            }
            _ => {
                let call = Call::ALL[self.below(Call::ALL.len())];
                let error = [io::ErrorKind::Other, io::ErrorKind::StorageFull][self.below(2)];
                let fault = Fault {
                    calls: vec![call],
                    after: self.below(12) as u64,
                    times: [1, 1, 3, u64::MAX][self.below(4)],
                    error,
                    effect: effects[self.below(effects.len())],
                };
                self.note(|| format!("{fault:?}"));
                self.fs.add(fault);
            }
        }
    }

    // ------------------------------------------------------------------------------- operations

    fn operate(&mut self) -> Outcome {
        self.tally.operations += 1;
        match self.below(1000) {
            0..300 => self.write(1),
            300..430 => {
                let count = 1 + self.below(6);
                self.write(count)
            }
            430..460 => self.swap(),
            460..550 => self.get(),
            550..570 => self.get_many(),
            570..620 => self.scan(),
            620..780 => {
                let before = self.db().stats().preemptions;
                let ran = self.scheduler.run_one();
                let gave_way = self.db().stats().preemptions - before;
                self.note(|| format!("a job: {ran}, gave way {gave_way} times"));
                self.tally.count("job", if ran { Fate::Done } else { Fate::Failed });
                if gave_way > 0 {
                    self.tally.count("give way", Fate::Done);
                }
                Ok(())
            }
            780..815 => self.snapshot(),
            815..825 => self.durable("flush", Db::flush),
            825..850 => self.durable("sync", Db::sync),
            850..860 => self.call("compact", Db::compact),
            860..870 => self.call("verify", |db| db.verify().map(drop)),
            870..877 => self.call("wait", Db::wait_idle),
            877..884 => self.set_options(),
            884..900 => self.checkpoint(),
            900..912 => self.look(),
            912..932 => self.load(),
            932..952 => self.ingest(),
            952..957 => self.drop_family(),
            957..977 => self.close(),
            _ => self.restart_after_kill(),
        }
    }

    /// Whether an error is no surprise.
    fn excused(&self) -> bool {
        self.faulty || self.fs.is_dead()
    }

    /// A key of the model; of the second family only if it is there.
    fn key(&mut self, keys: usize) -> Vec<u8> {
        let family = if self.other.is_some() && self.below(3) == 0 { 'o' } else { 'd' };
        let mut key = format!("{family}/key{:02}", self.below(keys));
        if self.below(12) == 0 {
            // One of those that loads put between the others.
            write!(key, "+{}", self.below(4)).expect("strings take all");
        }
        key.into_bytes()
    }

    fn batch(&mut self, count: usize) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..count {
            let key = self.key(48);
            batch.push(match self.below(12) {
                0..3 => Change::Delete(key),
                3 if self.below(2) == 0 => {
                    let end = format!("{}key{:02}", char::from(key[0]), self.below(48));
                    let end = [&key[..2], &end.as_bytes()[1..]].concat();
                    Change::DeleteRange(key.clone().min(end.clone()), key.max(end))
                }
                _ => {
                    let bytes = [0, 10, 60, 300, 1500][self.below(5)];
                    let bytes = if self.below(60) == 0 { 9000 } else { bytes };
                    let mut value = format!("w{} ", self.written).into_bytes();
                    value.resize(value.len() + bytes, b'.');
                    Change::Put(key, value)
                }
            });
        }
        // One key that every batch writes: no two batches leave the same state.
        let number = format!("w{}", self.written).into_bytes();
        batch.push(Change::Put(b"d/last".to_vec(), number));
        self.written += 1;
        batch
    }

    /// The batch as the database takes it.
    fn writes(&self, batch: &Batch) -> WriteBatch {
        let mut writes = WriteBatch::new();
        let default = |key: &[u8]| key.starts_with(b"d");
        let other = || self.other.as_ref().expect("only then are there such keys");
        for change in batch {
            match change {
                Change::Put(key, value) if default(key) => writes.put(&key[2..], value),
                Change::Put(key, value) => writes.put_in(other(), &key[2..], value),
                Change::Delete(key) if default(key) => writes.delete(&key[2..]),
                Change::Delete(key) => writes.delete_in(other(), &key[2..]),
                Change::DeleteRange(start, end) if default(start) => {
                    writes.delete_range(&start[2..], &end[2..])
                }
                Change::DeleteRange(start, end) => {
                    writes.delete_range_in(other(), &start[2..], &end[2..])
                }
            };
        }
        writes
    }

    fn write(&mut self, count: usize) -> Outcome {
        let batch = self.batch(count);
        let writes = self.writes(&batch);
        let answer = self.db().write(writes);
        let name = self.written - 1;
        self.tell(&format!("write w{name}"), "write", &answer);
        self.settle("write", answer, batch)
    }

    /// What a write's answer means for the history.
    fn settle<T>(&mut self, what: &str, answer: lsm::Result<T>, batch: Batch) -> Outcome {
        match answer {
            // After the cut nobody was told anything.
            Ok(_) if self.fs.is_dead() => self.history.doubt(batch),
            Ok(_) => {
                self.history.acknowledge(batch);
                if self.durability == Durability::Sync {
                    self.history.survive(self.history.len());
                }
            }
            Err(error) if !self.excused() => return Err(format!("{what}: {error}")),
            Err(Error::WritesStopped { .. }) => self.history.doubt(batch),
            Err(_) if self.fs.is_dead() => self.history.doubt(batch),
            Err(_) => {} // it failed alone: it must never be seen
        }
        Ok(())
    }

    fn get(&mut self) -> Outcome {
        let key = self.key(50);
        self.check_get(&key)
    }

    fn check_get(&mut self, key: &[u8]) -> Outcome {
        let answer = match &self.other {
            Some(other) if key.starts_with(b"o") => other.get(&key[2..]),
            _ => self.db().get(&key[2..]),
        };
        let answer = answer.map(|value| value.map(|value| value.to_vec()));
        let name = String::from_utf8_lossy(key).into_owned();
        self.tell(&format!("get {name}"), "get", &answer);
        match answer {
            Ok(found) if found.as_ref() == self.history.visible().get(key) => Ok(()),
            Ok(found) => Err(format!(
                "get {name} answers {:?}, not {:?}",
                found.map(|value| label(&value)),
                self.history.visible().get(key).map(|value| label(value))
            )),
            Err(_) if self.excused() => Ok(()),
            Err(error) => Err(format!("get {name}: {error}")),
        }
    }

    fn scan(&mut self) -> Outcome {
        let prefix = [self.key(1)[0], b'/'];
        let mut bound = || match self.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(format!("key{:02}", self.below(48)).into_bytes()),
            _ => Bound::Excluded(format!("key{:02}", self.below(48)).into_bytes()),
        };
        let bounds = (bound(), bound());
        let backward = self.below(2) == 0;
        let start = || match &self.other {
            Some(other) if prefix[0] == b'o' => other.scan(bounds.clone()),
            _ => self.db().scan(bounds.clone()),
        };
        let answer = start().and_then(|scan| {
            if backward {
                let mut found = collect::<Vec<_>>(prefix[0], scan.rev())?;
                found.reverse();
                Ok(found)
            } else {
                collect::<Vec<_>>(prefix[0], scan)
            }
        });
        self.note(|| format!("scan {bounds:?}: {} entries", answer.as_ref().map_or(0, Vec::len)));
        self.count("scan", &answer);
        let visible = self.history.visible();
        let inside = visible
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && within(&key[2..], &bounds));
        match answer {
            Ok(found) if found.iter().map(|(key, value)| (key, value)).eq(inside) => Ok(()),
            Ok(found) => Err(format!("scan {bounds:?} answers {} entries", found.len())),
            Err(_) if self.excused() => Ok(()),
            Err(error) => Err(format!("scan: {error}")),
        }
    }

    /// Takes a snapshot, or looks at one, or lets one go.
    fn snapshot(&mut self) -> Outcome {
        if self.snapshots.is_empty() || self.snapshots.len() < 4 && self.below(3) == 0 {
            self.note(|| "snapshot".into());
            self.tally.count("snapshot", Fate::Done);
            let taken = (self.db().snapshot(), self.history.visible().clone());
            self.snapshots.push(taken);
            return Ok(());
        }
        let at = self.below(self.snapshots.len());
        let (snapshot, model) = self.snapshots.swap_remove(at);
        let answer = snapshot.scan::<&[u8]>(..).and_then(|scan| {
            let mut found = collect::<Model>(b'd', scan)?;
            if let Some(other) = &self.other {
                found.extend(collect::<Model>(b'o', snapshot.family(other)?.scan::<&[u8]>(..)?)?);
            }
            Ok(found)
        });
        self.note(|| format!("look at a snapshot: {}", answer.is_ok()));
        self.count("look at a snapshot", &answer);
        match answer {
            Ok(found) if found == model => {}
            Ok(_) => return Err("a snapshot has changed".into()),
            Err(_) if self.excused() => {}
            Err(error) => return Err(format!("snapshot: {error}")),
        }
        if self.below(2) == 0 {
            self.snapshots.push((snapshot, model));
        }
        Ok(())
    }

    /// A call after which everything written survives a power cut.
    fn durable(
        &mut self,
        what: &'static str,
        call: impl FnOnce(&Db) -> lsm::Result<()>,
    ) -> Outcome {
        let written = self.history.len();
        let answer = call(self.db());
        self.tell(what, what, &answer);
        match answer {
            Ok(()) if self.fs.is_dead() => {}
            Ok(()) => self.history.survive(written),
            Err(_) if self.excused() => {}
            Err(error) => return Err(format!("{what}: {error}")),
        }
        Ok(())
    }

    fn call(&mut self, what: &'static str, call: impl FnOnce(&Db) -> lsm::Result<()>) -> Outcome {
        let answer = call(self.db());
        self.tell(what, what, &answer);
        match answer {
            Err(error) if !self.excused() => Err(format!("{what}: {error}")),
            _ => Ok(()),
        }
    }

    // ------------------------------------------------------------------------- ends and returns

    fn close(&mut self) -> Outcome {
        self.snapshots.clear();
        self.other = None;
        let db = self.db.take().expect("open");
        let written = self.history.len();
        let answer = db.close();
        self.tell("close", "close", &answer);
        match answer {
            Ok(()) if self.durability == Durability::None || self.fs.is_dead() => {}
            // A database that has stopped writing is in doubt, closed or not.
            Ok(()) if self.faulty => {}
            Ok(()) => self.history.survive(written),
            Err(_) if self.excused() => {}
            Err(error) => return Err(format!("close: {error}")),
        }
        if self.fs.is_dead() {
            return Ok(()); // the power went meanwhile
        }
        if !self.faulty && self.durability != Durability::None && self.below(3) == 0 {
            self.rebuild()?;
        }
        self.restart_after_kill()
    }

    /// The process dies and a new one opens the database.
    fn restart_after_kill(&mut self) -> Outcome {
        if self.fs.is_dead() {
            return Ok(());
        }
        self.tally.kills += 1;
        let disk = self.disk.crash(0, CrashMode::KILL);
        self.restart(disk, CrashMode::KILL)
    }

    fn power_off(&mut self) {
        self.tally.calls += self.fs.calls();
        self.fs.at_call(0, || {});
        self.scheduler.clear();
        self.snapshots.clear();
        self.other = None;
        self.db = None;
        self.scheduler.clear();
    }

    /// Goes on with another disk.
    fn restart(&mut self, disk: MemFs, mode: CrashMode) -> Outcome {
        self.power_off();
        self.disk = disk;
        self.check_checkpoints()?;
        self.reopen(mode)
    }

    /// Opens, with power cuts and faults on the way, until it is open; then checks the state.
    fn reopen(&mut self, mut mode: CrashMode) -> Outcome {
        for attempt in 0.. {
            self.disk.set_capacity(None);
            self.fs = FaultFs::new(Arc::new(self.disk.clone()));
            self.fs_lies();
            self.scheduler = Arc::new(InlineScheduler::new(self.random.random()));
            let disturbed = attempt < 3 && !self.ending;
            self.faulty = self.plan.faults && disturbed && self.below(8) == 0;
            self.only_full = false;
            let repaired = self.created && self.below(8) == 0;
            if self.faulty {
                // To a repair, a file that seems shorter than it is is a damaged one.
                self.plan_fault(if repaired { &EFFECTS[..3] } else { &EFFECTS });
            }
            if disturbed && self.below(3) == 0 {
                let at = self.below(if repaired { 150 } else { 40 }) as u64;
                self.plan_cut(at);
            }
            if repaired {
                self.repair(mode)?;
            }
            let env = Env {
                fs: Arc::new(self.fs.clone()),
                clock: Arc::clone(&self.clock) as Arc<_>,
                scheduler: Arc::clone(&self.scheduler) as Arc<_>,
            };
            let options = Options { recovery: self.recovery(), ..self.options() };
            let strict = options.recovery == RecoveryMode::Strict;
            let opened = Db::open_with(PATH, options, env);
            self.tell("open", "open", &opened);
            let image = self.image.lock().expect("no panic").take();
            match (opened, image) {
                (Ok(db), None) => {
                    self.db = Some(db);
                    self.created = true;
                    self.torn = self.faulty;
                    self.find_family()?;
                    return self.compare(mode);
                }
                (opened, Some(image)) => {
                    drop(opened);
                    self.tally.cuts_in_recovery += 1;
                    self.torn = true;
                    self.power_off();
                    mode = CrashMode::POWER_CUTS[0];
                    self.disk = image;
                }
                (Err(_), None) if self.faulty || (strict && self.torn) => {
                    // The same disk, in a process of its own.
                    let disk = self.disk.crash(0, CrashMode::KILL);
                    self.power_off();
                    self.disk = disk;
                }
                (Err(error), None) => return Err(format!("open: {error}")),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// How a log is read that does not end as it should. Salvage shows states that never were,
    /// so only where nothing is torn.
    fn recovery(&mut self) -> RecoveryMode {
        match self.below(12) {
            0 => RecoveryMode::Strict,
            1 | 2 => RecoveryMode::PointInTime,
            3 if !self.torn => RecoveryMode::Salvage,
            _ => RecoveryMode::TolerateTornTail,
        }
    }

    /// The state after opening is one that may be.
    fn compare(&mut self, mode: CrashMode) -> Outcome {
        let found = self.everything();
        let found = match found {
            Ok(found) => found,
            Err(_) if self.excused() => {
                // Nothing was seen. Once more, without faults.
                self.calm();
                self.torn = true;
                let image = self.image.lock().expect("no panic").take();
                let disk = image.unwrap_or_else(|| self.disk.crash(0, CrashMode::KILL));
                let mode = if self.fs.is_dead() { CrashMode::POWER_CUTS[0] } else { mode };
                return self.restart(disk, mode);
            }
            Err(error) => return Err(format!("the scan after opening: {error}")),
        };
        let all = mode == CrashMode::KILL && self.durability != Durability::None;
        self.history.reopen(&found, all)?;
        self.note(|| format!("the database shows {} keys", found.len()));
        for _ in 0..4 {
            self.get()?;
        }
        if self.below(3) == 0 {
            self.make_family();
        }
        Ok(())
    }

    /// All that the database shows.
    fn everything(&self) -> lsm::Result<Model> {
        let mut found = collect::<Model>(b'd', self.db().scan::<&[u8]>(..)?)?;
        if let Some(other) = &self.other {
            found.extend(collect::<Model>(b'o', other.scan::<&[u8]>(..)?)?);
        }
        Ok(found)
    }

    /// Finds the second family again, or makes it.
    fn find_family(&mut self) -> Outcome {
        let found = self.db().family(OTHER).map_err(|error| format!("family: {error}"))?;
        if found.is_none() && self.has_other {
            return Err("the second family is lost".into());
        }
        if let Some(options) = found.as_ref().map(Family::options) {
            let known = self.other_options.iter().find(|known| same_but_for_steps(known, &options));
            if self.has_other && known.is_none() {
                return Err(format!("the second family has options of no time: {options:?}"));
            }
            self.other_options = vec![known.cloned().unwrap_or(options)];
        }
        self.other = found;
        Ok(())
    }

    /// Makes the second family, or gives it other options.
    fn make_family(&mut self) {
        let options = FamilyOptions::from(&self.options());
        if let Some(other) = &self.other {
            let answer = other.set_options(|own| own.clone_from(&options));
            self.note(|| format!("other options for the family: {}", told(&answer)));
            if answer.is_ok() && !self.fs.is_dead() {
                self.other_options.clear();
            }
            self.other_options.push(options);
            return;
        }
        self.other_options.push(options.clone());
        let answer = self.db().create_family(OTHER, options);
        self.tell("make a family", "make a family", &answer);
        if let Ok(family) = answer {
            self.has_other |= !self.fs.is_dead();
            self.other = Some(family);
        }
    }

    fn check_all(&mut self) -> Outcome {
        let keys: Vec<Vec<u8>> = self.history.visible().keys().cloned().collect();
        for key in keys {
            self.check_get(&key)?;
        }
        for _ in 0..10 {
            self.get()?;
            self.scan()?;
        }
        let found = self.everything().map_err(|error| format!("the last scan: {error}"))?;
        if found != *self.history.visible() {
            return Err(format!("the last scan shows {} entries", found.len()));
        }
        Ok(())
    }

    fn fs_lies(&mut self) {
        if !self.plan.skipped.is_empty() {
            self.fs.add(Fault {
                calls: self.plan.skipped.clone(),
                after: 0,
                times: u64::MAX,
                error: io::ErrorKind::Other,
                effect: Effect::Skipped,
            });
        }
    }

    /// Any strategy; of those that drop data, one that keeps all.
    fn strategy(&mut self, size_ratio: u32) -> Strategy {
        let selections = [
            Selection::LeastOverlap,
            Selection::RoundRobin,
            Selection::MostTombstones,
            Selection::Oldest,
            Selection::Coldest,
        ];
        let selection = selections[self.below(5)];
        let mut runs = || self.random.random_range(1..size_ratio);
        let (inner_runs, last_runs) = (runs(), runs());
        let granularity = [Granularity::Whole, Granularity::Partial(selection)][self.below(2)];
        match self.below(10) {
            0 => Strategy::Tiered,
            1 => Strategy::LazyLeveled,
            2 => Strategy::LazyL0,
            3 => Strategy::Partial(selection),
            4 => Strategy::Fifo { max_bytes: u64::MAX, ttl_us: None },
            5..8 => Strategy::Fluid { inner_runs, last_runs, granularity },
            _ => Strategy::Leveled,
        }
    }

    fn options(&mut self) -> Options {
        let size_ratio = [2, 4, 10][self.below(3)];
        let strategy = self.strategy(size_ratio);
        Options {
            durability: self.durability,
            write_buffer_bytes: [4096, 8192, 16 << 10][self.below(3)],
            sealed_memtables_max: 1 + self.below(3),
            // What a full cache drops depends on its random hash: a seed would not replay.
            block_cache_bytes: [0, 1 << 20, 1 << 20][self.below(3)],
            block_bytes: [512, 4096][self.below(2)],
            codec: [lsm::Codec::None, lsm::Codec::Lz4][self.below(2)],
            filter_bits_per_key: [0.0, 10.0][self.below(2)],
            strategy,
            size_ratio,
            adaptive: self.below(4) == 0,
            tombstone_age_max: [None, Some(Duration::from_secs(2))][self.below(2)],
            merge_bytes_per_second: [0, 0, 1 << 20][self.below(3)],
            table_bytes: [4096, 16 << 10][self.below(2)],
            background_threads: 1 + self.below(3),
            ..Options::default()
        }
    }
}

/// Whether these are those options, or where an adaptive family's own steps have led from them:
/// replaying a long log flushes, and so may take some.
fn same_but_for_steps(set: &FamilyOptions, found: &FamilyOptions) -> bool {
    let mut found = found.clone();
    if found.adaptive {
        (found.strategy, found.size_ratio) = (set.strategy, set.size_ratio);
    }
    *set == found
}

fn within(key: &[u8], bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    let above = match &bounds.0 {
        Bound::Unbounded => true,
        Bound::Included(low) => key >= &low[..],
        Bound::Excluded(low) => key > &low[..],
    };
    above
        && match &bounds.1 {
            Bound::Unbounded => true,
            Bound::Included(high) => key <= &high[..],
            Bound::Excluded(high) => key < &high[..],
        }
}

/// A scan's entries, as the model names them.
fn collect<T: FromIterator<(Vec<u8>, Vec<u8>)>>(
    family: u8,
    scan: impl Iterator<Item = lsm::Result<(lsm::Key, lsm::Value)>>,
) -> lsm::Result<T> {
    let entry = |entry: lsm::Result<(lsm::Key, lsm::Value)>| {
        entry.map(|(key, value)| ([&[family, b'/'], &key[..]].concat(), value.to_vec()))
    };
    scan.map(entry).collect()
}

/// An answer for the trace.
fn told<T>(answer: &lsm::Result<T>) -> String {
    let mut text = String::new();
    match answer {
        Ok(_) => text.push_str("done"),
        Err(error) => write!(text, "{error}").expect("strings take all"),
    }
    text
}
