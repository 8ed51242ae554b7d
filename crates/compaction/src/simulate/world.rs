//! The virtual tree: tables whose entries are a key number and a trailer, and the jobs on them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sstable::{Kind as EntryKind, Trailer};

use crate::busy::{Busy, JobId};
use crate::cuts::Cuts;
use crate::levels::{Levels, Run, TableInfo};
use crate::number::to_u64;
use crate::options::InvalidOption;
use crate::plan::{Kind, Plan};
use crate::policy::{Context, Policy};
use crate::retain::{Retain, Verdict};
use crate::simulate::keys::{Keys, Random};
use crate::simulate::{LevelReport, Scale, Setup, Workload};

type Entry = (u32, Trailer);

/// A mean and a maximum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Samples {
    sum: f64,
    count: f64,
    most: f64,
}

impl Samples {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
        self.most = self.most.max(value);
    }

    pub(crate) fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    pub(crate) fn most(&self) -> u64 {
        to_u64(self.most)
    }
}

/// What is counted while a workload runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    user_bytes: f64,
    written: BTreeMap<usize, f64>,
    pub(crate) space: Samples,
    pub(crate) space_max: f64,
    pub(crate) temporary_bytes_max: u64,
    pub(crate) runs: Samples,
    pub(crate) runs_before_hit: Samples,
    pub(crate) l0_runs_max: u64,
    pub(crate) debt_bytes_max: u64,
    stalled_us: f64,
    slowed_us: f64,
    elapsed_us: f64,
}

impl Counters {
    pub(crate) fn write_amplification(&self) -> f64 {
        self.written.values().sum::<f64>() / self.user_bytes.max(1.0)
    }

    pub(crate) fn stalled(&self) -> f64 {
        if self.elapsed_us > 0.0 { self.stalled_us / self.elapsed_us } else { 0.0 }
    }

    pub(crate) fn slowed(&self) -> f64 {
        if self.elapsed_us > 0.0 { self.slowed_us / self.elapsed_us } else { 0.0 }
    }
}

/// What one level between the first and the last costs, on average.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InnerLevel {
    pub(crate) write_amplification: f64,
    pub(crate) load_write_amplification: f64,
    pub(crate) runs: f64,
}

struct Job {
    id: JobId,
    plan: Plan,
    outputs: Vec<Vec<Entry>>,
    bytes: u64,
    ends_us: f64,
}

