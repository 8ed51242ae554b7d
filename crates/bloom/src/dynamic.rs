//! A filter that grows, and that watches the rate of false positives it really has.
//!
//!   bytes := magic: u32 = "BLMD" | version: u8 | zero: u8 * 3 | layers: u32 | zero: u32
//!            length of each layer: u64 | each layer, an ordinary filter
//!
//! 1. A key is in one layer; a lookup asks all. Layer `i` holds twice as many keys as the one
//!    before and has half its rate, so that all together stay below the target however many there
//!    are.
//! 2. Bits are never taken away, so there are no false negatives; only [`DynamicFilter::rebuild`]
//!    forgets keys.
//!
//! Growing by layers: scalable Bloom filters (Almeida, Baquero, Preguica, Hutchison, 2007).
//! Watching the observed rate, and its targets: the project report behind this crate (2025).

use crate::format::{HEADER_BYTES, Shape};
use crate::simd::{Core, Isa};
use crate::{DecodeError, Filter, Kind, builder, hash_key, ribbon, sizing};

const MAGIC: u32 = u32::from_le_bytes(*b"BLMD");
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 16;

/// More layers than any count of keys needs when each is four times as large as the one before.
const LAYERS_MAX: usize = 32;

/// The rates that the report offers as targets; any other between 0 and 1 will do.
pub const TARGETS: [f64; 8] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.10, 0.15, 0.20];

/// What a [`DynamicFilter`] aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicOptions {
    /// The false-positive rate to stay below. Default 0.01; between 0 and 1.
    pub target_rate: f64,
    /// Keys that the first layer has room for. Default 10 000; 0 counts as 1.
    pub expected_keys: u64,
    /// Layout of the layers. Default [`Kind::DoubleProbe`]; not [`Kind::Ribbon`].
    pub kind: Kind,
    /// Fewest bits a key, whatever the target asks for. Default 2.
    pub bits_min: f64,
    /// Most bits a key. Default and limit [`sizing::BITS_MAX`]; less saves memory and misses low
    /// targets.
    pub bits_max: f64,
    /// Lookups of absent keys before the observed rate is believed. Default 1 000.
    pub sample_min: u64,
}

impl Default for DynamicOptions {
    fn default() -> Self {
        Self {
            target_rate: 0.01,
            expected_keys: 10_000,
            kind: Kind::DoubleProbe,
            bits_min: 2.0,
            bits_max: sizing::BITS_MAX,
            sample_min: 1_000,
        }
    }
}

impl DynamicOptions {
    /// Returns what is wrong with the options, if anything is.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn validate(&self) -> Result<(), &'static str> {
        if !(self.target_rate > 0.0 && self.target_rate < 1.0) {
            return Err("target_rate must be between 0 and 1");
        }
        if self.kind == Kind::Ribbon {
            return Err("kind must be a Bloom filter: a ribbon cannot grow");
        }
        let ordered = self.bits_min > 0.0 && self.bits_min <= self.bits_max;
        if !ordered || self.bits_max > sizing::BITS_MAX {
            return Err("bits_min and bits_max must ascend, above 0 and at most sizing::BITS_MAX");
        }
        Ok(())
    }
}

/// A rate as it was observed, with its 95 % confidence interval (Wilson, 1927).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// False positives by lookups of absent keys.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Lookups of absent keys.
    pub sample: u64,
}

/// A filter without a fixed size. Costs a lookup in every layer; see
/// [`rebuild`](Self::rebuild) to get back to one.
///
/// ```
/// use bloom::{DynamicFilter, DynamicOptions};
///
/// let mut filter = DynamicFilter::new(DynamicOptions { expected_keys: 100, ..Default::default()
/// })?; for n in 0..10_000u32 {
///     filter.insert(&n.to_le_bytes());
/// }
/// assert!((0..10_000u32).all(|n| filter.may_contain(&n.to_le_bytes())));
/// for n in 10_000..20_000u32 {
///     let maybe = filter.may_contain(&n.to_le_bytes());
///     filter.record_absent(maybe); // looked the key up, it was not there
/// }
/// assert!(filter.observed().is_some_and(|observed| observed.low < 0.01));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
pub struct DynamicFilter {
    options: DynamicOptions,
    layers: Vec<Layer>,
    /// Bits a key on top of what the curve says, because the observed rate was too high.
    extra_bits: f64,
    absent: u64,
    false_positives: u64,
    isa: Isa,
}

