//! Leveled: one run in every level below L0 (O'Neil et al. 1996, as LevelDB cuts it into tables).
//!
//! Sizes are set from below: the last level holds what it holds, each level above a `size_ratio`th
//! of it, up to the level that L0 empties into; the levels between stay empty (the idea of Dong et
//! al., "Optimizing space amplification in RocksDB", 2017). So about `1 / size_ratio` of the data
//! is outside of the last level, at any size of the database.

use crate::draft::{Scene, Seed, Target};
use crate::options::Granularity;
use crate::plan::Plan;
use crate::policy::fluid::Shape;
use crate::policy::partial::{self, Selection};

/// The shape: one run everywhere, one table at a time.
pub(crate) fn shape(selection: Selection) -> Shape {
    Shape { inner_runs: 1, last_runs: 1, granularity: Granularity::Partial(selection) }
}

/// Picks one table of the only run of `level` and sends it to `target`.
pub(crate) fn pick_table(
    scene: &Scene<'_>,
    level: usize,
    target: Target,
    selection: Selection,
    reason: &str,
) -> Option<Plan> {
    let run = scene.levels.level(level).runs.first()?;
    let under = scene.levels.level(target.level).runs.first().map(AsRef::as_ref);
    partial::order(scene, (level, run), under, selection).into_iter().find_map(|rank| {
        let seed = Seed { level, run: 0, tables: rank..rank + 1 };
        scene.draft(&[seed], target, reason.to_owned())
    })
}
