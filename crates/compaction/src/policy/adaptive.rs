//! Adaptive: watches the mix of operations and moves the shape of the tree after it.
//!
//! 1. The mix is smoothed over the windows that the engine reports.
//! 2. The closed forms price every shape for the smoothed mix. A better one must save at least
//!    [`Tuning::gain`] in [`Tuning::patience`] windows in a row before anything changes.
//! 3. A change is one step: one more or fewer resting runs (doubling and halving), one notch of
//!    the size ratio. The new policy takes the tree as it is; nothing is rewritten for the change
//!    itself, and what later merges rewrite goes in jobs of the usual size.

use crate::advise::{Mix, OperationCosts};
use crate::cost::Tree;
use crate::options::{Granularity, InvalidOption, Options, Strategy};

/// How eager an [`Adaptive`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// Share of the cost that a step must save, 0 to 1. Default: 0.1.
    pub gain: f64,
    /// Windows in a row that must agree before a step. Default: 3.
    pub patience: u32,
    /// Weight of the newest window in the smoothed mix, above 0 to 1. Default: 0.3.
    pub weight: f64,
    /// Largest size ratio; the least is 2. Default: 16.
    pub size_ratio_max: u32,
    /// Largest space amplification by the closed form. Default: 3.
    pub space_amplification_max: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            gain: 0.1,
            patience: 3,
            weight: 0.3,
            size_ratio_max: 16,
            space_amplification_max: 3.0,
        }
    }
}

/// What happened since the last window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Counts of operations.
    pub mix: Mix,
    /// Bytes of live data now, about.
    pub data_bytes: u64,
    /// Bytes of an entry, about.
    pub entry_bytes: f64,
    /// Bytes of the write buffer.
    pub buffer_bytes: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
}

/// Follows a workload with the shape of the tree. Holds no clock: the engine says when a window is
/// over, by calling [`Adaptive::observe`].
#[derive(Clone, Debug)]
pub struct Adaptive {
    options: Options,
    tuning: Tuning,
    mix: Option<[f64; 4]>,
    /// The step that recent windows agreed on, and how many of them.
    wanted: Option<(Options, u32)>,
}

impl Adaptive {
    /// Starts from `options`, whose strategy must have a shape: FIFO stays what it is.
    ///
    /// # Errors
    /// [`InvalidOption`] if the options are outside of their limits, or FIFO.
    pub fn new(options: &Options, tuning: Tuning) -> Result<Adaptive, InvalidOption> {
        options.validate()?;
        let fail = |name, expected| Err(InvalidOption { name, expected });
        let Some(shape) = options.shape() else {
            return fail("strategy", "one that merges, not FIFO");
        };
        if !(tuning.weight > 0.0 && tuning.weight <= 1.0 && (0.0..1.0).contains(&tuning.gain)) {
            return fail("weight, gain", "above 0 to 1, and 0 to below 1");
        }
        let strategy = fluid(shape.inner_runs, shape.last_runs, options.size_ratio);
        let options = Options { strategy, ..options.clone() };
        Ok(Adaptive { options, tuning, mix: None, wanted: None })
    }

    /// Returns the options in force; build the policy from them.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes one window in. Returns the new options if the shape changes now: build a policy from
    /// them and use it from the next pick on.
    pub fn observe(&mut self, window: &Window) -> Option<&Options> {
        let fresh = window.mix.shares();
        let weight = self.tuning.weight;
        let mixed = self.mix.map_or(fresh, |old| {
            std::array::from_fn(|i| old[i] * (1.0 - weight) + fresh[i] * weight)
        });
        self.mix = Some(mixed);
        let mix = Mix {
            writes: mixed[0],
            absent_gets: mixed[1],
            present_gets: mixed[2],
            scans: mixed[3],
        };
        let now = price(&self.options, &mix, window);
        let best = self
            .steps()
            .into_iter()
            .filter(|options| self.allowed(options, window))
            .map(|options| (price(&options, &mix, window), options))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(cost, _)| *cost < now * (1.0 - self.tuning.gain));
        let Some((_, step)) = best else {
            self.wanted = None;
            return None;
        };
        let agreed = match self.wanted.take() {
            Some((wanted, windows)) if wanted == step => windows + 1,
            _ => 1,
        };
        if agreed < self.tuning.patience {
            self.wanted = Some((step, agreed));
            return None;
        }
        self.options = step;
        Some(&self.options)
    }

    /// The neighbours of the shape in force.
    fn steps(&self) -> Vec<Options> {
        let ratio = self.options.size_ratio;
        let shape = self.options.shape();
        let (inner, last) = shape.map_or((1, 1), |shape| (shape.inner_runs, shape.last_runs));
        let near = |runs: u32| [runs / 2, runs, runs * 2];
        let ratios = [ratio - ratio.div_ceil(3), ratio, ratio + ratio.div_ceil(2)];
        let mut all = Vec::new();
        for ratio in ratios.into_iter().filter(|r| (2..=self.tuning.size_ratio_max).contains(r)) {
            for inner in near(inner) {
                for last in near(last) {
                    let strategy = fluid(inner, last, ratio);
                    all.push(Options { strategy, size_ratio: ratio, ..self.options.clone() });
                }
            }
        }
        all
    }

    fn allowed(&self, options: &Options, window: &Window) -> bool {
        let limit = self.tuning.space_amplification_max;
        tree(options, window).is_some_and(|tree| tree.space_amplification() <= limit)
    }
}