#[derive(Clone, Debug)]
struct Layer {
    core: Core,
    bytes: Vec<u8>,
    keys: u64,
    capacity: u64,
}

impl DynamicFilter {
    /// Makes an empty filter.
    ///
    /// # Errors
    /// What [`DynamicOptions::validate`] says.
    pub fn new(options: DynamicOptions) -> Result<Self, &'static str> {
        options.validate()?;
        let mut filter = Self {
            options,
            layers: Vec::new(),
            extra_bits: 0.0,
            absent: 0,
            false_positives: 0,
            isa: Isa::detect(),
        };
        filter.open_layer(options.expected_keys.max(1));
        Ok(filter)
    }

    /// Adds `key`.
    pub fn insert(&mut self, key: &[u8]) {
        self.insert_hash(hash_key(key));
    }

    /// Adds the key whose [`hash_key`] is `hash`. Opens a further layer when the last one is full,
    /// which takes memory for four times its keys.
    pub fn insert_hash(&mut self, hash: u64) {
        if let Some(last) = self.layers.last()
            && last.keys >= last.capacity
        {
            self.open_layer(last.capacity.saturating_mul(4));
        }
        if let Some(last) = self.layers.last_mut() {
            last.insert(self.isa, &[hash]);
        }
    }

    /// Returns `false` if `key` is certainly not in the set.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash_key(key))
    }

    /// Returns `false` if the key whose [`hash_key`] is `hash` is certainly not in the set.
    #[must_use]
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        // The last layer holds more keys than all others together.
        self.layers.iter().rev().any(|layer| layer.may_contain(hash))
    }

    /// Tells the filter that a key it was asked for turned out to be absent, and what it had
    /// answered. When `sample_min` such answers prove with 95 % confidence that the rate exceeds
    /// the target, later layers and the next [`rebuild`](Self::rebuild) get one more bit a key, and
    /// the count begins anew.
    pub fn record_absent(&mut self, answered_maybe: bool) {
        self.absent += 1;
        self.false_positives += u64::from(answered_maybe);
        if self.misses_target() {
            self.extra_bits += 1.0;
            self.absent = 0;
            self.false_positives = 0;
        }
    }

    /// Returns the rate observed since it was last acted on, once the sample is large enough.
    #[must_use]
    pub fn observed(&self) -> Option<Observed> {
        if self.absent < self.options.sample_min.max(1) {
            return None;
        }
        let sample = self.absent as f64;
        let rate = self.false_positives as f64 / sample;
        let z = 1.96;
        let spread = 1.0 + z * z / sample;
        let centre = (rate + z * z / (2.0 * sample)) / spread;
        let variance = rate * (1.0 - rate) / sample + z * z / (4.0 * sample * sample);
        let half = z * variance.sqrt() / spread;
        let (low, high) = ((centre - half).max(0.0), (centre + half).min(1.0));
        Some(Observed { rate, low, high, sample: self.absent })
    }

    /// Returns whether the keys are spread over several layers, or the rate was seen to exceed the
    /// target: a [`rebuild`](Self::rebuild) would make lookups faster, the rate lower, or both.
    #[must_use]
    pub fn wants_rebuild(&self) -> bool {
        self.layers.len() > 1 || self.extra_bits > 0.0
    }

    /// Replaces all layers by one for exactly the keys with these `hashes`, with as many bits as
    /// the target and the observed rate ask for and room for as many keys again.
    pub fn rebuild(&mut self, hashes: &[u64]) {
        self.layers.clear();
        self.absent = 0;
        self.false_positives = 0;
        let room = (hashes.len() as u64).saturating_mul(2).max(self.options.expected_keys).max(1);
        self.open_layer(room);
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(self.isa, hashes);
        }
    }

    /// Returns the bits a key that the next layer, or a rebuild, would have.
    #[must_use]
    pub fn next_bits_per_key(&self) -> f64 {
        let number = (self.layers.len() + 1) as f64;
        let rate = self.options.target_rate * 6.0 / (std::f64::consts::PI * number).powi(2);
        let bits = sizing::bits(self.options.kind, rate).unwrap_or(self.options.bits_max);
        (bits + self.extra_bits).clamp(self.options.bits_min, self.options.bits_max)
    }

    /// Returns how many layers a lookup of an absent key asks.
    #[must_use]
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Returns how many keys were added.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.layers.iter().map(|layer| layer.keys).sum()
    }

    /// Returns the bytes that the filter holds.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.layers.iter().map(|layer| layer.bytes.capacity()).sum::<usize>()
    }

    /// Returns the bytes of the filter, for [`DynamicView::decode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        bytes.extend_from_slice(&(self.layers.len() as u64).to_le_bytes());
        for layer in &self.layers {
            bytes.extend_from_slice(&(layer.sealed_bytes() as u64).to_le_bytes());
        }
        for layer in &self.layers {
            bytes.extend_from_slice(&layer.seal());
        }
        bytes
    }

    fn open_layer(&mut self, capacity: u64) {
        let bits = self.next_bits_per_key();
        self.layers.push(Layer::new(self.isa, self.options.kind, bits, capacity));
    }

    fn misses_target(&self) -> bool {
        self.observed().is_some_and(|observed| observed.low > self.options.target_rate)
    }
}