pub(crate) struct World<'a> {
    workload: &'a Workload,
    setup: &'a Setup,
    scale: &'a Scale,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) levels: Levels,
    pub(crate) counters: Counters,
    load_counters: Option<Counters>,
    random: Random,
    keys: Keys,
    /// Whether each key is alive.
    alive: Vec<bool>,
    alive_count: u64,
    contents: HashMap<u64, Vec<Entry>>,
    memtable: HashMap<u32, Trailer>,
    /// Writes in the memtable: every version takes its room, though only the last is flushed.
    memtable_writes: u32,
    busy: Busy,
    ctx: Context,
    jobs: Vec<Job>,
    last_id: u64,
    last_seqno: u64,
    now_us: f64,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        workload: &'a Workload,
        setup: &'a Setup,
        scale: &'a Scale,
    ) -> Result<World<'a>, InvalidOption> {
        let mut random = Random::new(workload.seed);
        let keys = Keys::new(scale.keys, workload.skew, &mut random);
        Ok(World {
            workload,
            setup,
            scale,
            policy: scale.options.build()?,
            levels: Levels::new(),
            counters: Counters::default(),
            load_counters: None,
            random,
            keys,
            alive: vec![false; scale.keys as usize],
            alive_count: 0,
            contents: HashMap::new(),
            memtable: HashMap::new(),
            memtable_writes: 0,
            busy: Busy::new(),
            ctx: Context::default(),
            jobs: Vec::new(),
            last_id: 0,
            last_seqno: 0,
            now_us: 1.0,
        })
    }

    /// Writes every key once.
    pub(crate) fn load(&mut self) {
        for key in self.keys.load_order(&mut self.random) {
            self.write(key, EntryKind::Put);
        }
        self.flush();
    }

    /// Writes as often as the workload says.
    pub(crate) fn update(&mut self) {
        let count = to_u64(f64::from(self.scale.keys) * self.workload.updates);
        for _ in 0..count {
            let key = self.keys.draw(&mut self.random);
            let delete = self.workload.deletes > 0.0 && self.random.unit() < self.workload.deletes;
            self.write(key, if delete { EntryKind::Delete } else { EntryKind::Put });
        }
    }

    /// Begins to count anew and keeps what the load cost.
    pub(crate) fn reset_counters(&mut self) {
        self.load_counters = Some(std::mem::take(&mut self.counters));
    }

    fn write(&mut self, key: u32, kind: EntryKind) {
        self.last_seqno += 1;
        self.memtable.insert(key, Trailer::new(self.last_seqno, kind));
        self.memtable_writes += 1;
        let alive = kind == EntryKind::Put;
        let was = std::mem::replace(&mut self.alive[key as usize], alive);
        self.alive_count += u64::from(alive);
        self.alive_count -= u64::from(was);
        let value = if alive { self.workload.value_bytes } else { 0 };
        let bytes = f64::from(self.workload.key_bytes + value) * self.scale.weight;
        self.counters.user_bytes += bytes;
        if let Some(machine) = self.setup.machine {
            let runs = u32::try_from(self.levels.level(0).runs.len()).unwrap_or(u32::MAX);
            let beyond = f64::from(runs.saturating_sub(machine.slow_runs));
            let slowed = beyond * bytes / f64::from(1 << 20) * machine.slow_us_per_mib_and_run;
            let us = bytes / machine.ingest_bytes_per_s * 1e6 + slowed;
            self.now_us += us;
            self.counters.slowed_us += slowed;
            self.counters.elapsed_us += us;
        }
        if self.memtable_writes >= self.scale.flush_entries {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.memtable.is_empty() {
            return;
        }
        self.wait_for_room();
        let mut entries: Vec<Entry> = self.memtable.drain().collect();
        self.memtable_writes = 0;
        entries.sort_unstable_by_key(|(key, _)| *key);
        let pieces = self.cut(entries, self.policy.flush_cuts(&self.levels));
        let tables = self.install(0, pieces, u64::MAX);
        let id = self.id();
        self.levels.push_run(0, Run::new(id, tables));
        self.ctx.now_us = to_u64(self.now_us);
        self.compact();
        self.sample();
    }

    /// Stops the writer while L0 is too long.
    fn wait_for_room(&mut self) {
        let Some(machine) = self.setup.machine else { return };
        self.end_jobs();
        while self.levels.level(0).runs.len() >= machine.stop_runs as usize && !self.jobs.is_empty()
        {
            let next = self.jobs.iter().map(|job| job.ends_us).fold(f64::INFINITY, f64::min);
            let us = (next - self.now_us).max(0.0);
            self.counters.stalled_us += us;
            self.counters.elapsed_us += us;
            self.now_us += us;
            self.end_jobs();
        }
    }

    /// Starts what the policy asks for, as far as there are workers.
    fn compact(&mut self) {
        let workers = self.setup.machine.map_or(1, |machine| machine.workers.max(1) as usize);
        self.end_jobs();
        while self.jobs.len() < workers {
            let Some(plan) = self.policy.pick(&self.levels, &self.busy, &self.ctx) else { break };
            self.start(plan);
            self.end_jobs();
        }
        let debt = self.policy.debt_bytes(&self.levels);
        self.counters.debt_bytes_max = self.counters.debt_bytes_max.max(debt);
    }

    fn start(&mut self, plan: Plan) {
        let outputs = if plan.kind == Kind::Merge { self.merge(&plan) } else { Vec::new() };
        let read = if plan.kind == Kind::Merge { plan.input_totals(&self.levels).bytes } else { 0 };
        let bytes = outputs.iter().map(|entries| self.bytes(entries)).sum::<u64>();
        self.ctx.note_started(&plan, &self.levels);
        let id = self.busy.start(&plan, &self.levels);
        let us =
            self.setup.machine.map_or(0.0, |m| (read + bytes) as f64 / m.worker_bytes_per_s * 1e6);
        self.jobs.push(Job { id, plan, outputs, bytes, ends_us: self.now_us + us });
        let temporary: u64 = self.jobs.iter().map(|job| job.bytes).sum();
        self.counters.temporary_bytes_max = self.counters.temporary_bytes_max.max(temporary);
        let space = (self.levels.bytes() + temporary) as f64 / self.live_bytes().max(1) as f64;
        self.counters.space_max = self.counters.space_max.max(space);
    }

    /// Installs the jobs that have ended by now, in the order of their ends, and starts others in
    /// their place.
    fn end_jobs(&mut self) {
        while let Some(at) = self.first_ended() {
            let job = self.jobs.swap_remove(at);
            self.end(job);
            let free = self.setup.machine.is_some_and(|m| self.jobs.len() < m.workers as usize);
            if free && let Some(plan) = self.policy.pick(&self.levels, &self.busy, &self.ctx) {
                self.start(plan);
            }
        }
    }

    fn first_ended(&self) -> Option<usize> {
        let ended = (0..self.jobs.len()).filter(|&at| self.jobs[at].ends_us <= self.now_us);
        ended.min_by(|&a, &b| self.jobs[a].ends_us.total_cmp(&self.jobs[b].ends_us))
    }

    fn end(&mut self, job: Job) {
        let since = job.plan.tombstones_since_us(&self.levels);
        let gone = job.plan.kind != Kind::Move;
        let inputs: Vec<u64> =
            job.plan.inputs.iter().flat_map(|input| input.table_ids.iter().copied()).collect();
        let tables = self.install(job.plan.output_level, job.outputs, since);
        let run_id = self.id();
        self.levels.apply_in_place(&job.plan, tables, run_id);
        self.busy.finish(job.id);
        if gone {
            for id in inputs {
                self.contents.remove(&id);
            }
        }
    }

    /// Lets all running jobs end.
    pub(crate) fn finish_jobs(&mut self) {
        while let Some(job) = self.jobs.pop() {
            self.end(job);
        }
    }

    fn merge(&mut self, plan: &Plan) -> Vec<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        for table in plan.input_tables(&self.levels) {
            if let Some(content) = self.contents.get(&table.id) {
                entries.extend_from_slice(content);
            }
        }
        entries.sort_by_key(|(key, trailer)| (*key, std::cmp::Reverse(*trailer)));
        let mut retain = Retain::with_older(&[], plan.older.clone());
        entries
            .retain(|(key, trailer)| retain.verdict(&key_bytes(*key), *trailer) == Verdict::Keep);
        self.cut(entries, Cuts::of(plan, &self.levels))
    }

    /// Cuts sorted entries of distinct keys into tables.
    fn cut(&self, entries: Vec<Entry>, mut cuts: Cuts) -> Vec<Vec<Entry>> {
        let put = self.stored_bytes(EntryKind::Put) * self.scale.weight;
        let (mut begin, mut pieces) = (0, Vec::new());
        for (at, (key, _)) in entries.iter().enumerate() {
            let bytes = to_u64((at - begin) as f64 * put);
            if cuts.ends_before(&key_bytes(*key), bytes) && at > begin {
                pieces.push(entries[begin..at].to_vec());
                begin = at;
            }
        }
        if begin == 0 {
            return if entries.is_empty() { pieces } else { vec![entries] };
        }
        pieces.push(entries[begin..].to_vec());
        pieces
    }

    /// Bytes of a stored entry.
    fn stored_bytes(&self, kind: EntryKind) -> f64 {
        let value = if kind == EntryKind::Put { self.workload.value_bytes } else { 0 };
        let raw = f64::from(self.workload.key_bytes) + f64::from(value) + self.setup.overhead_bytes;
        (raw * self.setup.compression).max(1e-9)
    }

    fn bytes(&self, entries: &[Entry]) -> u64 {
        let deletes = deletes(entries) as f64;
        let puts = entries.len() as f64 - deletes;
        let bytes = puts * self.stored_bytes(EntryKind::Put)
            + deletes * self.stored_bytes(EntryKind::Delete);
        to_u64(bytes * self.scale.weight)
    }

    /// Makes tables of `pieces` and counts them as written into `level`.
    fn install(
        &mut self,
        level: usize,
        pieces: Vec<Vec<Entry>>,
        since: u64,
    ) -> Vec<Arc<TableInfo>> {
        let mut tables = Vec::with_capacity(pieces.len());
        for entries in pieces {
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
            let bytes = self.bytes(&entries);
            *self.counters.written.entry(level).or_default() += bytes as f64;
            let real = |count: usize| to_u64(count as f64 * self.scale.weight);
            let seqnos = || entries.iter().map(|(_, trailer)| trailer.seqno());
            let now = to_u64(self.now_us);
            let info = TableInfo {
                id: self.last_id + 1,
                bytes,
                entries: real(entries.len()),
                tombstones: real(deletes(&entries)),
                smallest: key_bytes(first.0).to_vec(),
                largest: key_bytes(last.0).to_vec(),
                min_seqno: seqnos().min().unwrap_or(0),
                max_seqno: seqnos().max().unwrap_or(0),
                created_at_us: now,
                tombstones_since_us: since.min(now),
                ranges_applied: 0,
            };
            self.last_id += 1;
            self.contents.insert(info.id, entries);
            tables.push(Arc::new(info));
        }
        tables
    }

    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn sample(&mut self) {
        let live = self.live_bytes().max(1) as f64;
        let space = self.levels.bytes() as f64 / live;
        self.counters.space.add(space);
        self.counters.space_max = self.counters.space_max.max(space);
        self.counters.runs.add(self.levels.run_count() as f64);
        let l0 = self.levels.level(0).runs.len() as u64;
        self.counters.l0_runs_max = self.counters.l0_runs_max.max(l0);
        // A get that hits looks into the runs before the one that holds the key.
        let entries: f64 = self.levels.runs().map(|(_, run)| run.totals().entries as f64).sum();
        let (mut before, mut sum) = (0.0, 0.0);
        for (_, run) in self.levels.runs() {
            sum += before * run.totals().entries as f64;
            before += 1.0;
        }
        self.counters.runs_before_hit.add(sum / entries.max(1.0));
    }

    /// Bytes of live keys and values.
    pub(crate) fn live_bytes(&self) -> u64 {
        let entry = self.workload.entry_bytes() as f64;
        to_u64(self.alive_count as f64 * self.scale.weight * entry)
    }

    /// What a level between the first below L0 and the last costs; that of the first if there is
    /// none between.
    pub(crate) fn inner_level_cost(&self) -> InnerLevel {
        let deepest = self.levels.deepest().unwrap_or(0);
        let load = self.load_counters.as_ref().unwrap_or(&self.counters);
        let used: Vec<usize> =
            (1..deepest).filter(|level| self.counters.written.contains_key(level)).collect();
        let inner = if used.len() > 1 { &used[1..] } else { &used[..] };
        if inner.is_empty() {
            return InnerLevel::default();
        }
        let share = |counters: &Counters, level: &usize| {
            counters.written.get(level).copied().unwrap_or(0.0) / counters.user_bytes.max(1.0)
        };
        let count = inner.len() as f64;
        InnerLevel {
            write_amplification: inner.iter().map(|l| share(&self.counters, l)).sum::<f64>()
                / count,
            load_write_amplification: inner.iter().map(|l| share(load, l)).sum::<f64>() / count,
            runs: inner.iter().map(|l| self.levels.level(*l).runs.len() as f64).sum::<f64>()
                / count,
        }
    }

    pub(crate) fn level_reports(&self) -> Vec<LevelReport> {
        let levels = self.levels.levels.iter().enumerate();
        let used = levels.filter(|(_, level)| !level.runs.is_empty());
        used.map(|(rank, level)| LevelReport {
            level: rank,
            runs: level.runs.len() as u64,
            bytes: level.bytes(),
            write_amplification: self.counters.written.get(&rank).copied().unwrap_or(0.0)
                / self.counters.user_bytes.max(1.0),
        })
        .collect()
    }
}

#[expect(clippy::big_endian_bytes, reason = "the order of bytes must be that of the numbers")]
fn key_bytes(key: u32) -> [u8; 4] {
    key.to_be_bytes()
}

fn deletes(entries: &[Entry]) -> usize {
    entries.iter().filter(|(_, trailer)| trailer.kind() == Some(EntryKind::Delete)).count()
}
