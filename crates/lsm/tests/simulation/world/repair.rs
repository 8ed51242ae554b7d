//! Repairs in the simulated world. Of a database that only crashed: nothing is lost, and nothing
//! changes. Of one without a manifest: nothing is made up, and only what is listed is lost.

use std::path::Path;
use std::sync::Arc;

use lsm::clock::Clock;
use lsm::fs::{CrashMode, Fs};
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Durability, Env, ReadOnly, ReadOnlyOptions};
use rand::Rng;

use super::tally::Fate;
use super::{Outcome, PATH, World, collect};
use crate::history::{Model, label};

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

    /// Repairs a copy of the closed database that has no manifest any more.
    pub(super) fn rebuild(&mut self) -> Outcome {
        let copy = self.disk.crash(0, CrashMode::KILL);
        copy.remove(&Path::new(PATH).join("CURRENT")).expect("it was open once");
        let scheduler = InlineScheduler::new(self.random.random());
        let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) =
            (Arc::new(copy), Arc::clone(&self.clock) as Arc<_>);
        let env =
            Env { fs: Arc::clone(&fs), clock: Arc::clone(&clock), scheduler: Arc::new(scheduler) };
        let answer = Db::repair_with(PATH, &self.options(), &env);
        self.tell("rebuild the manifest", "rebuild", &answer);
        let report = answer.map_err(|error| format!("a repair without a manifest: {error}"))?;
        self.note(|| format!("{report:?}"));
        let listed = |key: &[u8]| {
            let mut ranges = report.lost.iter().filter_map(|loss| loss.keys.as_ref());
            ranges.any(|(low, high)| &low[..] <= key && key <= &high[..])
        };
        let seen = ReadOnly::open_with(PATH, ReadOnlyOptions::default(), &fs, &clock)
            .map_err(|error| format!("a look after a repair without a manifest: {error}"))?;
        let (visible, ever) = (self.history.visible(), self.history.ever());
        let mut found = collect::<Model>(b'd', seen.scan::<&[u8]>(..))
            .map_err(|error| format!("a scan after a repair: {error}"))?;
        for name in seen.families() {
            let family = seen.family(&name).filter(|_| name != "default");
            let Some(family) = family else { continue };
            let family = collect::<Model>(b'o', family.scan::<&[u8]>(..))
                .map_err(|error| format!("a scan of {name} after a repair: {error}"))?;
            found.extend(family);
        }
        for key in visible.keys().chain(found.keys()) {
            let (is, was) = (found.get(key), visible.get(key));
            let name = String::from_utf8_lossy(key);
            let text = |value: Option<&Vec<u8>>| value.map_or("nothing".into(), |v| label(v));
            if is.is_some_and(|value| !ever.had(key, value)) {
                return Err(format!("a repair makes up {name}: {}", text(is)));
            }
            if listed(&key[2..]) || ever.was_in_range(key) {
                continue;
            }
            self.tally.count("key after a rebuild", Fate::Done);
            if is != was {
                let (is, was) = (text(is), text(was));
                return Err(format!("a repair without a manifest: {name}: {is} not {was}"));
            }
        }
        Ok(())
    }
}
