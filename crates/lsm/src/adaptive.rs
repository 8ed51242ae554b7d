//! Adaptive: the shape of a family's tree follows what is asked of the database.
//!
//! With [`crate::FamilyOptions::adaptive`] each flush ends a window: what was read and written
//! since the last one goes to [`compaction::Adaptive`], which prices the shapes around the present
//! one and takes a step when one has been cheaper for some windows in a row. A step is a new policy
//! for the next pick; nothing is rewritten for it, and jobs that run go on. The step is not stored:
//! the next opening starts from the options.

use std::collections::HashMap;
use std::sync::Arc;

use compaction::advise::Mix;
use compaction::{Adaptive, Tuning, Window};
use parking_lot::Mutex;

use crate::events::Event;
use crate::family::Core;
use crate::family_options::FamilyOptions;
use crate::inner::Inner;
use crate::metrics::Operations;
use crate::state::FamilyView;

/// What has been seen, by family.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    families: Mutex<HashMap<u32, Watched>>,
}

#[derive(Debug)]
struct Watched {
    adaptive: Adaptive,
    /// The options that came out of the last step, or were set by somebody else.
    options: FamilyOptions,
    /// Counts at the last window's end.
    before: Operations,
}

/// Ends a window of every adaptive family.
pub(crate) fn observe(inner: &Inner) {
    let view = inner.state.view();
    let now = inner.counters.operations();
    for family in view.families().filter(|family| family.core.options.adaptive) {
        let Some((core, why)) = step(inner, family, now) else { continue };
        let mut taken = false;
        inner.state.change(|view| {
            view.change_family(core.id, |view| {
                // Somebody may have set options meanwhile: theirs count.
                if Arc::ptr_eq(&view.core, &family.core) {
                    (view.core, taken) = (Arc::clone(&core), true);
                }
            });
        });
        if taken {
            let family = core.name.clone();
            let strategy =
                format!("{}, size ratio {}", core.options.strategy, core.options.size_ratio);
            inner.events.tell(&Event::Adapted { family, strategy, reason: why });
        }
    }
}

/// The family with its new shape and the reason, if there is a step to take.
fn step(inner: &Inner, family: &FamilyView, now: Operations) -> Option<(Arc<Core>, String)> {
    let core = &family.core;
    let mut families = inner.watch.families.lock();
    let known = families.get(&core.id).is_some_and(|watched| watched.options == core.options);
    if !known {
        let options = core.options.compaction_options();
        let adaptive = Adaptive::new(&options, Tuning::default()).ok()?; // FIFO has no shape
        let watched = Watched { adaptive, options: core.options.clone(), before: now };
        families.insert(core.id, watched);
        return None;
    }
    let watched = families.get_mut(&core.id)?;
    let mix = now.since(watched.before);
    watched.before = now;
    let shape = &family.version.shape;
    let last = shape.levels.iter().rfind(|level| !level.runs.is_empty());
    let entries: u64 = shape.tables().map(|(_, table)| table.entries).sum();
    let window = Window {
        mix,
        data_bytes: last.map_or(0, compaction::Level::bytes),
        entry_bytes: shape.bytes() as f64 / entries.max(1) as f64,
        buffer_bytes: inner.options.write_buffer_bytes as u64,
        block_bytes: u32::try_from(core.options.block_bytes).unwrap_or(u32::MAX),
    };
    let chosen = watched.adaptive.observe(&window)?;
    let options = FamilyOptions {
        strategy: chosen.strategy,
        size_ratio: chosen.size_ratio,
        ..core.options.clone()
    };
    let stepped = Core::new(core.id, &core.name, options.clone()).ok()?;
    watched.options = options;
    let why = format!(
        "cheaper for {:.0} writes, {:.0} gets that found, {:.0} that did not and {:.0} scans",
        mix.writes, mix.present_gets, mix.absent_gets, mix.scans
    );
    Some((stepped, why))
}

impl Operations {
    /// What was done after `before`.
    fn since(self, before: Self) -> Mix {
        let hits = self.hits - before.hits;
        Mix {
            writes: (self.writes - before.writes) as f64,
            present_gets: hits as f64,
            absent_gets: (self.gets - before.gets).saturating_sub(hits) as f64,
            scans: (self.scans - before.scans) as f64,
        }
    }
}
