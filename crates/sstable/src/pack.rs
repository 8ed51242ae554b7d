//! Bodies in, bodies as they are to be stored out: on the writer's own thread or on several.
//!
//! What comes out is the same either way, and in the order of what went in.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::block::Form;
use crate::block::mixed::mix;
use crate::codec::{self, Chooser, Codec, Coding, Compressor};
use crate::format::DECOMPRESSED_BYTES_MAX;
use crate::options::WriteOptions;

/// Blocks a thread may have waiting, its own included.
const WAITING_PER_THREAD: usize = 4;

/// The body of a data block before compression.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) body: Vec<u8>,
    pub(crate) entries: u16,
    pub(crate) coding: Coding,
    /// How it is to be handed to the codec; `body` itself is never mixed.
    pub(crate) form: Form,
}

/// The body of a data block as it is to be stored.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) body: Vec<u8>,
    pub(crate) entries: u16,
    pub(crate) codec: Codec,
    pub(crate) form: Form,
    /// Bytes of what was handed to the codec.
    pub(crate) original_bytes: usize,
    /// Bytes of the body that came in.
    pub(crate) raw_bytes: usize,
    /// Memory to use again.
    pub(crate) spare: Vec<u8>,
}

/// When compression is worth it.
#[derive(Clone, Copy, Debug)]
struct Rules {
    ratio_min: f64,
    bytes_min: usize,
    chooser: Chooser,
}

/// Compresses one body after another.
#[derive(Debug)]
struct Packer {
    rules: Rules,
    compressor: Compressor,
    packed: Vec<u8>,
    columns: Vec<u8>,
    mixed: Vec<u8>,
}

impl Packer {
    fn new(options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let rules = Rules {
            ratio_min: options.ratio_min,
            bytes_min: options.compress_bytes_min,
            chooser: options.chooser,
        };
        let compressor = Compressor::new(dictionary);
        let (packed, columns, mixed) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, compressor, packed, columns, mixed }
    }

    fn pack(&mut self, raw: Raw) -> Ready {
        let raw_bytes = raw.body.len();
        self.packed.clear();
        let (codec, form) = self.choose(&raw);
        let Raw { body, entries, .. } = raw;
        let pays = raw_bytes as f64 >= self.packed.len() as f64 * self.rules.ratio_min;
        if codec == Codec::None || !pays {
            let (codec, form, spare) = (Codec::None, Form::Apart, Vec::new());
            return Ready {
                body,
                entries,
                codec,
                form,
                original_bytes: raw_bytes,
                raw_bytes,
                spare,
            };
        }
        let original_bytes = match form {
            Form::Apart => raw_bytes,
            Form::Mixed => self.mixed.len(),
        };
        let packed = std::mem::take(&mut self.packed);
        Ready { body: packed, entries, codec, form, original_bytes, raw_bytes, spare: body }
    }

    /// Compresses into `self.packed`; returns with what, and what of.
    fn choose(&mut self, raw: &Raw) -> (Codec, Form) {
        let Raw { body, entries, coding, form } = raw;
        let (entries, coding, form) = (*entries, *coding, *form);
        let small = body.len() < self.rules.bytes_min;
        let by_data = self.rules.chooser == Chooser::ByData;
        let plain = coding.codec == Codec::None;
        if plain && !by_data || small || body.len() > DECOMPRESSED_BYTES_MAX {
            return (Codec::None, Form::Apart);
        }
        let entries = usize::from(entries);
        let hopeless = by_data && (plain || codec::looks_random(body));
        if !hopeless {
            let source = match form {
                Form::Apart => body,
                Form::Mixed => {
                    mix(body, entries, &mut self.mixed).expect("the builder's own body");
                    &self.mixed
                }
            };
            self.compressor.compress(coding, source, entries, &mut self.packed);
        }
        if !by_data {
            return (coding.codec, form);
        }
        self.columns.clear();
        self.compressor.compress(Coding::new(Codec::Delta), body, entries, &mut self.columns);
        if hopeless || self.columns.len() <= self.packed.len() {
            std::mem::swap(&mut self.packed, &mut self.columns);
            return (Codec::Delta, Form::Apart);
        }
        (coding.codec, form)
    }
}

