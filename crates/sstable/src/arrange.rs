//! Whether the blocks of a table are handed to their codec with each value behind its key.
//!
//! Which of the two is smaller depends on the data and on the codec, so it is tried: of the blocks
//! of a table that it may help, the first and every 64th after it are compressed both ways, and
//! what came out smaller in sum so far holds until the next trial. It costs a thirty-second of the
//! time that compressing takes, and nothing where entries are small: there a value has no room to
//! repeat its key, and setting its entry apart would cost a reader more than it saves.
//!
//! Equal blocks in equal order give equal answers, whoever compresses them.

use std::sync::Arc;

use crate::block::Form;
use crate::block::mixed::mix;
use crate::codec::{Coding, Compressor};
use crate::format::DECOMPRESSED_BYTES_MAX;

/// Eligible blocks from one trial to the next.
const TRIAL_EVERY: u64 = 64;
/// Bytes of a block for each of its entries below which it is not tried.
const ENTRY_BYTES_MIN: usize = 128;
/// What has to be saved, in thousandths: less is noise.
const GAIN_MIN: u64 = 4;

/// What was learned of a table's blocks so far.
#[derive(Debug, Default)]
pub(crate) struct Arrangement {
    dictionary: Arc<[u8]>,
    /// Made at the first trial.
    compressor: Option<Box<Compressor>>,
    blocks: u64,
    apart_bytes: u64,
    mixed_bytes: u64,
    mixed: Vec<u8>,
    packed: Vec<u8>,
}

impl Arrangement {
    /// Starts to learn about blocks that are compressed with this dictionary (empty: none).
    pub(crate) fn new(dictionary: &Arc<[u8]>) -> Self {
        Self { dictionary: Arc::clone(dictionary), ..Self::default() }
    }

    /// Returns how the block with this body is to be handed to its codec.
    pub(crate) fn form(&mut self, body: &[u8], entries: u16, coding: Coding) -> Form {
        let count = usize::from(entries);
        let eligible = coding.codec.finds_repetitions()
            && count > 1
            && body.len() / count >= ENTRY_BYTES_MIN
            && body.len() <= DECOMPRESSED_BYTES_MAX;
        if !eligible {
            return Form::Apart;
        }
        if self.blocks.is_multiple_of(TRIAL_EVERY) {
            self.compare(body, count, coding);
        }
        self.blocks += 1;
        self.best()
    }

    /// Adds what a block comes to both ways.
    pub(crate) fn compare(&mut self, body: &[u8], entries: usize, coding: Coding) {
        mix(body, entries, &mut self.mixed).expect("the builder's own body");
        let make = || Box::new(Compressor::new(&self.dictionary));
        let compressor = self.compressor.get_or_insert_with(make);
        let mut bytes =
            |body: &[u8]| compressor.compress(coding, body, entries, &mut self.packed) as u64;
        self.apart_bytes += bytes(body);
        self.mixed_bytes += bytes(&self.mixed);
    }

    /// What was smaller so far.
    pub(crate) fn best(&self) -> Form {
        let saved = self.apart_bytes.saturating_sub(self.mixed_bytes);
        if saved * 1000 > self.apart_bytes * GAIN_MIN { Form::Mixed } else { Form::Apart }
    }
}
