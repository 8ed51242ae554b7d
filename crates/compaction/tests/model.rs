//! Every policy against a model: random writes, deletes, snapshots, jobs that start and finish in
//! any order, changes of strategy. After every step each reader finds in the tree, place by place,
//! what the history of writes says.

use std::collections::HashMap;
use std::sync::Arc;

use compaction::{
    Busy, Context, Cuts, Granularity, JobId, Kind, Levels, Manual, Options, Picked, Plan, Policy,
    Retain, Run, Selection, Strategy, TableInfo, Verdict,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sstable::{Kind as Entry, SeqNo, Trailer};

type Key = u8;
type Entries = Vec<(Key, Trailer)>;

const ENTRY_BYTES: u64 = 10;

const TABLE_BYTES: u64 = 60;

/// Enough tables that a job of them can be cut by columns.
const LARGE_JOB_BYTES: u64 = 8 * TABLE_BYTES;

struct Job {
    id: JobId,
    plan: Plan,
    outputs: Vec<Entries>,
    since_us: u64,
}

struct World {
    rng: StdRng,
    policy: Box<dyn Policy>,
    levels: Levels,
    busy: Busy,
    ctx: Context,
    contents: HashMap<u64, Entries>,
    history: Vec<(Key, Trailer)>,
    snapshots: Vec<SeqNo>,
    jobs: Vec<Job>,
    next_id: u64,
    keys: u8,
    /// Merges under a limit of [`LARGE_JOB_BYTES`], and those of them that were larger.
    merges: u32,
    large: u32,
}

fn options(strategy: Strategy, rng: &mut StdRng) -> Options {
    Options {
        strategy,
        size_ratio: 4,
        l0_runs: rng.random_range(1..5),
        base_bytes: 200,
        target_table_bytes: TABLE_BYTES,
        max_job_bytes: *[100, LARGE_JOB_BYTES, 100_000].choose(rng).expect("not empty"),
        max_tombstone_age_us: rng.random_bool(0.3).then_some(50),
        tombstone_density: if rng.random_bool(0.5) { 0.5 } else { 0.0 },
    }
}

fn strategies() -> Vec<Strategy> {
    let mut all = vec![
        Strategy::Leveled,
        Strategy::Tiered,
        Strategy::LazyLeveled,
        Strategy::LazyL0,
        Strategy::Partial(Selection::RoundRobin),
        Strategy::Partial(Selection::MostTombstones),
        Strategy::Partial(Selection::Oldest),
        Strategy::Partial(Selection::Coldest),
    ];
    for (inner_runs, last_runs) in [(1, 2), (2, 1), (2, 2), (3, 2), (1, 3)] {
        for granularity in [Granularity::Whole, Granularity::default()] {
            all.push(Strategy::Fluid { inner_runs, last_runs, granularity });
        }
    }
    all
}

impl World {
    fn new(strategy: Strategy, seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let policy = options(strategy, &mut rng).build().expect("valid options");
        let keys = *[8, 60, 250].choose(&mut rng).expect("not empty");
        World {
            rng,
            policy,
            levels: Levels::new(),
            busy: Busy::new(),
            ctx: Context { now_us: 1, ..Context::default() },
            contents: HashMap::new(),
            history: Vec::new(),
            snapshots: Vec::new(),
            jobs: Vec::new(),
            next_id: 1,
            keys,
            merges: 0,
            large: 0,
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Writes a few entries and flushes them as one run.
    fn flush(&mut self) {
        let count = self.rng.random_range(1..25);
        let ascending = self.rng.random_bool(0.2);
        let mut entries: Entries = Vec::new();
        for i in 0..count {
            let key = if ascending {
                u8::try_from(self.history.len() % 251).expect("below 256").max(i)
            } else {
                self.rng.random_range(0..self.keys)
            };
            let kind = if self.rng.random_bool(0.3) { Entry::Delete } else { Entry::Put };
            let trailer = Trailer::new(self.history.len() as u64 + 1, kind);
            self.history.push((key, trailer));
            entries.push((key, trailer));
        }
        entries.sort_by_key(|(key, trailer)| (*key, std::cmp::Reverse(*trailer)));
        let now = self.ctx.now_us;
        let cuts = self.policy.flush_cuts(&self.levels);
        let tables = cut(&entries, cuts).into_iter().map(|piece| self.table(piece, now)).collect();
        let id = self.id();
        self.levels = self.levels.with_run(0, Run::new(id, tables));
    }

    fn table(&mut self, entries: Entries, since_us: u64) -> Arc<TableInfo> {
        let id = self.id();
        let seqnos = || entries.iter().map(|(_, t)| t.seqno());
        let deletes = entries.iter().filter(|(_, t)| t.kind() == Some(Entry::Delete)).count();
        let info = TableInfo {
            id,
            bytes: entries.len() as u64 * ENTRY_BYTES,
            entries: entries.len() as u64,
            tombstones: deletes as u64,
            smallest: vec![entries[0].0],
            largest: vec![entries[entries.len() - 1].0],
            min_seqno: seqnos().min().expect("not empty"),
            max_seqno: seqnos().max().expect("not empty"),
            created_at_us: self.ctx.now_us,
            tombstones_since_us: since_us,
            ranges_applied: 0,
        };
        self.contents.insert(id, entries);
        Arc::new(info)
    }

    fn start(&mut self, plan: Plan) {
        assert_eq!(plan.check(&self.levels), Ok(()), "{plan}");
        let max_job_bytes = self.policy.options().max_job_bytes;
        if plan.kind == Kind::Merge && max_job_bytes == LARGE_JOB_BYTES {
            self.merges += 1;
            self.large += u32::from(!plan.fits(&self.levels, max_job_bytes));
        }
        let outputs = match plan.kind {
            Kind::Merge => self.merge(&plan),
            Kind::Move | Kind::Drop | Kind::Excise => Vec::new(),
        };
        self.ctx.note_started(&plan, &self.levels);
        let since_us = plan.tombstones_since_us(&self.levels);
        let id = self.busy.start(&plan, &self.levels);
        self.jobs.push(Job { id, plan, outputs, since_us });
    }

    /// What the workers do: merge, forget, cut; in pieces if there are some.
    fn merge(&mut self, plan: &Plan) -> Vec<Entries> {
        let mut entries: Entries = Vec::new();
        for table in plan.input_tables(&self.levels) {
            entries.extend(&self.contents[&table.id]);
        }
        entries.sort_by_key(|(key, trailer)| (*key, std::cmp::Reverse(*trailer)));
        let parts = self.rng.random_range(1..4);
        let mut cuts: Vec<Key> =
            plan.split_points(&self.levels, parts).iter().map(|key| key[0]).collect();
        assert!(cuts.len() < parts && cuts.is_sorted());
        cuts.push(Key::MAX);
        let (mut outputs, mut rest) = (Vec::new(), entries.as_slice());
        for (i, &end) in cuts.iter().enumerate() {
            let last = i + 1 == cuts.len();
            let split = if last { rest.len() } else { rest.partition_point(|(k, _)| *k < end) };
            let (piece, after) = rest.split_at(split);
            rest = after;
            let mut retain = Retain::with_older(&self.snapshots, plan.older.clone());
            let kept = piece.iter().filter(|(k, t)| retain.verdict(&[*k], *t) == Verdict::Keep);
            let kept: Entries = kept.copied().collect();
            outputs.extend(cut(&kept, Cuts::of(plan, &self.levels)));
        }
        outputs
    }

    fn finish(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.jobs.len());
        let job = self.jobs.swap_remove(at);
        if self.rng.random_bool(0.9) {
            let since = job.since_us;
            let tables = job.outputs.into_iter().map(|e| self.table(e, since)).collect();
            let run_id = self.id();
            self.levels = self.levels.apply(&job.plan, tables, run_id);
            self.levels.validate();
        } // else the job failed: nothing happened
        self.busy.finish(job.id);
    }

    fn pick(&mut self) -> bool {
        self.ctx.oldest_snapshot = self.snapshots.first().copied();
        let Some(plan) = self.policy.pick(&self.levels, &self.busy, &self.ctx) else {
            return false;
        };
        assert!(!plan.reason.is_empty());
        self.start(plan);
        true
    }

    /// Looks for `key` as a get does: place by place, the first answer wins.
    fn get(&self, key: Key, at: SeqNo) -> Option<Trailer> {
        let newest = |entries: &Entries| {
            let mut versions = entries.iter().filter(|(k, t)| *k == key && t.seqno() <= at);
            versions.next().map(|(_, t)| *t)
        };
        let found = self.levels.runs().find_map(|(_, run)| {
            let table = run.tables.iter().find(|t| t.range().contains(&[key]))?;
            newest(&self.contents[&table.id])
        })?;
        (found.kind() == Some(Entry::Put)).then_some(found)
    }

    fn verify(&mut self) {
        let present = self.history.len() as u64;
        for at in self.snapshots.iter().copied().chain([present]) {
            let mut expected: HashMap<Key, Trailer> = HashMap::new();
            for (key, trailer) in self.history.iter().filter(|(_, t)| t.seqno() <= at) {
                expected.insert(*key, *trailer);
            }
            for key in 0..=Key::MAX {
                let alive = expected.get(&key).filter(|t| t.kind() == Some(Entry::Put)).copied();
                assert_eq!(self.get(key, at), alive, "key {key} at {at}");
            }
        }
    }

    fn step(&mut self) {
        self.ctx.now_us += 1;
        self.ctx.quiet = self.rng.random_bool(0.1);
        match self.rng.random_range(0..100) {
            0..30 => self.flush(),
            30..65 => {
                self.pick();
            }
            65..90 => self.finish(),
            90..94 => self.snapshots.push(self.history.len() as u64),
            94..98 if !self.snapshots.is_empty() => {
                let at = self.rng.random_range(0..self.snapshots.len());
                self.snapshots.remove(at);
            }
            _ => {}
        }
    }

    fn settle(&mut self) {
        for _ in 0..3_000 {
            while !self.jobs.is_empty() {
                self.finish();
            }
            if !self.pick() {
                return;
            }
        }
        panic!("{} never comes to rest", self.policy.name());
    }

    fn compact_all(&mut self) {
        let manual = Manual::all(&self.levels);
        for _ in 0..3_000 {
            while !self.jobs.is_empty() {
                self.finish();
            }
            self.ctx.oldest_snapshot = self.snapshots.first().copied();
            match self.policy.pick_range(&self.levels, &self.busy, &self.ctx, &manual) {
                Picked::Plan(plan) => self.start(plan),
                Picked::Blocked => panic!("blocked, yet nothing runs"),
                Picked::Done => return,
            }
        }
        panic!("a manual compaction never ends");
    }
}

/// Cuts entries into tables, all versions of a key in one.
fn cut(entries: &[(Key, Trailer)], mut cuts: Cuts) -> Vec<Entries> {
    let mut tables: Vec<Entries> = Vec::new();
    for &(key, trailer) in entries {
        let open = tables.last().map_or(0, Vec::len) as u64 * ENTRY_BYTES;
        let ends = cuts.ends_before(&[key], open);
        match tables.last_mut() {
            Some(table) if !ends || table[table.len() - 1].0 == key => table.push((key, trailer)),
            _ => tables.push(vec![(key, trailer)]),
        }
    }
    tables
}

fn run(strategy: Strategy, seed: u64, steps: usize) -> (u32, u32) {
    let mut world = World::new(strategy, seed);
    for step in 0..steps {
        world.step();
        if step % 20 == 0 {
            world.verify();
        }
    }
    world.settle();
    world.verify();
    for (level, score) in world.policy.scores(&world.levels).into_iter().enumerate() {
        assert!(score < 1.0, "L{level} still asks with {score} at rest: {:?}", world.levels);
    }
    assert_eq!(world.policy.debt_bytes(&world.levels), 0, "{:?}", world.levels);
    for (rank, level) in world.levels.levels.iter().enumerate() {
        let most = world.policy.max_runs(&world.levels, rank);
        assert!(level.runs.len() <= most, "{} runs in L{rank}", level.runs.len());
    }
    // Another strategy takes the tree over.
    let next = *strategies().choose(&mut world.rng).expect("not empty");
    world.policy = options(next, &mut world.rng).build().expect("valid options");
    for _ in 0..steps / 4 {
        world.step();
    }
    world.settle();
    world.verify();
    world.snapshots.clear();
    world.compact_all();
    world.verify();
    assert!(world.levels.run_count() <= 1, "{:?}", world.levels);
    let totals = world.levels.runs().map(|(_, run)| run.totals()).next().unwrap_or_default();
    assert_eq!(totals.tombstones, 0, "a manual compaction forgets all tombstones");
    (world.merges, world.large)
}

#[test]
fn every_policy_keeps_every_reader_right() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let (mut merges, mut large) = (0, 0);
    for strategy in strategies() {
        for seed in 0..seeds {
            let result = std::panic::catch_unwind(|| run(strategy, seed, 300));
            let counts = result.unwrap_or_else(|_| panic!("failed: {strategy:?} with seed {seed}"));
            merges += counts.0;
            large += counts.1;
        }
    }
    // These trees change their strategy and their limit, and let L0 grow to dozens of runs: there
    // is now and then a table that alone lies over more than a job may take.
    assert!(merges > 500 && large * 50 <= merges, "{large} of {merges} jobs are too large");
}

/// A run of one table over all keys.
fn run_of(id: u64, bytes: u64) -> Run {
    let (smallest, largest, max_seqno) = (vec![0], vec![9], id);
    let info =
        TableInfo { id, bytes, entries: 1, smallest, largest, max_seqno, ..TableInfo::default() };
    Run::new(id, vec![Arc::new(info)])
}

#[test]
fn when_nobody_writes_l0_goes_down_if_that_costs_no_more_than_leveling_does() {
    let quiet = Context { quiet: true, ..Context::default() };
    let pick = |strategy, l0: &[u64], under: u64, ctx: &Context| {
        let options = Options { strategy, size_ratio: 10, l0_runs: 4, ..Options::default() };
        let mut levels = Levels::new();
        if under > 0 {
            levels = levels.with_run(6, run_of(1, under));
        }
        for (rank, bytes) in (2..).zip(l0) {
            levels = levels.with_run(0, run_of(rank, *bytes));
        }
        options.build().expect("valid").pick(&levels, &Busy::new(), ctx)
    };
    let leveled = Strategy::Leveled;
    let plan = pick(leveled, &[10], 100, &quiet).expect("a tenth is enough");
    assert_eq!(plan.inputs.len(), 2, "{plan}");
    assert!(pick(leveled, &[10], 101, &quiet).is_none(), "less is not");
    assert!(pick(leveled, &[10], 100, &Context::default()).is_none(), "writers come first");
    assert!(pick(Strategy::Tiered, &[10], 100, &quiet).is_none(), "tiers are meant to rest");
    let all = pick(leveled, &[5, 5, 5], 0, &quiet).expect("three runs become one");
    assert_eq!(all.inputs.len(), 3, "{all}");
}