/// Where bodies are compressed.
#[derive(Debug)]
pub(crate) struct Pipeline {
    place: Place,
    /// Body bytes that went in and did not come out yet.
    waiting_bytes: usize,
}

#[derive(Debug)]
enum Place {
    Here(Box<Packer>),
    Threads(Pool),
}

impl Pipeline {
    /// Starts the threads that the options ask for.
    pub(crate) fn new(options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let place = match options.compression_threads {
            0 => Place::Here(Box::new(Packer::new(options, dictionary))),
            threads => Place::Threads(Pool::new(threads, options, dictionary)),
        };
        Self { place, waiting_bytes: 0 }
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes a body in; appends what is ready to `out`, in order.
    pub(crate) fn submit(&mut self, raw: Raw, out: &mut Vec<Ready>) {
        match &mut self.place {
            Place::Here(packer) => out.push(packer.pack(raw)),
            Place::Threads(pool) => {
                self.waiting_bytes += raw.body.len();
                pool.submit(raw, out);
                self.waiting_bytes -= out.iter().map(|ready| ready.raw_bytes).sum::<usize>();
            }
        }
    }

    /// Appends all that is still under way to `out`, in order.
    pub(crate) fn drain(&mut self, out: &mut Vec<Ready>) {
        if let Place::Threads(pool) = &mut self.place {
            pool.drain(out);
            self.waiting_bytes = 0;
        }
    }

    /// Takes back memory to compress the next body into.
    pub(crate) fn recycle(&mut self, memory: Vec<u8>) {
        if let Place::Here(packer) = &mut self.place
            && packer.packed.capacity() == 0
        {
            packer.packed = memory;
        }
    }
}

type Numbered<T> = (u64, T);

/// Threads that compress; they end when the pool is dropped.
#[derive(Debug)]
struct Pool {
    jobs: Option<Sender<Numbered<Raw>>>,
    results: Receiver<Numbered<Ready>>,
    threads: Vec<JoinHandle<()>>,
    /// Number of the next body in and of the next one out.
    next_in: u64,
    next_out: u64,
    /// What came out before its turn.
    early: BTreeMap<u64, Ready>,
}

impl Pool {
    fn new(threads: usize, options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let (jobs, job_queue) = mpsc::channel::<Numbered<Raw>>();
        let (result_queue, results) = mpsc::channel();
        let job_queue = Arc::new(Mutex::new(job_queue));
        let work = |_| {
            let (jobs, results) = (Arc::clone(&job_queue), Sender::clone(&result_queue));
            let packer = Packer::new(options, dictionary);
            std::thread::spawn(move || pack_all(&jobs, packer, &results))
        };
        let threads = (0..threads).map(work).collect();
        let early = BTreeMap::new();
        Self { jobs: Some(jobs), results, threads, next_in: 0, next_out: 0, early }
    }

    fn submit(&mut self, raw: Raw, out: &mut Vec<Ready>) {
        let jobs = self.jobs.as_ref().expect("open until dropped");
        jobs.send((self.next_in, raw)).expect("compression threads outlive their queue");
        self.next_in += 1;
        while let Ok((number, ready)) = self.results.try_recv() {
            self.early.insert(number, ready);
        }
        while self.waiting() > self.threads.len() * WAITING_PER_THREAD {
            self.receive();
        }
        self.release(out);
    }

    /// Bodies under way.
    fn waiting(&self) -> usize {
        let out = self.next_in - self.next_out;
        usize::try_from(out).unwrap_or(usize::MAX) - self.early.len()
    }