fn fluid(inner_runs: u32, last_runs: u32, ratio: u32) -> Strategy {
    let most = ratio.saturating_sub(1).max(1);
    Strategy::Fluid {
        inner_runs: inner_runs.clamp(1, most),
        last_runs: last_runs.clamp(1, most),
        granularity: Granularity::default(),
    }
}

fn tree(options: &Options, window: &Window) -> Option<Tree> {
    let tree = Tree::of(options, window.buffer_bytes, window.data_bytes)?;
    Some(Tree { entry_bytes: window.entry_bytes, ..tree })
}

fn price(options: &Options, mix: &Mix, window: &Window) -> f64 {
    tree(options, window).map_or(f64::INFINITY, |tree| {
        OperationCosts::of_tree(&tree, window.block_bytes).expected(mix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(writes: f64, absent_gets: f64, scans: f64) -> Window {
        Window {
            mix: Mix { writes, absent_gets, present_gets: 0.0, scans },
            data_bytes: 100 << 30,
            entry_bytes: 116.0,
            buffer_bytes: 64 << 20,
            block_bytes: 4096,
        }
    }

    fn follow(adaptive: &mut Adaptive, window: &Window, windows: u32) -> u32 {
        (0..windows).filter(|_| adaptive.observe(window).is_some()).count().try_into().unwrap_or(0)
    }

    fn runs(adaptive: &Adaptive) -> (u32, u32) {
        let shape = adaptive.options().shape().expect("a shape");
        (shape.inner_runs, shape.last_runs)
    }

    #[test]
    fn writes_loosen_the_tree_and_scans_tighten_it() {
        let mut adaptive = Adaptive::new(&Options::default(), Tuning::default()).expect("valid");
        assert!(follow(&mut adaptive, &window(1.0, 0.0, 0.0), 60) > 0);
        let (loose, last) = runs(&adaptive);
        assert!(loose > 1, "{:?}", adaptive.options());
        assert!(f64::from(last) <= 3.0, "the limit of space holds");
        assert!(follow(&mut adaptive, &window(0.02, 0.0, 1.0), 60) > 0);
        assert_eq!(runs(&adaptive), (1, 1), "{:?}", adaptive.options());
    }

    #[test]
    fn it_comes_to_rest() {
        let mut adaptive = Adaptive::new(&Options::default(), Tuning::default()).expect("valid");
        follow(&mut adaptive, &window(1.0, 1.0, 0.1), 100);
        assert_eq!(follow(&mut adaptive, &window(1.0, 1.0, 0.1), 100), 0);
    }

    /// A mix that swings faster than patience allows changes nothing.
    #[test]
    fn it_does_not_chase_swings() {
        let tuning = Tuning { weight: 1.0, ..Tuning::default() };
        let mut adaptive = Adaptive::new(&Options::default(), tuning).expect("valid");
        for _ in 0..100 {
            assert_eq!(adaptive.observe(&window(1.0, 0.0, 0.0)), None);
            assert_eq!(adaptive.observe(&window(0.0, 0.0, 1.0)), None);
        }
    }

    #[test]
    fn each_change_is_one_step() {
        let mut adaptive = Adaptive::new(&Options::default(), Tuning::default()).expect("valid");
        for _ in 0..100 {
            let before = (runs(&adaptive), adaptive.options().size_ratio);
            adaptive.observe(&window(1.0, 0.0, 0.0));
            let after = (runs(&adaptive), adaptive.options().size_ratio);
            assert!(after.0.0 <= 2 * before.0.0 && after.0.1 <= 2 * before.0.1);
            assert!(after.1 <= before.1 + before.1.div_ceil(2));
            assert_eq!(adaptive.options().validate(), Ok(()));
        }
    }

    #[test]
    fn fifo_is_refused() {
        let fifo = Options::new(Strategy::Fifo { max_bytes: 1, ttl_us: None });
        assert!(Adaptive::new(&fifo, Tuning::default()).is_err());
    }
}
