//! Manifests, written and read back after everything that can happen to them.

use parking_lot::Mutex;

use super::state::tests::table;
use super::*;
use crate::fs::{Call, CrashMode, Effect, Fault, FaultFs, MemFs};
use crate::random::Random;

const DATABASE: u64 = 0xDA7A;
const DIR: &str = "/db";

/// A manifest of one edit, and its pointer: format version 1 for ever.
const GOLDEN_1: [&str; 10] = [
    "6c736d206d616e0a0100000000000000", // "lsm man\n", version 1, flags 0
    "01000000000000007ada000000000000", // number 1, database 0xda7a
    "00000000000000000000000000000000", // zero
    "000000000000000000000000a2a70cb8", // zero, CRC32C
    "8b60aafbc00dbc2d1a00000001000000", // header CRC, payload CRC, 26 bytes, kind 1 (an edit)
    "00000000000000000100000000000000", // watermark 0, edit 1
    "07080000000100000000000000080800", // field 7, 8 bytes: 1; field 8,
    "00000100000000000000000000000000", // 8 bytes: 1; padding
    "5dd70a20000000000000000003000000", // header CRC, no payload, kind 3 (a vouch)
    "80000000000000000100000000000000", // watermark 128, edit 1
];
/// The same of version 2, and an edit that makes a family, and one that gives it other options.
const GOLDEN_2: [&str; 22] = [
    "6c736d206d616e0a0200000000000000", // "lsm man\n", version 2, flags 0
    "01000000000000007ada000000000000",
    "00000000000000000000000000000000",
    "000000000000000000000000adcc5351", // zero, CRC32C
    "8b60aafbc00dbc2d1a00000001000000", // edit 1, and its vouch: as in version 1
    "00000000000000000100000000000000",
    "07080000000100000000000000080800",
    "00000100000000000000000000000000",
    "5dd70a20000000000000000003000000",
    "80000000000000000100000000000000",
    "f23f0a580cd9dd422600000001000000", // header CRC, payload CRC, 38 bytes, kind 1
    "80000000000000000200000000000000", // watermark 128, edit 2
    "0d140000000100000005000000757365", // field 13, 20 bytes: id 1, 5 bytes: "use
    "727303000000783d310f080000000200", // rs", 3 bytes: "x=1"; field 15, 8 bytes:
    "0000000000000000932624b500000000", // 2; padding; a vouch
    "0000000003000000e800000000000000",
    "02000000000000004794c7d38d007e3f", // watermark and edit of it; edit 3:
    "1000000001000000e800000000000000", // 16 bytes, kind 1, watermark 232
    "0300000000000000120b000000010000", // edit 3; field 18, 11 bytes: id 1
    "0003000000783d3216a3b95200000000", // 3 bytes: "x=2"; a vouch
    "00000000030000003801000000000000",
    "03000000000000000000000000000000",
];
const GOLDEN_CURRENT: &str = "MANIFEST-000001\nbytes 128\ncrc32c c243ac72\n";

fn disk() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new(DIR)).unwrap();
    fs
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

fn first_edit() -> Edit {
    Edit { next_file_number: Some(1), next_run_id: Some(1), ..Edit::default() }
}

fn create(fs: Arc<dyn Fs>) -> Result<Manifest> {
    Manifest::create(fs, Path::new(DIR), DATABASE, &first_edit())
}

/// Step `n` of a history in which each flush replaces a log by a table.
fn step(n: u64) -> Edit {
    let added = AddedTable { family: 0, level: 0, run: n, table: table(n * 2, "a", "z") };
    let family = AddedFamily { id: 0, name: "default".into(), options: String::new() };
    Edit {
        added_families: if n == 1 { vec![family] } else { vec![] },
        next_family_id: Some(1),
        added: vec![added],
        removed: if n > 3 { vec![(n - 3) * 2] } else { vec![] },
        added_logs: vec![n * 2 + 1],
        dropped_logs: if n > 1 { vec![n * 2 - 1] } else { vec![] },
        next_file_number: Some(n * 2 + 2),
        next_run_id: Some(n + 1),
        flushed_seqno: Some(n * 100),
        changed_families: vec![ChangedFamily { id: 0, options: format!("step={n}") }],
        reason: "flush".into(),
        ..Edit::default()
    }
}

/// The state after `steps` steps.
fn expected(steps: u64) -> State {
    let mut state = State::default();
    state.apply(&first_edit()).unwrap();
    (1..=steps).for_each(|n| state.apply(&step(n)).unwrap());
    state
}