    fn receive(&mut self) {
        let (number, ready) = self.results.recv().expect("compression threads do not panic");
        self.early.insert(number, ready);
    }

    fn release(&mut self, out: &mut Vec<Ready>) {
        while let Some(ready) = self.early.remove(&self.next_out) {
            out.push(ready);
            self.next_out += 1;
        }
    }

    fn drain(&mut self, out: &mut Vec<Ready>) {
        while self.waiting() > 0 {
            self.receive();
        }
        self.release(out);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

fn pack_all(
    jobs: &Mutex<Receiver<Numbered<Raw>>>,
    mut packer: Packer,
    results: &Sender<Numbered<Ready>>,
) {
    while let Some((number, raw)) = next_job(jobs) {
        if results.send((number, packer.pack(raw))).is_err() {
            return;
        }
    }
}

fn next_job(jobs: &Mutex<Receiver<Numbered<Raw>>>) -> Option<Numbered<Raw>> {
    jobs.lock().ok()?.recv().ok()
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn pack(body: &[u8], options: &WriteOptions) -> Ready {
        let (coding, form) = (Coding::new(Codec::Lz4), Form::Apart);
        let raw = Raw { body: body.to_vec(), entries: 1, coding, form };
        Packer::new(options, &Arc::default()).pack(raw)
    }

    fn packed_bytes(body: &[u8]) -> usize {
        let mut packed = Vec::new();
        Compressor::new(&Arc::default()).compress(Coding::new(Codec::Lz4), body, 1, &mut packed);
        packed.len()
    }

    /// A body of 6,000 bytes that LZ4 makes `bytes` of: noise, then zeros.
    fn body_that_packs_to(bytes: usize) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(bytes as u64);
        let noise: Vec<u8> = (0..6000).map(|_| random.random()).collect();
        let cut = |noisy: usize| {
            let mut body = noise.clone();
            body[noisy..].fill(0);
            body
        };
        (bytes - 200..bytes).map(cut).find(|body| packed_bytes(body) == bytes).expect("some cut")
    }

    #[test]
    fn a_block_is_compressed_from_a_gain_of_1_2_on() {
        for chooser in [Chooser::Fixed, Chooser::ByData] {
            let options = WriteOptions { chooser, ..WriteOptions::default() };
            // 6,000 / 5,000 is 1.2 to the byte.
            for (bytes, pays) in [(4999, true), (5000, true), (5001, false)] {
                let body = body_that_packs_to(bytes);
                assert!(!codec::looks_random(&body), "it would not be tried");
                let ready = pack(&body, &options);
                assert_eq!(ready.original_bytes, 6000);
                let expected = if pays { (Codec::Lz4, bytes) } else { (Codec::None, 6000) };
                assert_eq!((ready.codec, ready.body.len()), expected, "{chooser:?}");
                assert!(pays || ready.body == body, "stored as it is");
            }
        }
        let all = WriteOptions { ratio_min: 1.0, ..WriteOptions::default() };
        assert_eq!(pack(&body_that_packs_to(5001), &all).codec, Codec::Lz4);
    }

    #[test]
    fn a_block_is_compressed_from_512_bytes_on() {
        for chooser in [Chooser::Fixed, Chooser::ByData] {
            let options = WriteOptions { chooser, ..WriteOptions::default() };
            assert_eq!(pack(&[7; 511], &options).codec, Codec::None, "{chooser:?}");
            assert_eq!(pack(&[7; 511], &options).body, [7; 511]);
            assert_ne!(pack(&[7; 512], &options).codec, Codec::None, "{chooser:?}");
            let from = |bytes| WriteOptions { compress_bytes_min: bytes, ..options.clone() };
            assert_eq!(pack(&[7; 512], &from(513)).codec, Codec::None, "{chooser:?}");
            assert_ne!(pack(&[7; 100], &from(100)).codec, Codec::None, "{chooser:?}");
        }
    }
}