impl Layer {
    fn new(isa: Isa, kind: Kind, bits_per_key: f64, capacity: u64) -> Self {
        let shape = builder::plan(kind, bits_per_key, capacity);
        let body_bytes = usize::try_from(shape.body_bytes()).unwrap_or(usize::MAX);
        let core = Core::new(shape, ribbon::Layout::default(), isa);
        Self { core, bytes: vec![0; HEADER_BYTES + body_bytes], keys: 0, capacity }
    }

    fn insert(&mut self, isa: Isa, hashes: &[u64]) {
        let (_, body) = self.bytes.split_at_mut(HEADER_BYTES);
        isa.insert_many(&self.core.shape, body, hashes);
        self.keys += hashes.len() as u64;
    }

    fn may_contain(&self, hash: u64) -> bool {
        self.core.contains(&self.bytes, hash)
    }

    fn sealed_bytes(&self) -> usize {
        if self.keys == 0 { HEADER_BYTES } else { self.bytes.len() }
    }

    fn seal(&self) -> Vec<u8> {
        if self.keys == 0 {
            return builder::build(self.core.shape.kind, 0.0, &[]);
        }
        let mut bytes = self.bytes.clone();
        Shape { keys: self.keys, ..self.core.shape }.seal(&mut bytes);
        bytes
    }
}

/// The bytes of a [`DynamicFilter`], read without copying them.
#[derive(Clone, Debug)]
pub struct DynamicView<'a> {
    layers: Vec<Filter<&'a [u8]>>,
}

impl<'a> DynamicView<'a> {
    /// Checks `bytes`, checksums included, and makes them a filter.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are cut, changed, or of a version that is not known.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let found = bytes.len() as u64;
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(DecodeError::Length { expected: HEAD_BYTES as u64, found });
        };
        let [m0, m1, m2, m3, version, zeros @ .., l0, l1, l2, l3, l4, l5, l6, l7] = *head;
        if u32::from_le_bytes([m0, m1, m2, m3]) != MAGIC {
            return Err(DecodeError::Magic);
        }
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let count = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if zeros != [0; 3] || count == 0 || count > LAYERS_MAX {
            return Err(DecodeError::Field("layers of a dynamic filter"));
        }
        let Some((lengths, mut rest)) = rest.split_at_checked(count * 8) else {
            return Err(DecodeError::Length { expected: (HEAD_BYTES + count * 8) as u64, found });
        };
        let mut layers = Vec::with_capacity(count);
        for length in lengths.as_chunks::<8>().0 {
            let length = u64::from_le_bytes(*length);
            let layer =
                usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let Some((layer, others)) = layer else {
                return Err(DecodeError::Length { expected: length, found: rest.len() as u64 });
            };
            layers.push(Filter::decode(layer)?);
            rest = others;
        }
        if !rest.is_empty() {
            return Err(DecodeError::Length { expected: found - rest.len() as u64, found });
        }
        Ok(Self { layers })
    }

    /// Returns `false` if `key` is certainly not in the set.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash_key(key))
    }

    /// Returns `false` if the key whose [`hash_key`] is `hash` is certainly not in the set.
    #[must_use]
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        self.layers.iter().rev().any(|layer| layer.may_contain_hash(hash))
    }
}
