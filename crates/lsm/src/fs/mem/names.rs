//! The names on a disk in memory: as the running system sees them, and which of them last.
//!
//! Every change of a name is kept, in order, until it is durable under each [`NameLoss`]; the
//! older ones are folded into a base.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::file::Content;
use super::{CrashMode, NameLoss, Shared};
use crate::random::Random;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    File(Shared),
    Folder,
}

#[derive(Debug)]
struct Change {
    path: PathBuf,
    target: Option<Target>,
    /// The folder was synced since.
    synced: bool,
    /// For the removing half of a renaming: where the other half stands in the list.
    after: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<PathBuf, Target>,
    /// What lasts in any case.
    base: BTreeMap<PathBuf, Target>,
    /// What came after, oldest first.
    changes: Vec<Change>,
    /// Changes that were folded into the base.
    folded: u64,
    /// Changes, folded ones included, that a journal has on the medium.
    journaled: u64,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<Target> {
        if is_root(path) { Some(Target::Folder) } else { self.now.get(path).cloned() }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<Shared> {
        match self.get(path) {
            Some(Target::File(content)) => Ok(content),
            Some(Target::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn must_be_free(&self, path: &Path) -> io::Result<()> {
        if self.get(path).is_some() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    pub(super) fn must_be_folder(&self, path: &Path) -> io::Result<()> {
        match self.get(path) {
            Some(Target::Folder) => Ok(()),
            Some(Target::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn set(&mut self, path: &Path, target: Option<Target>) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.must_be_folder(parent)?;
        }
        self.change(path, target, None);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.file(from)?;
        self.set(to, Some(Target::File(content)))?;
        let half = self.folded + self.changes.len() as u64 - 1;
        self.change(from, None, Some(half));
        Ok(())
    }

    fn change(&mut self, path: &Path, target: Option<Target>, after: Option<u64>) {
        put(&mut self.now, path, target.clone());
        self.changes.push(Change { path: path.to_path_buf(), target, synced: false, after });
    }

    /// The folder was synced.
    pub(super) fn sync(&mut self, folder: &Path) {
        for change in &mut self.changes {
            change.synced |= change.path.parent() == Some(folder);
        }
        self.file_synced();
    }

    /// Some file was synced: a journal now has all names.
    pub(super) fn file_synced(&mut self) {
        self.journaled = self.folded + self.changes.len() as u64;
        let lasting = self.changes.iter().take_while(|change| change.synced).count();
        for change in self.changes.drain(..lasting) {
            put(&mut self.base, &change.path, change.target);
        }
        self.folded += lasting as u64;
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.must_be_folder(folder)?;
        let inside = self.now.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let is_file = |target: &Target| matches!(target, Target::File(_));
        self.now.iter().filter(|(_, target)| is_file(target)).map(|(p, _)| p.clone()).collect()
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let bytes = |target: &Target| match target {
            Target::File(content) => content.lock().used_bytes(),
            Target::Folder => 0,
        };
        self.now.values().map(bytes).sum()
    }

    /// The names and files that are found after a crash: all of them lasting after a power cut,
    /// and as they were after the death of a process.
    pub(super) fn after_crash(&self, random: &mut Random, mode: CrashMode) -> Self {
        let mut left = match mode.names {
            NameLoss::Nothing => return self.copy(random, mode),
            NameLoss::Journaled => self.journaled(random),
            NameLoss::Strict => self.strict(random),
        };
        // A file is lost with its folder.
        let paths: Vec<PathBuf> = left.keys().cloned().collect();
        for path in paths {
            let parent = path.parent().unwrap_or(Path::new(""));
            if !is_root(parent) && !matches!(left.get(parent), Some(Target::Folder)) {
                left.remove(&path);
            }
        }
        let left = Self { now: left.clone(), base: left, ..Self::default() };
        left.copy(random, mode)
    }

    /// The same names for files of their own.
    fn copy(&self, random: &mut Random, mode: CrashMode) -> Self {
        let mut copies: BTreeMap<*const Mutex<Content>, Shared> = BTreeMap::new();
        let mut copy = |target: &Target| match target {
            Target::Folder => Target::Folder,
            Target::File(content) => {
                let fresh = copies.entry(Arc::as_ptr(content)).or_insert_with(|| {
                    Arc::new(Mutex::new(content.lock().after_crash(random, mode.data)))
                });
                Target::File(Arc::clone(fresh))
            }
        };
        let mut copy_all = |names: &BTreeMap<PathBuf, Target>| {
            names.iter().map(|(path, target)| (path.clone(), copy(target))).collect()
        };
        let (now, base) = (copy_all(&self.now), copy_all(&self.base));
        let copy_change = |change: &Change| Change {
            path: change.path.clone(),
            target: change.target.as_ref().map(&mut copy),
            ..*change
        };
        let changes = self.changes.iter().map(copy_change).collect();
        Self { now, base, changes, folded: self.folded, journaled: self.journaled }
    }

    fn journaled(&self, random: &mut Random) -> BTreeMap<PathBuf, Target> {
        let sure = usize::try_from(self.journaled - self.folded).expect("fits memory");
        let mut kept = sure + random.below(self.changes.len() - sure + 1);
        // The two halves of a renaming are one entry of the journal.
        kept += usize::from(self.changes.get(kept).is_some_and(|next| next.after.is_some()));
        let mut names = self.base.clone();
        for change in &self.changes[..kept] {
            put(&mut names, &change.path, change.target.clone());
        }
        names
    }

    fn strict(&self, random: &mut Random) -> BTreeMap<PathBuf, Target> {
        // For each name, the list of its changes and how many of them have reached the medium.
        let mut lists: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
        for (i, change) in self.changes.iter().enumerate() {
            lists.entry(&change.path).or_default().push(i);
        }
        let mut reached = vec![false; self.changes.len()];
        for list in lists.values() {
            let synced = list.iter().rposition(|i| self.changes[*i].synced).map_or(0, |n| n + 1);
            let kept = synced + random.below(list.len() - synced + 1);
            list[..kept].iter().for_each(|i| reached[*i] = true);
        }
        for (i, change) in self.changes.iter().enumerate() {
            // The old name of a renamed file goes only after the new one is there.
            let half = change.after.and_then(|half| half.checked_sub(self.folded));
            let Some(half) = half.and_then(|half| usize::try_from(half).ok()) else { continue };
            if reached[i] {
                let list = &lists[&*self.changes[half].path];
                list.iter().take_while(|n| **n <= half).for_each(|n| reached[*n] = true);
            }
        }
        let mut names = self.base.clone();
        for (change, _) in self.changes.iter().zip(&reached).filter(|(_, reached)| **reached) {
            put(&mut names, &change.path, change.target.clone());
        }
        names
    }
}

fn put(names: &mut BTreeMap<PathBuf, Target>, path: &Path, target: Option<Target>) {
    match target {
        Some(target) => names.insert(path.to_path_buf(), target),
        None => names.remove(path),
    };
}

fn is_root(path: &Path) -> bool {
    path.parent().is_none() // "" and "/"
}
