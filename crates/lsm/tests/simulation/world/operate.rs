//! Operating the database in the simulated world: checkpoints, and looking without a lock.

use std::path::Path;
use std::sync::Arc;

use lsm::clock::Clock;
use lsm::fs::Fs;
use lsm::{Damage, Durability, Error, ReadOnly, ReadOnlyOptions};

use super::{OTHER, Outcome, PATH, World, collect, told};
use crate::history::{Batch, Change, Model};

/// A checkpoint, complete or cut, and what it must hold.
pub(super) struct Checkpoint {
    path: String,
    model: Model,
    /// The call has returned.
    complete: bool,
}

impl World {
    /// Makes a checkpoint and looks into it.
    pub(super) fn checkpoint(&mut self) -> Outcome {
        let path = format!("/disk/data/checkpoint{}", self.step);
        let answer = self.db().checkpoint(&path);
        self.note(|| format!("{path}: {}", told(&answer)));
        let complete = answer.is_ok() && !self.fs.is_dead();
        let model = self.history.visible().clone();
        match answer {
            Ok(_) => {
                // A checkpoint flushes.
                if complete {
                    self.history.survive(self.history.len());
                }
            }
            Err(_) if self.excused() => {}
            Err(error) => return Err(format!("checkpoint: {error}")),
        }
        self.checkpoints.push(Checkpoint { path, model, complete });
        if complete { self.check_checkpoints() } else { Ok(()) }
    }

    /// What every checkpoint holds is right, or it is none; complete ones are right.
    pub(super) fn check_checkpoints(&mut self) -> Outcome {
        for checkpoint in std::mem::take(&mut self.checkpoints) {
            let disk: Arc<dyn Fs> = Arc::new(self.disk.clone());
            let seen = self.read_only(&checkpoint.path, &disk);
            match seen {
                Ok(found) if found == checkpoint.model => {}
                Ok(_) => return Err(format!("{} holds another state", checkpoint.path)),
                Err(error) if checkpoint.complete => {
                    return Err(format!("{}: {error}", checkpoint.path));
                }
                Err(_) => {}
            }
            self.remove_folder(&checkpoint.path);
        }
        Ok(())
    }

    /// Loads sorted entries: one write, and durable at once, with all before it.
    pub(super) fn load(&mut self) -> Outcome {
        let number = format!("w{}", self.written).into_bytes();
        self.written += 1;
        let mut batch = Batch::new();
        for n in 0..48 {
            if self.below(3) > 0 {
                let key = format!("d/key{n:02}").into_bytes();
                batch.push(Change::Put(key, [&number[..], b" loaded"].concat()));
            }
        }
        batch.push(Change::Put(b"d/last".to_vec(), number));
        let entries = batch.iter().filter_map(|change| match change {
            Change::Put(key, value) => Some((&key[2..], value)),
            _ => None,
        });
        let answer = self.db().bulk_load(entries.collect::<Vec<_>>());
        let name = self.written - 1;
        self.note(|| format!("load w{name}: {}", told(&answer)));
        match answer {
            Ok(_) if self.fs.is_dead() => self.history.doubt(batch),
            Ok(_) => {
                self.history.acknowledge(batch);
                self.history.survive(self.history.len());
            }
            Err(error) if !self.excused() => return Err(format!("load: {error}")),
            Err(Error::WritesStopped { .. }) => self.history.doubt(batch),
            Err(_) if self.fs.is_dead() => self.history.doubt(batch),
            Err(_) => {} // it failed alone: it must never be seen
        }
        Ok(())
    }

    fn remove_folder(&self, path: &str) {
        let folder = Path::new(path);
        for name in self.disk.list(folder).unwrap_or_default() {
            self.disk.remove(&folder.join(name)).expect("it was listed");
        }
    }

    /// Looks at the open database as another process would.
    pub(super) fn look(&mut self) -> Outcome {
        let disk: Arc<dyn Fs> = Arc::new(self.disk.clone());
        let seen = self.read_only(PATH, &disk);
        self.note(|| format!("look: {}", told(&seen)));
        match seen {
            // Nobody but this process knows what is only in its memtables.
            Ok(_) if self.durability == Durability::None => Ok(()),
            Ok(found) if found == *self.history.visible() || self.excused() => Ok(()),
            Ok(_) => Err("a look shows another state".into()),
            Err(_) if self.excused() => Ok(()),
            Err(error) => Err(format!("look: {error}")),
        }
    }

    fn read_only(&self, path: &str, fs: &Arc<dyn Fs>) -> lsm::Result<Model> {
        let options = ReadOnlyOptions { damage: Damage::Refuse, ..ReadOnlyOptions::default() };
        let files = self.disk.files();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<_>;
        let seen = ReadOnly::open_with(path, options, fs, &clock)?;
        let mut found = collect::<Model>(b'd', seen.scan::<&[u8]>(..))?;
        if let Some(other) = seen.family(OTHER) {
            found.extend(collect::<Model>(b'o', other.scan::<&[u8]>(..))?);
        }
        assert_eq!(self.disk.files(), files, "nothing is made or removed");
        Ok(found)
    }
}
