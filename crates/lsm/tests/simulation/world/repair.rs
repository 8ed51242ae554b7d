//! Repairs of a database that only crashed: nothing is lost, and nothing changes.

use std::sync::Arc;

use lsm::fs::{CrashMode, Fs};
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Durability, Env};
use rand::Rng;

use super::{Outcome, PATH, World};

impl World {
    /// Repairs the closed database; `mode` says how it came to be closed.
    pub(super) fn repair(&mut self, mode: CrashMode) -> Outcome {
        let scheduler = InlineScheduler::new(self.random.random());
        let env = Env {
            fs: Arc::new(self.fs.clone()),
            clock: Arc::clone(&self.clock) as Arc<_>,
            scheduler: Arc::new(scheduler),
        };
        let answer = Db::repair_with(PATH, &self.options(), &env);
        drop(env);
        self.tell("repair", "repair", &answer);
        let report = match answer {
            Ok(report) => report,
            Err(_) if self.excused() => return Ok(()),
            Err(error) => return Err(format!("repair: {error}")),
        };
        self.note(|| format!("{report:?}"));
        let saved = report.manifest_rebuilt || report.tables_salvaged > 0;
        let lost = !report.lost.is_empty() || !report.quarantined.is_empty();
        if (saved || lost) && !self.faulty {
            return Err(format!("a repair of what is whole: {report:?}"));
        }
        if self.fs.is_dead() {
            return Ok(());
        }
        // What it has shown stays.
        let disk: Arc<dyn Fs> = Arc::new(self.disk.clone());
        let found = self.read_only(PATH, &disk);
        let found = found.map_err(|error| format!("a look after a repair: {error}"))?;
        self.note(|| format!("repaired, it shows {} keys", found.len()));
        let all = mode == CrashMode::KILL && self.durability != Durability::None;
        self.history.reopen(&found, all).map_err(|why| format!("after a repair, {why}"))
    }
}
