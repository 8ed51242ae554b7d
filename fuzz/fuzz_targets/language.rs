//! Any bytes as a client's input: every line is answered or refused, and nothing panics.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lsm::clock::ManualClock;
use lsm::fs::MemFs;
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Env, Options};
use server::{Framing, SessionOptions, Width};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, input)) = bytes.split_first() else { return };
    let width = [Width::Bits32, Width::Bits64][usize::from(choice & 1)];
    for line in input.split(|byte| *byte == b'\n') {
        drop(server::parse(line, width));
    }
    let env = Env {
        fs: Arc::new(MemFs::new()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::new(InlineScheduler::new(1)),
    };
    let options = Options { write_buffer_bytes: 4096, ..Options::default() };
    let db = Db::open_with("/db", options, env).expect("open");
    let framings = [Framing::Line, Framing::Silent, Framing::CrlfCrlf, Framing::Eom];
    let framing = framings[usize::from(choice >> 1) % framings.len()];
    let session = SessionOptions { width, framing, ..SessionOptions::default() };
    let mut output = Vec::new();
    let report = server::run(&db, &session, input, &mut output).expect("memory does not fail");
    assert!(report.failures <= report.lines);
});
