//! YCSB's core workloads A to F, as the original draws them.
//!
//! Records are ten fields of 100 bytes, packed as (length, name, length, value) with lengths of
//! four bytes, as its RocksDB binding does; an update reads the record, replaces one field and
//! writes the record. Field values are those of `dataintegrity=true`: functions of key and field,
//! so that every read is checked byte for byte; they compress better than YCSB's random ones.
//! Threads: one.

use crate::engine::{Engine, Result, Session};
use crate::keys::{mix, unit};
use crate::points::index;
use crate::report::Measure;
use crate::run::{Extent, run};
use crate::zipf::{Zipf, fnv64};

const FIELDS: usize = 10;
const FIELD_BYTES: usize = 100;
const RECORD_BYTES: usize = FIELDS * (4 + 6 + 4 + FIELD_BYTES);

/// One of the six, in percent; the rest are plain reads.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// Reads of a record, a new field, writes.
    updates: u64,
    /// New records.
    inserts: u64,
    /// Scans of 1 to 100 records.
    scans: u64,
    /// Whether the newest records are the popular ones.
    latest: bool,
}

const fn workload(name: &'static str, updates: u64, inserts: u64, scans: u64) -> Workload {
    Workload { name, updates, inserts, scans, latest: false }
}

/// The order that keeps the data comparable; E wants a fresh load. F's read-modify-write is the
/// same pair of calls as an update, after a read of its own.
pub const ON_ONE_LOAD: [Workload; 5] = [
    workload("YCSB A", 50, 0, 0),
    workload("YCSB B", 5, 0, 0),
    workload("YCSB C", 0, 0, 0),
    workload("YCSB F", 50, 0, 0),
    Workload { name: "YCSB D", updates: 0, inserts: 5, scans: 0, latest: true },
];

/// Short ranges.
pub const E: Workload = workload("YCSB E", 0, 5, 95);

/// The records, made before the clock runs: `loaded` for the load and some for inserts.
#[derive(Debug)]
pub struct Records {
    keys: Vec<Vec<u8>>,
    bytes: Vec<u8>,
    /// Record numbers in the order of their keys.
    by_key: Vec<usize>,
    /// Where each record is in that order.
    place: Vec<usize>,
    loaded: u64,
    operations: u64,
}

/// Java's `String.hashCode` so far, and more text.
fn java_hash(hash: i32, text: &[u8]) -> i32 {
    text.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte)))
}

/// A field's value: key, name, then the hash of all so far, again and again, cut to length.
fn push_field(key: &[u8], name: &[u8], into: &mut Vec<u8>) {
    let begin = into.len();
    into.extend_from_slice(key);
    into.push(b':');
    into.extend_from_slice(name);
    let mut hash = java_hash(0, &into[begin..]);
    while into.len() - begin < FIELD_BYTES {
        // The colon is appended before the hash is taken.
        into.push(b':');
        hash = java_hash(hash, b":");
        let digits = hash.to_string();
        into.extend_from_slice(digits.as_bytes());
        hash = java_hash(hash, digits.as_bytes());
    }
    into.truncate(begin + FIELD_BYTES);
}

