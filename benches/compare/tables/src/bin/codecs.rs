//! What each codec does to a table: ratio, build and scan speed, memory while writing.
//!
//! `cargo run --release -p tables --bin codecs -- DIR` reads DIR/*.tsv (`scripts/realdata.sh`) and
//! takes one record of eight, in runs of a thousand. Prints the table in docs/reproduction.md;
//! speeds are by processor time.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use sstable::{
    Codec, Cursor, Expect, Kind, ReadOptions, Table, TableCursor, TableWriter, Trailer,
    WriteOptions,
};
use tables::{Pairs, cpu_time, load};

/// Counts bytes and forgets them.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sample(pairs: Pairs) -> Pairs {
    pairs.chunks(8000).flat_map(|run| run[..run.len().min(1000)].to_vec()).collect()
}

/// Bytes that malloc has handed out.
fn heap_bytes() -> usize {
    #[expect(unsafe_code, reason = "a foreign call")]
    // SAFETY: takes nothing and only reads the allocator's counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Writes a table, returns its seconds and the most memory seen on the way.
fn write<W: Write>(sink: W, pairs: &Pairs, options: &WriteOptions) -> (W, f64, usize) {
    let before = heap_bytes();
    let mut most = 0;
    let start = cpu_time();
    let mut writer = TableWriter::new(sink, "codecs", 1, options).expect("valid options");
    for (rank, (key, value)) in pairs.iter().enumerate() {
        writer.add(key, Trailer::new(rank as u64, Kind::Put), value).expect("memory");
        if rank % 1024 == 0 {
            most = most.max(heap_bytes().saturating_sub(before));
        }
    }
    let (_, sink) = writer.finish().expect("memory");
    (sink, (cpu_time() - start).as_secs_f64(), most)
}

fn scan(table: &Arc<Table>) -> f64 {
    let start = cpu_time();
    let options = ReadOptions { fill_cache: false, ..ReadOptions::default() };
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    cursor.seek_to_first().expect("memory");
    while cursor.valid() {
        std::hint::black_box(cursor.value());
        cursor.next().expect("memory");
    }
    (cpu_time() - start).as_secs_f64()
}

fn main() {
    let dir = std::env::args().nth(1).expect("usage: codecs DIR");
    let sets = ["wordnet", "unihan", "packages"]
        .map(|name| sample(load(&Path::new(&dir).join(format!("{name}.tsv")))));
    let cases = [
        (Codec::None, 0),
        (Codec::Lz4, 0),
        (Codec::Snappy, 0),
        (Codec::Zstd, 1),
        (Codec::Zstd, 3),
        (Codec::Zstd, 10),
        (Codec::Zstd, 22),
        (Codec::Dictionary, 3),
        (Codec::Lzma, 1),
        (Codec::Lzma, 9),
    ];
    println!("| codec | ratio | build MB/s | scan MB/s | memory while writing |");
    println!("|---|---|---|---|---|");
    for (codec, codec_level) in cases {
        let options =
            WriteOptions { codec, codec_level, block_bytes: 16_384, ..WriteOptions::default() };
        let (mut raw, mut stored, mut build, mut read, mut memory) = (0, 0, 0.0, 0.0, 0);
        for pairs in &sets {
            raw += pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            let (_, seconds, most) = write(Count(0), pairs, &options);
            build += seconds;
            memory = memory.max(most);
            let (bytes, ..) = write(Vec::new(), pairs, &options);
            let table = Table::open(Arc::new(bytes), "codecs", Expect::default(), None);
            let table = Arc::new(table.expect("just written"));
            stored += table.meta().stored_bytes;
            read += (0..3).map(|_| scan(&table)).fold(f64::MAX, f64::min);
        }
        let mb = raw as f64 / 1e6;
        println!(
            "| {} {codec_level} | {:.2} | {:.0} | {:.0} | {} KB |",
            codec.name(),
            raw as f64 / stored as f64,
            mb / build,
            mb / read,
            memory >> 10,
        );
    }
}
