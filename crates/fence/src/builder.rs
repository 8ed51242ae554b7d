//! Collects separators and encodes them as a fence.

use crate::adaptive::choose;
use crate::format;
use crate::format::Parts;
use crate::keys::Collected;
use crate::{
    Choice, Layout, Memory, Shape, compressed, eytzinger, fastlane, levels, linear, prefix_tree,
    standard, wide,
};

/// Collects ascending separators and encodes them.
///
/// Memory while building: the separators' bytes, 8 bytes a separator, and the encoding itself.
#[derive(Clone, Debug)]
pub struct Builder {
    layout: Layout,
    keys: Collected,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    memory: Memory,
}

impl Builder {
    /// A builder without separators.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, keys: Collected::default(), bounds: None, memory: Memory::Plenty }
    }

    /// Adds the separator of the next block; equal neighbours are allowed.
    ///
    /// # Panics
    /// If `separator` is below the one before it, 4 GiB or longer, or number 2^32.
    pub fn push(&mut self, separator: &[u8]) {
        assert!(u32::try_from(separator.len()).is_ok(), "separators are shorter than 4 GiB");
        assert!(u32::try_from(self.len() + 1).is_ok(), "a fence has fewer than 2^32 separators");
        let ascends = self.keys.last().is_none_or(|last| last <= separator);
        assert!(ascends, "separators must ascend");
        self.keys.push(separator);
    }

    /// Stores the smallest and the largest key of the data behind the blocks, so that
    /// [`Fence::may_contain`](crate::Fence::may_contain) can rule out keys outside of them.
    ///
    /// # Panics
    /// If `smallest` is above `largest`, or one of them is 4 GiB or longer.
    pub fn set_bounds(&mut self, smallest: &[u8], largest: &[u8]) {
        assert!(smallest <= largest, "the smallest key must not be above the largest");
        assert!(u32::try_from(smallest.len().max(largest.len())).is_ok(), "keys are below 4 GiB");
        self.bounds = Some((smallest.to_vec(), largest.to_vec()));
    }

    /// Tells [`Layout::Adaptive`] what memory is worth; the other layouts do not ask.
    pub fn set_memory(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// How many separators were pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the separators pushed so far, before any packing: tells when a partition is full.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        self.keys.key_bytes()
    }

    /// What [`Layout::Adaptive`] looks at. Reads every separator, and encodes all of them once more
    /// if memory is tight.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let (standard, integers) = self.keys.pack();
        let neighbours = integers.iter().zip(integers.iter().skip(1));
        let tied = neighbours.clone().filter(|(a, b)| a == b).count();
        let standard_bytes = (standard.bytes() + integers.len() * 8).max(1);
        let compressed = (self.memory == Memory::Tight)
            .then(|| compressed::encode(&self.keys).bytes() as f64 / standard_bytes as f64);
        Shape {
            count: self.len(),
            tied: tied as f64 / neighbours.len().max(1) as f64,
            crowded: linear::crowded(&integers),
            compressed,
        }
    }

    /// The layout that [`finish`](Self::finish) will use, and why.
    #[must_use]
    pub fn choose(&self) -> Choice {
        match self.layout {
            Layout::Adaptive => choose(&self.shape(), self.memory),
            layout => Choice { layout, reason: "it was asked for".into() },
        }
    }

    /// Encodes the fence. Equal input gives equal bytes.
    ///
    /// # Panics
    /// If the encoding does not fit memory.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let layout = self.choose().layout;
        let mut parts = match layout {
            Layout::Compressed => compressed::encode(&self.keys),
            Layout::PrefixTree => prefix_tree::encode(&self.keys),
            flat => pack(&self.keys, flat),
        };
        parts.bounds = self.bounds;
        format::encode(layout, &parts)
    }
}

/// Everything but the bounds, for the layouts that search integers alone.
fn pack(keys: &Collected, layout: Layout) -> Parts {
    let (mut parts, integers) = keys.pack();
    parts.search = match layout {
        Layout::Eytzinger => eytzinger::encode(&integers),
        Layout::FastLane => levels::encode::<{ fastlane::WIDTH }>(&integers),
        Layout::Linear => linear::encode(&integers),
        Layout::Wide => levels::encode::<{ wide::WIDTH }>(&integers),
        _ => standard::encode(&integers),
    };
    parts
}