fn history(fs: &MemFs, steps: u64) -> Manifest {
    let mut manifest = create(shared(fs)).unwrap();
    (1..=steps).for_each(|n| manifest.append(&step(n)).unwrap());
    manifest
}

fn open(fs: &MemFs) -> Result<State> {
    Manifest::open(shared(fs), Path::new(DIR)).map(|(_, state)| state)
}

#[test]
fn a_history_reads_back_and_goes_on() {
    let fs = disk();
    assert_eq!(Manifest::presence(&fs, Path::new(DIR)).unwrap(), Presence::Absent);
    drop(history(&fs, 5));
    for n in 6..20 {
        let (mut manifest, state) = Manifest::open(shared(&fs), Path::new(DIR)).unwrap();
        assert_eq!(state, expected(n - 1));
        assert_eq!((manifest.database(), manifest.number()), (DATABASE, n - 4));
        manifest.append(&step(n)).unwrap();
        assert_eq!(*manifest.state(), expected(n));
    }
    assert_eq!(Manifest::presence(&fs, Path::new(DIR)).unwrap(), Presence::Present);
    let contents = Manifest::read(&fs, Path::new(DIR)).unwrap();
    assert_eq!((contents.edit, contents.state), (34, expected(19)), "an opening is an edit too");
}

#[test]
#[expect(clippy::big_endian_bytes, reason = "prints bytes in their order")]
fn the_bytes_are_pinned() {
    let fs = disk();
    let mut manifest = create(shared(&fs)).unwrap();
    let family = AddedFamily { id: 1, name: "users".into(), options: "x=1".into() };
    let made = Edit { added_families: vec![family], next_family_id: Some(2), ..Edit::default() };
    manifest.append(&made).unwrap();
    let changed = ChangedFamily { id: 1, options: "x=2".into() };
    manifest.append(&Edit { changed_families: vec![changed], ..Edit::default() }).unwrap();
    drop(manifest);
    let bytes = fs.contents(&manifest_path(Path::new(DIR), 1)).unwrap();
    let number = |line: &[u8]| {
        let mut full = line.to_vec();
        full.resize(16, 0);
        u128::from_be_bytes(*full.first_chunk().unwrap())
    };
    let hex: Vec<String> = bytes.chunks(16).map(|line| format!("{:032x}", number(line))).collect();
    assert_eq!(hex.join("\n"), GOLDEN_2.join("\n"));
    let current = fs.contents(&current_path(Path::new(DIR))).unwrap();
    assert_eq!(String::from_utf8(current).unwrap(), GOLDEN_CURRENT);
}

/// A disk with a manifest of these bytes and a pointer to its first 128.
fn disk_with(manifest: &[u8]) -> MemFs {
    let fs = disk();
    let put = |path: &Path, bytes: &[u8]| {
        let mut file = fs.create(path).unwrap();
        file.write_all(bytes).unwrap();
        file.sync().unwrap();
    };
    put(&manifest_path(Path::new(DIR), 1), manifest);
    put(&current_path(Path::new(DIR)), GOLDEN_CURRENT.as_bytes());
    fs
}

fn bytes_of(golden: &[&str]) -> Vec<u8> {
    let hex = golden.concat();
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn version_1_is_read_and_goes_on_as_version_2() {
    let fs = disk_with(&bytes_of(&GOLDEN_1));
    assert_eq!(Manifest::read(&fs, Path::new(DIR)).unwrap().state, expected(0));
    let (mut manifest, state) = Manifest::open(shared(&fs), Path::new(DIR)).unwrap();
    assert_eq!(state, expected(0));
    manifest.append(&step(1)).unwrap();
    let bytes = fs.contents(&manifest_path(Path::new(DIR), 2)).unwrap();
    assert_eq!(bytes[8..12], [2, 0, 0, 0], "the new file's version");
    drop(manifest);
    assert_eq!(open(&fs).unwrap(), expected(1));
}

#[test]
fn other_options_in_a_manifest_of_version_1_are_refused() {
    let of_version = |version: u32| {
        let mut bytes = bytes_of(&GOLDEN_2);
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..FILE_HEADER_BYTES - 4]);
        bytes[FILE_HEADER_BYTES - 4..FILE_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        disk_with(&bytes)
    };
    let error = open(&of_version(1)).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("field 18"), "{error}");
    for version in [0, 3, u32::MAX] {
        let error = open(&of_version(version)).unwrap_err();
        let later = version > 2;
        assert_eq!(matches!(error, Error::Unsupported { .. }), later, "{version}: {error}");
    }
}

