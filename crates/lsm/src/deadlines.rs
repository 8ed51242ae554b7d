//! Deadlines of a database at rest: deletions that must be gone by an age, data that a time to live
//! ends.
//!
//! A policy looks at ages when it is asked, which is after a flush or a merge: a database at rest
//! would never be asked. So while a family has a deadline, an alarm wakes the database each eighth
//! of it, or when a table's is due ([`ring`]):
//!
//! 1. A memtable whose deletions may be older than half of their deadline is sealed, and so becomes
//!    a table within 5/8 of it; under FIFO one that may hold data older than an eighth of the time
//!    to live.
//! 2. A table whose deletions are 3/4 of the deadline old is merged down, level by level
//!    (`FamilyOptions::compaction_options`): the last quarter is for those merges.
//!
//! How old the deletions of a memtable are is not counted by writers: an alarm that finds none
//! takes note of the time, so an age is at most an eighth too high.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use compaction::Strategy;
use parking_lot::Mutex;

use crate::background;
use crate::clock::micros;
use crate::commit;
use crate::events::Event;
use crate::inner::Inner;
use crate::memtable::Memtable;
use crate::scheduler::Alarm;
use crate::state::{FamilyView, View};

/// Alarms in a deadline.
const LOOKS: u64 = 8;

/// The shortest time between two alarms, in microseconds.
const PERIOD_US_MIN: u64 = 5_000;

/// How long a job may wait for the tail.
const TAIL_WAIT: Duration = Duration::from_millis(20);

/// What is known of the time.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the next alarm rings, by the database's clock.
    next: Option<Duration>,
    /// When an alarm last rang, or the database was opened, in microseconds since 1970.
    rang_us: u64,
    /// By family: its memtable, and since when that may hold what a deadline counts for.
    since_us: HashMap<u32, (Weak<Memtable>, u64)>,
}

impl Known {
    /// Since when `memtable` may hold what a deadline counts for, in microseconds since 1970.
    fn since_us(&self, family: u32, memtable: &Arc<Memtable>) -> u64 {
        // One that no alarm has seen was made after the last.
        let known = self.since_us.get(&family);
        known
            .filter(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(memtable)))
            .map_or(self.rang_us, |(_, since)| *since)
    }
}

/// A family's deadline in microseconds, and how old its memtable may become.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    us: u64,
    memtable_us: u64,
    /// It counts for all data, not for deletions only.
    for_all: bool,
}

impl Deadline {
    fn of(family: &FamilyView) -> Option<Self> {
        let options = &family.core.options;
        if let Strategy::Fifo { ttl_us: Some(us), .. } = options.strategy {
            return Some(Self { us, memtable_us: us / LOOKS, for_all: true });
        }
        let age = options.tombstone_age_max?;
        let us = micros(age);
        Some(Self { us, memtable_us: us / 2, for_all: false })
    }

    fn period_us(self) -> u64 {
        (self.us / LOOKS).max(PERIOD_US_MIN)
    }

    /// Whether it counts for something in the memtable.
    fn concerns(self, memtable: &Memtable) -> bool {
        let any = if self.for_all { memtable.len() as u64 } else { memtable.deletions() };
        any > 0 || memtable.range_deletes().is_some()
    }

    /// When the policy has something to do for a table, in microseconds since 1970.
    fn tables_due_us(self, family: &FamilyView) -> Option<u64> {
        let options = family.core.policy.options();
        let due = |table: &compaction::TableInfo| match (self.for_all, options.max_tombstone_age_us)
        {
            (true, _) => Some(table.created_at_us.saturating_add(self.us)),
            (false, Some(age)) if table.tombstones > 0 => {
                Some(table.tombstones_since_us.saturating_add(age))
            }
            (false, _) => None,
        };
        family.version.shape.tables().filter_map(|(_, table)| due(table)).min()
    }
}

fn with_deadlines(view: &View) -> impl Iterator<Item = (&Arc<FamilyView>, Deadline)> {
    view.families().filter_map(|family| Some((family, Deadline::of(family)?)))
}

