//! A file system whose calls fail when they are told to.
//!
//! Every call has a kind and a number. A [`Fault`] lets the n-th call of its kinds fail, before
//! it does anything, half way, or after it has done its work; [`FaultFs::at_call`] runs a hook
//! at one call and fails every call from then on: the moment of a power cut.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Fs, Lock, LogFile, ReadAt, WriteFile};

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Creating a folder.
    CreateDir,
    /// Reading the names or lengths of files.
    Look,
    /// Removing a name.
    Remove,
    /// Renaming, hard links included.
    Rename,
    /// Syncing a folder.
    SyncDir,
    /// Opening a file for reading.
    OpenRead,
    /// Reading.
    Read,
    /// Creating a file or opening it for appending.
    Create,
    /// Appending, flushing, truncating (which never lacks space) and reserving.
    Write,
    /// Syncing a file.
    Sync,
    /// Creating, reusing or opening a log.
    CreateLog,
    /// Storing into a log.
    LogWrite,
    /// Syncing a log.
    LogSync,
    /// Taking the lock.
    Lock,
}

impl Call {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::CreateDir,
        Self::Look,
        Self::Remove,
        Self::Rename,
        Self::SyncDir,
        Self::OpenRead,
        Self::Read,
        Self::Create,
        Self::Write,
        Self::Sync,
        Self::CreateLog,
        Self::LogWrite,
        Self::LogSync,
        Self::Lock,
    ];
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does nothing.
    Nothing,
    /// A write stores half of its bytes; other calls do nothing.
    Half,
    /// It does its work, and then says that it failed.
    Done,
    /// A write stores half of its bytes, says so and succeeds, as any write may; a read fills half
    /// of its buffer and answers that the file has ended. Other calls are not affected.
    Short,
    /// A sync says that it succeeded and does nothing: a lying disk, or a forgotten sync. Other
    /// calls are not affected.
    Skipped,
}

/// A failure to come.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The kinds of call that count.
    pub calls: Vec<Call>,
    /// How many of them go well first.
    pub after: u64,
    /// How many fail then; `u64::MAX` for all.
    pub times: u64,
    /// What they answer.
    pub error: io::ErrorKind,
    /// What they do.
    pub effect: Effect,
}

impl Fault {
    /// The next call of this kind fails once, with an I/O error, and does nothing.
    pub fn next(call: Call) -> Self {
        let calls = vec![call];
        Self { calls, after: 0, times: 1, error: io::ErrorKind::Other, effect: Effect::Nothing }
    }
}

/// A file system that fails as planned. Clones share the plan. With [`MemFs`](super::MemFs) under
/// it and an [`InlineScheduler`](crate::scheduler::InlineScheduler), a harness for power cuts:
/// ```
/// # fn main() -> lsm::Result<()> {
/// use std::sync::{Arc, Mutex};
/// use lsm::fs::{CrashMode, FaultFs, Fs, MemFs};
/// use lsm::scheduler::InlineScheduler;
/// use lsm::{Db, Durability, Env, Options};
/// let open = |fs: Arc<dyn Fs>| {
///     let options = Options { durability: Durability::Sync, ..Options::default() };
///     let scheduler = Arc::new(InlineScheduler::new(1)); // one seed, one run
///     let env = Env { fs, scheduler, ..Env::system(&options)? };
///     Db::open_with("/db", options, env)
/// };
/// let mut cuts = 0;
/// for at in 0..60 {
///     let (disk, left) = (MemFs::new(), Arc::new(Mutex::new(None)));
///     let fs = FaultFs::new(Arc::new(disk.clone()));
///     let (mode, slot) = (CrashMode::POWER_CUTS[at as usize % 6], Arc::clone(&left));
///     fs.at_call(at, move || *slot.lock().unwrap() = Some(disk.crash(at, mode)));
///     let mut acknowledged = 0_u32;
///     if let Ok(db) = open(Arc::new(fs)) {
///         while acknowledged < 20 && db.put(acknowledged.to_le_bytes(), "value").is_ok() {
///             acknowledged += 1;
///         }
///     }
///     let Some(left) = left.lock().unwrap().take() else { continue };
///     let db = open(Arc::new(left))?;
///     for n in 0..acknowledged {
///         assert!(db.contains(n.to_le_bytes())?, "write {n} was lost at call {at}");
///     }
///     cuts += 1;
/// }
/// assert!(cuts > 20, "{cuts}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FaultFs {
    fs: Arc<dyn Fs>,
    plan: Arc<Mutex<Plan>>,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Plan {
    faults: Vec<Fault>,
    calls: [u64; Call::ALL.len()],
    total: u64,
    space_bytes: Option<u64>,
    hook: Option<(u64, Hook)>,
    dead: bool,
}

