//! A closed database of which one file holds other bytes: a log, the manifest, its options among
//! them, CURRENT or a table. Opening, reading, repairing and closing may fail and may not panic,
//! hang or take memory without bound. Checksums do not count here (`cfg(fuzzing)`).
#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use lsm::clock::{Clock, ManualClock};
use lsm::fs::{CrashMode, Fs, MemFs};
use lsm::scheduler::InlineScheduler;
use lsm::{
    Codec, Damage, Db, Env, FamilyOptions, Options, ReadOnly, ReadOnlyOptions, RecoveryMode,
    WriteBatch,
};

fn options() -> Options {
    Options {
        write_buffer_bytes: 4096,
        table_bytes: 4096,
        codec: Codec::None,
        ..Options::default()
    }
}

fn env(fs: &MemFs) -> Env {
    Env {
        fs: Arc::new(fs.clone()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::new(InlineScheduler::new(1)),
    }
}

/// A database with tables, a log, two families and a range delete; and its files.
fn whole() -> &'static (MemFs, Vec<PathBuf>) {
    static WHOLE: OnceLock<(MemFs, Vec<PathBuf>)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let fs = MemFs::new();
        let db = Db::open_with("/db", options(), env(&fs)).expect("open");
        let other = db.create_family("other", FamilyOptions::from(&options())).expect("family");
        for n in 0..60u8 {
            let mut batch = WriteBatch::new();
            batch.put([b'k', n], [n; 100]);
            batch.put_in(&other, [n], b"other");
            db.write(batch).expect("write");
        }
        db.delete_range([b'k', 10], [b'k', 20]).expect("delete");
        db.flush().expect("flush");
        db.put(b"in", b"the log").expect("put");
        other.set_options(|own| own.codec = Codec::Lz4).expect("other options");
        drop(other);
        db.close().expect("close");
        let mut files = fs.files();
        files.retain(|path| !path.ends_with("LOCK"));
        files.sort();
        (fs, files)
    })
}

/// Reads what can be read without changing anything.
fn look(fs: &MemFs) {
    let options = ReadOnlyOptions { damage: Damage::PassOver, ..ReadOnlyOptions::default() };
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) =
        (Arc::new(fs.clone()), Arc::new(ManualClock::new()));
    let Ok(seen) = ReadOnly::open_with("/db", options, &fs, &clock) else { return };
    std::hint::black_box(seen.scan::<&[u8]>(..).take(100_000).count());
    if let Some(other) = seen.family("other") {
        drop(other.get([3]));
    }
    drop(seen.verify());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[file, how], rest)) = bytes.split_first_chunk::<2>() else { return };
    let (fs, files) = whole();
    let fs = fs.crash(0, CrashMode::KILL);
    let path = &files[usize::from(file) % files.len()];
    if how % 4 == 0 {
        // All of it.
        fs.remove(path).expect("remove");
        let mut new = fs.create(path).expect("create");
        std::io::Write::write_all(&mut new, rest).expect("write");
        new.sync().expect("sync");
    } else {
        // Single bytes.
        for patch in rest.chunks_exact(3).take(64) {
            let offset = u64::from(u16::from_le_bytes([patch[0], patch[1]]));
            if fs.flip(path, offset, patch[2]).is_err() {
                return;
            }
        }
    }
    let recovery = [
        RecoveryMode::Strict,
        RecoveryMode::TolerateTornTail,
        RecoveryMode::PointInTime,
        RecoveryMode::Salvage,
    ][usize::from(how / 4) % 4];
    match how / 16 % 4 {
        2 => drop(Db::repair_with("/db", &Options { recovery, ..options() }, &env(&fs))),
        3 => look(&fs),
        _ => {}
    }
    let Ok(db) = Db::open_with("/db", Options { recovery, ..options() }, env(&fs)) else { return };
    let mut seen = 0;
    if let Ok(scan) = db.scan::<&[u8]>(..) {
        for entry in scan.take(100_000) {
            if entry.is_err() {
                break;
            }
            seen += 1;
        }
    }
    if let Ok(Some(other)) = db.family("other") {
        drop(other.get([3]));
    }
    drop(db.verify());
    drop(db.compact());
    std::hint::black_box(seen);
    drop(db.close());
});