/// Since when a memtable that is flushed may hold deletions, in microseconds since 1970.
pub(crate) fn tombstones_since_us(
    inner: &Inner,
    family: &FamilyView,
    memtable: &Arc<Memtable>,
) -> u64 {
    let now_us = inner.env.clock.unix_micros();
    if family.core.options.tombstone_age_max.is_none() {
        return now_us;
    }
    inner.deadlines.state.lock().since_us(family.core.id, memtable).min(now_us)
}

/// Takes note that the database is open.
pub(crate) fn begin(inner: &Arc<Inner>) {
    inner.deadlines.state.lock().rang_us = inner.env.clock.unix_micros();
    arm(inner);
}

/// Sees to it that an alarm rings in time.
pub(crate) fn arm(inner: &Arc<Inner>) {
    let view = inner.state.peek();
    let (now, now_us) = (inner.env.clock.now(), inner.env.clock.unix_micros());
    let due_us = with_deadlines(&view).map(|(family, deadline)| {
        let look_us = now_us.saturating_add(deadline.period_us());
        // What is due and still there cannot go yet: a snapshot or a job is in the way.
        let due_us = deadline.tables_due_us(family).filter(|due| *due > now_us);
        due_us.map_or(look_us, |due| due.min(look_us))
    });
    let Some(due_us) = due_us.min() else { return };
    let at = now.saturating_add(Duration::from_micros(due_us - now_us));
    let mut known = inner.deadlines.state.lock();
    if inner.work.closing() || known.next.is_some_and(|next| next <= at && next > now) {
        return;
    }
    known.next = Some(at);
    drop(known);
    let owner = Arc::downgrade(inner);
    let job = move || {
        if let Some(inner) = owner.upgrade() {
            ring(&inner, at);
        }
    };
    inner.env.scheduler.alarm(Alarm { at, after: at.saturating_sub(now), job: Box::new(job) });
}

/// Looks at what is due.
fn ring(inner: &Arc<Inner>, at: Duration) {
    {
        let mut known = inner.deadlines.state.lock();
        if known.next == Some(at) {
            known.next = None;
        }
    }
    if inner.work.closing() || inner.is_stopped() {
        return;
    }
    if memtable_is_due(inner)
        && let Err(error) = seal(inner)
    {
        inner.counters.background_failed();
        inner.events.tell(&Event::BackgroundFailed { job: "Deadline".into(), error });
    }
    background::schedule(inner);
    arm(inner);
}

/// Looks at the memtables of families with deadlines, and says whether one is due.
fn memtable_is_due(inner: &Inner) -> bool {
    let now_us = inner.env.clock.unix_micros();
    let view = inner.state.peek();
    let mut known = inner.deadlines.state.lock();
    let mut due = false;
    for (family, deadline) in with_deadlines(&view) {
        let (id, memtable) = (family.core.id, &family.active);
        let concerns = deadline.concerns(memtable);
        let since = if concerns { known.since_us(id, memtable) } else { now_us };
        known.since_us.insert(id, (Arc::downgrade(memtable), since));
        due |= concerns && since.saturating_add(deadline.memtable_us) <= now_us;
    }
    known.rang_us = now_us;
    due
}

/// Seals the memtables, unless as many as may wait for their flush already, or somebody has the
/// tail for long, as a load has that waits for a flush, in this very thread perhaps: then the next
/// alarm does.
fn seal(inner: &Arc<Inner>) -> crate::error::Result<()> {
    let Some(mut tail) = inner.tail.try_lock_for(TAIL_WAIT) else { return Ok(()) };
    inner.check_writable()?;
    let has_room = inner.state.peek().sealed.len() < inner.live.sealed_memtables_max();
    if tail.memtable_bytes > 0 && has_room {
        commit::seal(inner, &mut tail, (0, "deletions or data in it are near their deadline"))?;
    }
    Ok(())
}
