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
/// The default is the real one; a simulation brings its own.
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