impl FaultFs {
    /// Wraps `fs`; nothing fails yet.
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        Self { fs, plan: Arc::default() }
    }

    /// Adds a failure.
    pub fn add(&self, fault: Fault) {
        self.plan.lock().faults.push(fault);
    }

    /// Forgets all failures to come, and lifts the limit of [`FaultFs::limit_space`].
    pub fn clear(&self) {
        let mut plan = self.plan.lock();
        plan.faults.clear();
        plan.space_bytes = None;
    }

    /// Lets appended bytes and new logs together take so many bytes more; then they fail with
    /// [`io::ErrorKind::StorageFull`].
    pub fn limit_space(&self, bytes: u64) {
        self.plan.lock().space_bytes = Some(bytes);
    }

    /// Number of calls so far.
    pub fn calls(&self) -> u64 {
        self.plan.lock().total
    }

    /// Number of calls of one kind so far.
    pub fn calls_of(&self, call: Call) -> u64 {
        self.plan.lock().calls[call as usize]
    }

    /// Runs `hook` just before call number `call` (counted by [`FaultFs::calls`]); that call and
    /// all later ones fail. The hook must not use this file system.
    pub fn at_call(&self, call: u64, hook: impl FnOnce() + Send + 'static) {
        self.plan.lock().hook = Some((call, Box::new(hook)));
    }

    /// Takes back [`FaultFs::at_call`], if its call has not come.
    pub fn cancel_at_call(&self) {
        self.plan.lock().hook = None;
    }

    /// Whether the hook of [`FaultFs::at_call`] has run.
    pub fn is_dead(&self) -> bool {
        self.plan.lock().dead
    }

    /// Counts a call and decides its fate: `None` if it goes well.
    fn fate(&self, call: Call) -> Option<(io::Error, Effect)> {
        let mut plan = self.plan.lock();
        let number = plan.total;
        plan.total += 1;
        plan.calls[call as usize] += 1;
        if plan.hook.as_ref().is_some_and(|(at, _)| *at <= number) {
            let hook = plan.hook.take();
            plan.dead = true;
            drop(plan);
            if let Some((_, hook)) = hook {
                hook();
            }
            return Some((off(), Effect::Nothing));
        }
        if plan.dead {
            return Some((off(), Effect::Nothing));
        }
        let mut fate = None;
        for fault in plan.faults.iter_mut().filter(|fault| fault.calls.contains(&call)) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times = fault.times.saturating_sub(u64::from(fault.times != u64::MAX));
                fate.get_or_insert((io::Error::new(fault.error, "a planned fault"), fault.effect));
            }
        }
        fate
    }

    /// Makes a call that either does its work or does not.
    fn call<T>(&self, call: Call, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fate(call) {
            None | Some((_, Effect::Skipped | Effect::Short)) => work(),
            Some((error, Effect::Done)) => work().and(Err(error)),
            Some((error, _)) => Err(error),
        }
    }

    /// Makes a sync.
    fn sync(&self, call: Call, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.fate(call) {
            None | Some((_, Effect::Short)) => work(),
            Some((_, Effect::Skipped)) => Ok(()),
            Some((error, Effect::Done)) => work().and(Err(error)),
            Some((error, _)) => Err(error),
        }
    }

    /// Takes space from what is left.
    fn take_space(&self, bytes: u64) -> io::Result<()> {
        let mut plan = self.plan.lock();
        match plan.space_bytes {
            Some(left) if left < bytes => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                plan.space_bytes = Some(left - bytes);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.lock();
        f.debug_struct("FaultFs")
            .field("fs", &self.fs)
            .field("faults", &plan.faults)
            .field("calls", &plan.total)
            .field("dead", &plan.dead)
            .finish_non_exhaustive()
    }
}

