//! Any bytes as each part of a table: data blocks, mixed ones, compressed bodies with any
//! dictionary, indexes, properties.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sstable::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[which, low, high, size_low, size_high], rest)) = bytes.split_first_chunk::<5>()
    else {
        return;
    };
    let entries = u16::from_le_bytes([low, high]);
    match which % 4 {
        0 => {
            let (key, body) = rest.split_at(rest.len().min(usize::from(size_low) % 16));
            fuzzing::data_block(body, entries, key);
        }
        1 => {
            let size = u32::from(u16::from_le_bytes([size_low, size_high]));
            fuzzing::codec(rest, which / 4, entries, size);
        }
        2 => fuzzing::mixed(rest, entries),
        _ => fuzzing::metadata(rest),
    }
});