impl Records {
    /// `loaded` records, and as many more as one run of `operations` may insert.
    pub fn new(loaded: u64, operations: u64) -> Self {
        let count = index(loaded + operations / 10 + 1);
        let keys: Vec<Vec<u8>> =
            (0..count as u64).map(|at| format!("user{}", fnv64(at)).into_bytes()).collect();
        let mut bytes = Vec::with_capacity(count * RECORD_BYTES);
        for key in &keys {
            for field in 0..FIELDS {
                let name = format!("field{field}");
                bytes.extend_from_slice(&6u32.to_le_bytes());
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(&100u32.to_le_bytes());
                push_field(key, name.as_bytes(), &mut bytes);
            }
        }
        let mut by_key: Vec<usize> = (0..count).collect();
        by_key.sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]));
        let mut place = vec![0; count];
        by_key.iter().enumerate().for_each(|(at, record)| place[*record] = at);
        Self { keys, bytes, by_key, place, loaded, operations }
    }

    fn value(&self, record: usize) -> &[u8] {
        &self.bytes[record * RECORD_BYTES..(record + 1) * RECORD_BYTES]
    }

    fn put(&self, session: &mut dyn Session, record: usize) -> Result<u64> {
        session.put(&self.keys[record], self.value(record))?;
        Ok(1)
    }

    /// Puts every record, one by one.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn load(&self, engine: &dyn Engine, extent: Extent) -> Result<Measure> {
        let extent = Extent { calls: self.loaded, ..extent };
        let ran = run(engine, "YCSB load", extent, &|session, at| self.put(session, index(at)))?;
        let mut session = engine.session()?;
        for record in index(ran.calls[0])..index(self.loaded) {
            self.put(&mut *session, record)?;
        }
        Ok(ran.measure)
    }

    fn read(&self, engine: &dyn Engine, session: &mut dyn Session, record: usize) -> Result<u64> {
        let mut right = false;
        session.get(&self.keys[record], &mut |value| right = value == self.value(record))?;
        assert!(right || !engine.stores(), "record {record}");
        Ok(1)
    }

    /// Reads, replaces one field, writes.
    fn update(
        &self,
        engine: &dyn Engine,
        session: &mut dyn Session,
        (record, field): (usize, usize),
    ) -> Result<u64> {
        let mut packed = Vec::with_capacity(RECORD_BYTES);
        session.get(&self.keys[record], &mut |value| packed.extend_from_slice(value))?;
        if !engine.stores() {
            packed.extend_from_slice(self.value(record));
        }
        assert!(packed == self.value(record), "record {record}");
        let at = field * (RECORD_BYTES / FIELDS) + 14;
        packed[at..at + FIELD_BYTES].copy_from_slice(&self.value(record)[at..at + FIELD_BYTES]);
        session.put(&self.keys[record], &packed)?;
        Ok(1)
    }

    fn scan(
        &self,
        engine: &dyn Engine,
        session: &mut dyn Session,
        (first, length, inserted): (usize, u64, usize),
    ) -> Result<u64> {
        let there = |record: &&usize| **record < inserted;
        let mut expected = self.by_key[self.place[first]..].iter().filter(there);
        let mut left = length;
        session.scan(&self.keys[first], &mut |key, value| {
            let record = *expected.next().expect("no more entries than records");
            assert!(key == self.keys[record] && value == self.value(record), "record {record}");
            left -= 1;
            left > 0
        })?;
        assert!(left == 0 || expected.next().is_none() || !engine.stores(), "{left} missing");
        Ok(1)
    }

    /// Runs one workload; `inserted` records are there before and after.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If a record is wrong.
    pub fn run(&self, engine: &dyn Engine, extent: Extent, workload: Workload) -> Result<Measure> {
        let extent = Extent { threads: 1, calls: self.operations.min(extent.calls), ..extent };
        let mut chooser = Chooser::new(self, workload);
        let plan: Vec<Step> = (0..extent.calls).map(|_| chooser.step()).collect();
        let ran = run(engine, workload.name, extent, &|session, at| match plan[index(at)] {
            Step::Read(record) => self.read(engine, session, record),
            Step::Update(record, field) if workload.name == "YCSB F" => {
                self.read(engine, session, record)?;
                self.update(engine, session, (record, field))
            }
            Step::Update(record, field) => self.update(engine, session, (record, field)),
            Step::Insert(record) => self.put(session, record),
            Step::Scan(record, length, there) => {
                self.scan(engine, session, (record, length, there))
            }
        })?;
        Ok(ran.measure)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Read(usize),
    Update(usize, usize),
    Insert(usize),
    /// First record, how many, records that are there.
    Scan(usize, u64, usize),
}

/// Draws operations.
struct Chooser {
    workload: Workload,
    scrambled: Zipf,
    newest: Zipf,
    modulus: u64,
    inserted: u64,
    state: u64,
}

impl Chooser {
    fn new(records: &Records, workload: Workload) -> Self {
        let inserts = records.operations * workload.inserts / 100;
        let modulus = records.loaded + if inserts > 0 { 2 * inserts + 1 } else { 0 };
        Self {
            workload,
            scrambled: Zipf::ycsb(),
            newest: Zipf::new(records.loaded, 0.99),
            modulus,
            inserted: records.loaded,
            state: fnv64(workload.name.len() as u64 ^ u64::from(workload.name.as_bytes()[5])),
        }
    }

    fn random(&mut self) -> u64 {
        self.state = mix(self.state);
        self.state
    }

    fn record(&mut self) -> u64 {
        if self.workload.latest {
            let u = unit(self.random());
            let back = self.newest.rank(u);
            return self.inserted - 1 - back.min(self.inserted - 1);
        }
        loop {
            let u = unit(self.random());
            let record = fnv64(self.scrambled.rank(u)) % self.modulus;
            if record < self.inserted {
                return record;
            }
        }
    }

    fn step(&mut self) -> Step {
        let Workload { updates, inserts, scans, .. } = self.workload;
        let die = self.random() % 100;
        if die < inserts {
            self.inserted += 1;
            self.newest.grow();
            return Step::Insert(index(self.inserted - 1));
        }
        let record = index(self.record());
        match die - inserts {
            die if die < updates => Step::Update(record, index(self.random() % FIELDS as u64)),
            die if die < updates + scans => {
                Step::Scan(record, 1 + self.random() % 100, index(self.inserted))
            }
            _ => Step::Read(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_functions_of_key_and_name() {
        let mut field = Vec::new();
        push_field(b"user1", b"field0", &mut field);
        assert_eq!(field.len(), FIELD_BYTES);
        // "user1:field0:" hashes to this in Java, by hand: h = 31 h + c over its 13 characters.
        let hash = b"user1:field0:".iter().fold(0i64, |hash, byte| {
            let hash = hash * 31 + i64::from(*byte);
            (hash & 0xffff_ffff) - if hash & 0x8000_0000 != 0 { 1 << 32 } else { 0 }
        });
        assert!(field.starts_with(format!("user1:field0:{hash}:").as_bytes()));
    }

    #[test]
    fn inserts_never_run_out_of_records_and_scans_start_at_what_is_there() {
        let records = Records::new(1000, 10_000);
        for workload in ON_ONE_LOAD.into_iter().chain([E]) {
            let mut chooser = Chooser::new(&records, workload);
            for _ in 0..10_000 {
                let top = match chooser.step() {
                    Step::Read(record)
                    | Step::Insert(record)
                    | Step::Update(record, _)
                    | Step::Scan(record, ..) => record,
                };
                assert!((top as u64) < chooser.inserted && top < records.keys.len());
            }
        }
    }
}
