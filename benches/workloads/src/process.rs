//! What the operating system knows of this process and its folder: bytes written, memory, disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The number after `name` in a file of `/proc/self`; 0 where there is no such thing.
fn proc_number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes that this process has made the operating system write, mapped pages included.
pub fn written_bytes() -> u64 {
    proc_number("io", "write_bytes:")
}

/// The most memory that was resident at once.
pub fn peak_resident_bytes() -> u64 {
    proc_number("status", "VmHWM:") << 10
}

/// Bytes that the files below `folder` take on disk; files that vanish meanwhile count nothing.
pub fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut sum = 0;
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => sum += disk_bytes(&entry.path()),
            Ok(meta) => sum += meta.blocks() * 512,
            Err(_) => {}
        }
    }
    sum
}

/// Watches a folder's size from a thread of its own, every 10 ms.
#[derive(Debug)]
pub struct DiskPeak {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl DiskPeak {
    /// Begins to watch.
    pub fn watch(folder: &Path) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, highest) = (Arc::clone(&stop), Arc::clone(&peak));
        let folder = folder.to_path_buf();
        let thread = std::thread::spawn(move || {
            // ORDERING: Relaxed throughout; `join` in `finish` orders the result.
            while !stopped.load(Ordering::Relaxed) {
                highest.fetch_max(disk_bytes(&folder), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { stop, peak, thread }
    }

    /// The most bytes seen.
    ///
    /// # Panics
    /// If the watching thread did.
    pub fn finish(self) -> u64 {
        // ORDERING: Relaxed; the thread only has to see it some time, and `join` orders the rest.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher only reads");
        // ORDERING: Relaxed, after `join`.
        self.peak.load(Ordering::Relaxed)
    }
}