#[test]
fn every_flipped_byte_is_damage_or_makes_no_difference() {
    let fs = disk();
    drop(history(&fs, 4));
    let path = manifest_path(Path::new(DIR), 1);
    let bytes = fs.file_bytes(&path).unwrap();
    for offset in 0..bytes {
        for mask in [1, 0x80, 0xff] {
            let copy = fs.crash(0, CrashMode::KILL);
            copy.flip(&path, offset, mask).unwrap();
            match open(&copy) {
                Ok(state) => {
                    assert!(offset >= bytes - 32, "only the last vouch may go; byte {offset}");
                    assert_eq!(state, expected(4));
                }
                Err(Error::Corruption { path: p, offset: at, expected }) => {
                    assert!(p == path && at <= offset && !expected.is_empty());
                }
                Err(Error::Unsupported { .. }) => assert!((8..12).contains(&offset)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn every_cut_leaves_whole_edits_or_is_damage() {
    let fs = disk();
    drop(history(&fs, 4));
    let path = manifest_path(Path::new(DIR), 1);
    let bytes = fs.file_bytes(&path).unwrap();
    let mut seen = Vec::new();
    for length in 0..=bytes {
        let copy = fs.crash(0, CrashMode::KILL);
        copy.cut(&path, length).unwrap();
        match Manifest::open(shared(&copy), Path::new(DIR)) {
            Ok((mut manifest, state)) => {
                let steps = manifest.edit_steps();
                assert_eq!(state, expected(steps));
                manifest.append(&step(steps + 1)).unwrap(); // nothing is left in its way
                assert_eq!(open(&copy).unwrap(), expected(steps + 1));
                seen.push(steps);
            }
            Err(Error::Corruption { path: p, .. }) => assert_eq!(p, path),
            Err(error) => panic!("{error}"),
        }
    }
    seen.dedup();
    assert_eq!(seen, [0, 1, 2, 3, 4], "but never less than CURRENT promises");
}

#[test]
fn every_flipped_or_cut_byte_of_the_pointer_is_damage() {
    let fs = disk();
    drop(history(&fs, 1));
    let path = current_path(Path::new(DIR));
    for offset in 0..fs.file_bytes(&path).unwrap() {
        for mask in [1, 0x20, 0x80] {
            let copy = fs.crash(0, CrashMode::KILL);
            copy.flip(&path, offset, mask).unwrap();
            let error = open(&copy).unwrap_err();
            assert!(matches!(&error, Error::Corruption { path: p, .. } if *p == path), "{error}");
        }
        let copy = fs.crash(0, CrashMode::KILL);
        copy.cut(&path, offset).unwrap();
        assert!(matches!(open(&copy), Err(Error::Corruption { .. })));
    }
    let copy = fs.crash(0, CrashMode::KILL);
    copy.remove(&manifest_path(Path::new(DIR), 1)).unwrap();
    let error = open(&copy).unwrap_err();
    assert!(error.to_string().contains("MANIFEST-000001"), "{error}");
}

#[test]
fn a_folder_without_pointer_is_empty_only_if_nothing_was_stored() {
    let presence = |fs: &MemFs| Manifest::presence(fs, Path::new(DIR));
    let fs = disk();
    assert_eq!(presence(&MemFs::new()).unwrap(), Presence::Absent);
    drop(history(&fs, 0));
    fs.remove(&current_path(Path::new(DIR))).unwrap();
    assert_eq!(presence(&fs).unwrap(), Presence::Unfinished);
    drop(create(shared(&fs)).unwrap());
    fs.remove(&current_path(Path::new(DIR))).unwrap();
    fs.create(&Path::new(DIR).join("000002.log")).unwrap();
    assert!(matches!(presence(&fs), Err(Error::Corruption { .. })), "a log, but no manifest");
    let fs = disk();
    drop(history(&fs, 1));
    fs.remove(&current_path(Path::new(DIR))).unwrap();
    assert!(matches!(presence(&fs), Err(Error::Corruption { .. })), "tables, but no pointer");
}

#[test]
fn a_long_history_is_rewritten() {
    let fs = disk();
    let mut manifest = create(shared(&fs)).unwrap();
    let long = "because ".repeat(20_000);
    let mut longest = 0;
    for n in 1..=30 {
        manifest.append(&Edit { reason: long.clone(), ..step(n) }).unwrap();
        longest = longest.max(manifest.bytes());
    }
    assert!(manifest.number() > 3 && longest < 2 << 20, "about 4.8 MB of edits");
    let names: Vec<String> =
        fs.files().iter().map(|path| path.file_name().unwrap().display().to_string()).collect();
    assert_eq!(names, ["CURRENT".to_owned(), format!("MANIFEST-{:06}", manifest.number())]);
    drop(manifest);
    assert_eq!(open(&fs).unwrap(), expected(30));
}

#[test]
fn a_failed_append_is_final_and_its_edit_in_doubt() {
    for call in [Call::Write, Call::Sync] {
        for effect in [Effect::Nothing, Effect::Half, Effect::Done] {
            let mem = disk();
            let fs = FaultFs::new(Arc::new(mem.clone()));
            let mut manifest = create(Arc::new(fs.clone())).unwrap();
            manifest.append(&step(1)).unwrap();
            fs.add(Fault { effect, ..Fault::next(call) });
            assert!(matches!(manifest.append(&step(2)), Err(Error::Io { .. })));
            assert!(matches!(manifest.append(&step(2)), Err(Error::WritesStopped { .. })));
            assert_eq!(*manifest.state(), expected(1));
            drop(manifest);
            let state = open(&mem).unwrap();
            assert!(state == expected(1) || state == expected(2));
        }
    }
}

/// The faults that a full disk can be, at one call.
fn full(after: u64, effect: Effect) -> Fault {
    let calls = vec![Call::Write, Call::Create];
    let error = io::ErrorKind::StorageFull;
    Fault { calls, after, times: 1, error, effect }
}

#[test]
fn an_edit_without_space_never_was_and_the_next_one_fits() {
    for effect in [Effect::Nothing, Effect::Half, Effect::Done] {
        for after in 0..2 {
            let mem = disk();
            let fs = FaultFs::new(Arc::new(mem.clone()));
            let mut manifest = create(Arc::new(fs.clone())).unwrap();
            manifest.append(&step(1)).unwrap();
            fs.add(full(after, effect));
            let refused = manifest.append(&step(2)).unwrap_err();
            assert!(refused.is_out_of_space() && manifest.takes_edits(), "{refused}");
            assert_eq!(*manifest.state(), expected(1));
            for mode in CrashMode::POWER_CUTS.into_iter().chain([CrashMode::KILL]) {
                for seed in 0..4 {
                    assert_eq!(open(&mem.crash(seed, mode)).unwrap(), expected(1), "{mode:?}");
                }
            }
            // Another one may come in its place.
            let other = Edit { reason: "longer ".repeat(30), ..step(2) };
            manifest.append(&other).unwrap();
            manifest.append(&step(3)).unwrap();
            for mode in CrashMode::POWER_CUTS {
                assert_eq!(open(&mem.crash(7, mode)).unwrap(), expected(3), "{mode:?}");
            }
            drop(manifest);
            assert_eq!(open(&mem).unwrap(), expected(3));
        }
    }
}

/// No space for an edit, a vouch or a new file, at any call: the edit is refused or safe, and the
/// same one goes well after that.
#[test]
fn a_history_goes_on_wherever_space_was_lacking() {
    let run = |fault: Option<Fault>| {
        let mem = disk();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        let mut manifest = create(Arc::new(fs.clone())).unwrap();
        manifest.roll_bytes = 1500;
        let before = fs.calls_of(Call::Write) + fs.calls_of(Call::Create);
        if let Some(fault) = fault {
            fs.add(fault);
        }
        let mut refused = 0;
        for n in 1..=20 {
            let edit = Edit { reason: "because ".repeat(50), ..step(n) };
            while let Err(error) = manifest.append(&edit) {
                assert!(error.is_out_of_space(), "{error}");
                assert_eq!(*manifest.state(), expected(n - 1));
                refused += 1;
            }
            assert_eq!(*manifest.state(), expected(n));
        }
        assert!(manifest.number() > 2, "the history was rewritten");
        let names = mem.files().len();
        assert_eq!(names, 2, "CURRENT and one manifest: {:?}", mem.files());
        for mode in CrashMode::POWER_CUTS {
            assert_eq!(open(&mem.crash(1, mode)).unwrap(), expected(20));
        }
        (fs.calls_of(Call::Write) + fs.calls_of(Call::Create) - before, refused)
    };
    let (calls, none) = run(None);
    assert!(calls > 60 && none == 0, "{calls}");
    let mut refused = 0;
    for after in 0..calls {
        for effect in [Effect::Nothing, Effect::Half, Effect::Done] {
            for times in [1, 5] {
                refused += run(Some(Fault { times, ..full(after, effect) })).1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn space_is_kept_for_edits_on_a_full_disk() {
    let fs = disk();
    let mut manifest = history(&fs, 3);
    fs.set_capacity(Some(fs.used_bytes()));
    for n in 4..40 {
        manifest.append(&step(n)).unwrap();
    }
    let mut n = 40;
    let refused = loop {
        match manifest.append(&step(n)) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_out_of_space() && manifest.bytes() > RESERVE_BYTES / 2, "{refused}");
    fs.set_capacity(None);
    manifest.append(&step(n)).unwrap();
    drop(manifest);
    assert_eq!(open(&fs).unwrap(), expected(n));
}

#[test]
#[should_panic(expected = "an edit must fit the state")]
fn an_edit_that_contradicts_the_state_is_a_bug() {
    let mut manifest = create(shared(&disk())).unwrap();
    manifest.append(&Edit { removed: vec![7], ..Edit::default() }).unwrap();
}

/// Creates, appends and rewrites until the power goes; returns how many steps were acknowledged.
fn live(fs: &FaultFs, steps: u64) -> u64 {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let opened = match Manifest::presence(&*fs, Path::new(DIR)) {
        Ok(Presence::Present) => Manifest::open(fs, Path::new(DIR)).map(|(manifest, _)| manifest),
        Ok(_) => create(fs),
        Err(error) => Err(error),
    };
    let Ok(mut manifest) = opened else { return 0 };
    let done = manifest.edit_steps();
    manifest.roll_bytes = 1500; // and eight times the state: about every tenth step
    for n in done + 1..=steps {
        let reason = "because ".repeat(50);
        if manifest.append(&Edit { reason, ..step(n) }).is_err() {
            return n - 1;
        }
    }
    assert!(steps == 0 || manifest.number() > 2, "the history was rewritten");
    steps
}

impl Manifest {
    /// Steps of the test history, counted by what they flushed.
    fn edit_steps(&self) -> u64 {
        self.state.flushed_seqno / 100
    }
}

#[test]
fn a_power_cut_at_any_call_loses_no_acknowledged_edit() {
    let calls = {
        let fs = FaultFs::new(shared(&disk()));
        assert_eq!(live(&fs, 20), 20);
        fs.calls()
    };
    assert!(calls > 100);
    for at in 0..calls {
        for mode in CrashMode::POWER_CUTS.into_iter().chain([CrashMode::KILL]) {
            let (first, acknowledged) = cut(&disk(), at, mode, 20);
            // And once more, while it is being opened.
            for again in 0..4 {
                let (second, more) = cut(&first, again, mode, 0);
                assert!(more == 0 || more >= acknowledged, "call {at}, {mode:?}");
                check(&second, acknowledged, (at, mode));
            }
            check(&first, acknowledged, (at, mode));
        }
    }
}

/// The disk after a cut at call `at`, and the steps acknowledged before it.
fn cut(disk: &MemFs, at: u64, mode: CrashMode, steps: u64) -> (MemFs, u64) {
    let disk = disk.crash(0, CrashMode::KILL);
    let fs = FaultFs::new(shared(&disk));
    let left: Arc<Mutex<Option<MemFs>>> = Arc::default();
    let (slot, image) = (Arc::clone(&left), disk.clone());
    fs.at_call(at, move || *slot.lock() = Some(image.crash(at, mode)));
    let acknowledged = live(&fs, steps);
    let left = left.lock().take();
    (left.unwrap_or_else(|| disk.crash(at, mode)), acknowledged)
}

fn check(disk: &MemFs, acknowledged: u64, context: (u64, CrashMode)) {
    let fs = FaultFs::new(shared(disk));
    let found = live(&fs, 0); // recovers, or creates
    assert_eq!(found, 0);
    let state = open(disk).unwrap_or_else(|error| panic!("{context:?}: {error}"));
    let steps = state.flushed_seqno / 100;
    assert!(steps >= acknowledged, "{context:?}: {steps} of {acknowledged}");
    assert_eq!(state, expected(steps), "{context:?}");
}

#[test]
fn hostile_bytes_give_errors_and_no_panic() {
    let fs = disk();
    drop(history(&fs, 4));
    let path = manifest_path(Path::new(DIR), 1);
    let bytes = fs.file_bytes(&path).unwrap();
    let mut random = Random::new(5);
    for _ in 0..3000 {
        let copy = fs.crash(0, CrashMode::KILL);
        for _ in 0..=random.below(6) {
            let at = random.below(usize::try_from(bytes).unwrap()) as u64;
            copy.flip(&path, at, random.next().to_le_bytes()[0]).unwrap();
        }
        if let Ok(state) = open(&copy) {
            assert!((0..=4).any(|steps| state == expected(steps)));
        }
    }
}
