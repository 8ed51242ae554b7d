//! [`Env`]: the world a database runs in.

use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, StdClock};
use crate::error::{Error, Result};
use crate::fs::{Fs, StdFs};
use crate::options::Options;
use crate::scheduler::{Scheduler, ThreadScheduler};

/// The world a database runs in: files, time and background work.
///
/// The default is the real one; a simulation brings its own. Here the files are in memory, and the
/// power goes:
/// ```
/// # fn main() -> lsm::Result<()> {
/// use std::sync::Arc;
/// use lsm::fs::{CrashMode, MemFs};
/// use lsm::{Db, Durability, Env, Options};
/// let open = |disk: &MemFs| {
///     let options = Options { durability: Durability::Sync, ..Options::default() };
///     let env = Env { fs: Arc::new(disk.clone()), ..Env::system(&options)? };
///     Db::open_with("/in/memory", options, env)
/// };
/// let disk = MemFs::new();
/// let db = open(&disk)?;
/// db.put("key", "synced before this returned")?;
/// let after = open(&disk.crash(1, CrashMode::POWER_CUTS[0]))?;
/// assert!(after.contains("key")?);
/// assert!(!std::path::Path::new("/in/memory").exists(), "nothing went to the real disk");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Env {
    /// Where the files are.
    pub fs: Arc<dyn Fs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who does the background work.
    pub scheduler: Arc<dyn Scheduler>,
}

impl Env {
    /// The operating system's files and clock, and threads.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn system(options: &Options) -> Result<Self> {
        let scheduler = ThreadScheduler::new(options.background_threads)
            .map_err(|error| Error::io("start threads for", Path::new("the database"), error))?;
        Ok(Self {
            fs: Arc::new(StdFs::new()),
            clock: Arc::new(StdClock::new()),
            scheduler: Arc::new(scheduler),
        })
    }
}