impl Fs for FaultFs {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call(Call::CreateDir, || self.fs.create_dir_all(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.call(Call::Look, || self.fs.list(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(Call::Look, || self.fs.exists(path))
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        self.call(Call::Look, || self.fs.file_bytes(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, || self.fs.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, || self.fs.rename(from, to))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync(Call::SyncDir, || self.fs.sync_dir(path))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, || self.fs.hard_link(from, to))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        let file = self.call(Call::OpenRead, || self.fs.open_read(path))?;
        Ok(Arc::new(FaultReader { fs: self.clone(), file }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = self.call(Call::Create, || self.fs.create(path))?;
        Ok(Box::new(FaultWriter { fs: self.clone(), file }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = self.call(Call::Create, || self.fs.open_append(path))?;
        Ok(Box::new(FaultWriter { fs: self.clone(), file }))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        let log = self.call(Call::CreateLog, || {
            self.take_space(capacity)?;
            self.fs.create_log(path, capacity)
        })?;
        Ok(Box::new(FaultLog { fs: self.clone(), log }))
    }

    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        let log = self.call(Call::CreateLog, || self.fs.reuse_log(old, new, capacity))?;
        Ok(Box::new(FaultLog { fs: self.clone(), log }))
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let log = self.call(Call::CreateLog, || self.fs.open_log(path))?;
        Ok(Box::new(FaultLog { fs: self.clone(), log }))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.call(Call::Lock, || self.fs.lock(path))
    }
}

#[derive(Debug)]
struct FaultReader {
    fs: FaultFs,
    file: Arc<dyn ReadAt>,
}

impl ReadAt for FaultReader {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self.fs.fate(Call::Read) {
            None | Some((_, Effect::Skipped)) => self.file.read_exact_at(buf, offset),
            Some((error, Effect::Done)) => self.file.read_exact_at(buf, offset).and(Err(error)),
            Some((_, Effect::Short)) => {
                let half = buf.len() / 2;
                self.file.read_exact_at(buf.get_mut(..half).unwrap_or_default(), offset)?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Some((error, _)) => Err(error),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.fs.call(Call::Look, || self.file.len())
    }
}

struct FaultWriter {
    fs: FaultFs,
    file: Box<dyn WriteFile>,
}

impl Write for FaultWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.fs.fate(Call::Write) {
            Some((error, Effect::Half)) => {
                self.file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
                self.file.flush()?;
                Err(error)
            }
            Some((error, Effect::Done)) => self.file.write_all(bytes).and(Err(error)),
            Some((error, Effect::Nothing)) => Err(error),
            Some((_, Effect::Short)) if bytes.len() > 1 => {
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                self.fs.take_space(half.len() as u64)?;
                self.file.write(half)
            }
            None | Some((_, Effect::Skipped | Effect::Short)) => {
                self.fs.take_space(bytes.len() as u64)?;
                self.file.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        self.fs.call(Call::Write, || file.flush())
    }
}

impl WriteFile for FaultWriter {
    fn sync(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        match self.fs.fate(Call::Sync) {
            None | Some((_, Effect::Short)) => file.sync(),
            Some((_, Effect::Skipped)) => file.flush(), // the medium lies, the system does not
            Some((error, Effect::Done)) => file.sync().and(Err(error)),
            Some((error, _)) => file.flush().and(Err(error)),
        }
    }

    fn written(&self) -> u64 {
        self.file.written()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        match self.fs.fate(Call::Write) {
            // That takes no space.
            Some((error, _)) if error.kind() == io::ErrorKind::StorageFull => {}
            Some((error, Effect::Done)) => return self.file.truncate(bytes).and(Err(error)),
            None | Some((_, Effect::Skipped | Effect::Short)) => {}
            Some((error, _)) => return Err(error),
        }
        self.file.truncate(bytes)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let file = &mut self.file;
        self.fs.call(Call::Write, || file.reserve(bytes))
    }
}

#[derive(Debug)]
struct FaultLog {
    fs: FaultFs,
    log: Box<dyn LogFile>,
}

impl LogFile for FaultLog {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.fs.fate(Call::LogWrite) {
            Some((error, Effect::Half)) => {
                let half = bytes.get(..bytes.len() / 16 * 8).unwrap_or_default();
                self.log.write_at(offset, half).and(Err(error))
            }
            Some((error, Effect::Done)) => self.log.write_at(offset, bytes).and(Err(error)),
            Some((error, Effect::Nothing)) => Err(error),
            None | Some((_, Effect::Skipped | Effect::Short)) => self.log.write_at(offset, bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.sync(Call::LogSync, || self.log.sync())
    }

    fn capacity(&self) -> u64 {
        self.log.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{MemFs, suite};

    fn faulty() -> (MemFs, FaultFs) {
        let fs = MemFs::new();
        (fs.clone(), FaultFs::new(Arc::new(fs)))
    }

    #[test]
    fn without_faults_it_passes_the_suite() {
        let (_, fs) = faulty();
        fs.create_dir_all(Path::new("/root")).unwrap();
        suite::all(&fs, Path::new("/root"));
        assert!(Call::ALL.iter().all(|call| fs.calls_of(*call) > 0), "the suite makes every call");
    }

    #[test]
    fn the_nth_call_fails_as_often_as_told() {
        let (_, fs) = faulty();
        fs.add(Fault { after: 2, times: 2, ..Fault::next(Call::Look) });
        let answers: Vec<bool> = (0..6).map(|_| fs.exists(Path::new("/x")).is_ok()).collect();
        assert_eq!(answers, [true, true, false, false, true, true]);
        fs.add(Fault { times: u64::MAX, ..Fault::next(Call::Look) });
        assert!((0..9).all(|_| fs.exists(Path::new("/x")).is_err()));
        fs.clear();
        assert!(fs.exists(Path::new("/x")).is_ok());
    }

    #[test]
    fn effects_do_what_they_say() {
        for (effect, stored) in
            [(Effect::Nothing, 0), (Effect::Half, 4), (Effect::Done, 8), (Effect::Skipped, 8)]
        {
            let (mem, fs) = faulty();
            let mut file = fs.create(Path::new("/f")).unwrap();
            let log = fs.create_log(Path::new("/log"), 64).unwrap();
            fs.add(Fault { effect, ..Fault::next(Call::Write) });
            fs.add(Fault { effect, ..Fault::next(Call::LogWrite) });
            assert_eq!(file.write_all(b"12345678").is_ok(), effect == Effect::Skipped);
            assert_eq!(log.write_at(0, &[1; 16]).is_ok(), effect == Effect::Skipped);
            file.flush().unwrap();
            assert_eq!(mem.contents(Path::new("/f")).unwrap(), &b"12345678"[..stored]);
            let in_log = mem.contents(Path::new("/log")).unwrap();
            assert!(
                in_log[..stored * 2] == vec![1; stored * 2]
                    && in_log[stored * 2..] == vec![0; 64 - stored * 2]
            );
        }
    }

    #[test]
    fn a_skipped_sync_leaves_nothing_durable() {
        let (mem, fs) = faulty();
        let mut file = fs.create(Path::new("/f")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        file.write_all(b"x").unwrap();
        fs.add(Fault { effect: Effect::Skipped, ..Fault::next(Call::Sync) });
        file.sync().unwrap();
        let mode = super::super::CrashMode::POWER_CUTS[0];
        assert_eq!(mem.crash(1, mode).contents(Path::new("/f")).unwrap(), b"");
        file.sync().unwrap();
        assert_eq!(mem.crash(1, mode).contents(Path::new("/f")).unwrap(), b"x");
    }

    #[test]
    fn space_runs_out() {
        let (_, fs) = faulty();
        fs.limit_space(100);
        let mut file = fs.create(Path::new("/f")).unwrap();
        file.write_all(&[0; 60]).unwrap();
        let full =
            |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::StorageFull;
        assert!(full(file.write_all(&[0; 60])));
        assert!(full(fs.create_log(Path::new("/log"), 48).map(drop)));
        fs.clear();
        file.write_all(&[0; 60]).unwrap();
    }

    #[test]
    fn the_power_goes_off_at_a_call() {
        let (mem, fs) = faulty();
        let left = Arc::new(Mutex::new(None));
        let (disk, slot) = (mem, Arc::clone(&left));
        fs.at_call(2, move || {
            *slot.lock() = Some(disk.crash(1, super::super::CrashMode::KILL));
        });
        assert!(fs.create(Path::new("/a")).is_ok());
        assert!(fs.create(Path::new("/b")).is_ok());
        assert!(fs.create(Path::new("/c")).is_err());
        assert!(fs.exists(Path::new("/a")).is_err(), "everything fails from then on");
        assert!(fs.is_dead());
        let names = left.lock().take().unwrap().files();
        assert_eq!(names, [Path::new("/a"), Path::new("/b")]);
    }
}
