//! Operating the database in the simulated world: checkpoints, looking without a lock, changing
//! options, dropping a family; and reads and writes of another kind.

use std::path::Path;
use std::sync::Arc;

use lsm::clock::Clock;
use lsm::fs::Fs;
use lsm::{Damage, Durability, Error, Options, ReadOnly, ReadOnlyOptions, Swap};

use super::{OTHER, Outcome, PATH, World, collect};
use crate::history::{Change, Model};

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
        self.tell(&path, "checkpoint", &answer);
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

    /// A conditional write, whose condition holds or does not.
    pub(super) fn swap(&mut self) -> Outcome {
        let key = self.key(48);
        let found = self.history.visible().get(&key).cloned();
        let holds = self.below(3) > 0;
        let expected = if holds { found.clone() } else { Some(b"never written".to_vec()) };
        let value = format!("w{} swapped", self.written).into_bytes();
        self.written += 1;
        let new = (self.below(4) > 0).then_some(value);
        let swap = (expected.as_deref(), new.as_deref());
        let answer = match &self.other {
            Some(other) if key.starts_with(b"o") => {
                other.compare_and_swap(&key[2..], swap.0, swap.1)
            }
            _ => self.db().compare_and_swap(&key[2..], swap.0, swap.1),
        };
        let name = self.written - 1;
        self.tell(&format!("swap w{name}"), "conditional write", &answer);
        let change = new.map_or(Change::Delete(key.clone()), |new| Change::Put(key, new));
        match answer {
            Ok(Swap::Refused(seen)) if holds || seen.as_deref() != found.as_deref() => {
                Err("a conditional write is refused for a value that is not there".into())
            }
            Ok(Swap::Done) if !holds => Err("a conditional write passes by its condition".into()),
            Ok(Swap::Refused(_)) => Ok(()),
            Err(_) if !holds && self.excused() => Ok(()),
            answer => self.settle("swap", answer, vec![change]),
        }
    }

    /// Looks up several keys at once.
    pub(super) fn get_many(&mut self) -> Outcome {
        let count = 1 + self.below(12);
        let keys: Vec<Vec<u8>> = (0..count).map(|_| self.key(50)).collect();
        let other = self.other.as_ref().filter(|_| keys[0].starts_with(b"o"));
        let family = keys[0][0];
        let keys: Vec<Vec<u8>> =
            keys.iter().map(|key| [&[family, b'/'], &key[2..]].concat()).collect();
        let bare: Vec<&[u8]> = keys.iter().map(|key| &key[2..]).collect();
        let answer = other.map_or_else(|| self.db().multi_get(&bare), |o| o.multi_get(&bare));
        self.tell(&format!("get {count} keys"), "get many", &answer);
        match answer {
            Ok(found) => {
                let visible = self.history.visible();
                let right = keys
                    .iter()
                    .zip(&found)
                    .all(|(key, found)| found.as_deref() == visible.get(key).map(|v| &v[..]));
                let right = right && found.len() == keys.len();
                if right { Ok(()) } else { Err(format!("{count} keys at once answer otherwise")) }
            }
            Err(_) if self.excused() => Ok(()),
            Err(error) => Err(format!("get many: {error}")),
        }
    }

    /// Changes options of the open database, which it notes in a file.
    pub(super) fn set_options(&mut self) -> Outcome {
        let new = self.options();
        let change = |options: &mut Options| {
            options.write_buffer_bytes = new.write_buffer_bytes;
            options.strategy = new.strategy;
            options.size_ratio = new.size_ratio;
            options.codec = new.codec;
            options.table_bytes = new.table_bytes;
            options.merge_bytes_per_second = new.merge_bytes_per_second;
        };
        let answer = self.db().set_options(change);
        self.tell("change options", "change options", &answer);
        match answer {
            Err(error) if !self.excused() => Err(format!("change options: {error}")),
            _ => Ok(()),
        }
    }

    /// Drops the second family. The model has an order of writes only where all of them last.
    pub(super) fn drop_family(&mut self) -> Outcome {
        if self.other.is_none() || self.durability != Durability::Sync {
            return Ok(());
        }
        self.snapshots.clear();
        let answer = self.db().drop_family(OTHER);
        self.tell("drop the family", "drop a family", &answer);
        let gone = answer.is_ok() || self.fs.is_dead();
        let in_doubt = matches!(answer, Err(Error::WritesStopped { .. }));
        self.has_other &= !gone && !in_doubt;
        if gone {
            self.other = None;
        }
        let all = Change::DeleteRange(b"o/".to_vec(), b"o0".to_vec());
        self.settle("drop the family", answer, vec![all])
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
        self.tell("look", "read-only look", &seen);
        match seen {
            // Nobody but this process knows what is only in its memtables.
            Ok(_) if self.durability == Durability::None => Ok(()),
            Ok(found) if found == *self.history.visible() || self.excused() => Ok(()),
            Ok(_) => Err("a look shows another state".into()),
            Err(_) if self.excused() => Ok(()),
            Err(error) => Err(format!("look: {error}")),
        }
    }

    pub(super) fn read_only(&self, path: &str, fs: &Arc<dyn Fs>) -> lsm::Result<Model> {
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
