//! What was written, in order, and which states a reopened database may show.

use std::collections::{BTreeMap, BTreeSet};

/// Keys and values as a database shows them.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// One batch.
pub(crate) type Batch = Vec<Change>;

/// One operation of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// From the first key on, before the second.
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// What the caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    /// The write failed in a way that leaves the log in doubt: all of it or nothing.
    Doubtful,
}

/// All writes since the database last showed a whole state.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The state before the first entry; it survives everything.
    base: Model,
    entries: Vec<(Batch, Fate)>,
    /// This many entries survive a power cut.
    sure: usize,
    /// What reads must show now.
    visible: Model,
    /// All that ever was, or may have been.
    ever: Ever,
}

/// Everything that was written or may have been, in no order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ever {
    puts: BTreeSet<(Vec<u8>, Vec<u8>)>,
    range_deletes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Ever {
    fn take(&mut self, batch: &Batch) {
        for change in batch {
            match change {
                Change::Put(key, value) => drop(self.puts.insert((key.clone(), value.clone()))),
                Change::Delete(_) => {}
                Change::DeleteRange(start, end) => {
                    self.range_deletes.push((start.clone(), end.clone()));
                }
            }
        }
    }

    /// Whether somebody gave `key` this value once.
    pub(crate) fn had(&self, key: &[u8], value: &[u8]) -> bool {
        self.puts.contains(&(key.to_vec(), value.to_vec()))
    }

    /// Whether the key was in a deleted range once.
    pub(crate) fn was_in_range(&self, key: &[u8]) -> bool {
        self.range_deletes.iter().any(|(start, end)| &start[..] <= key && key < &end[..])
    }
}

impl History {
    pub(crate) fn visible(&self) -> &Model {
        &self.visible
    }

    pub(crate) fn ever(&self) -> &Ever {
        &self.ever
    }

    pub(crate) fn acknowledge(&mut self, batch: Batch) {
        self.ever.take(&batch);
        apply(&mut self.visible, &batch);
        self.entries.push((batch, Fate::Acknowledged));
    }

    pub(crate) fn doubt(&mut self, batch: Batch) {
        self.ever.take(&batch);
        self.entries.push((batch, Fate::Doubtful));
    }

    /// Number of entries: what a later [`History::survive`] may name.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The first `entries` survive a power cut from now on.
    pub(crate) fn survive(&mut self, entries: usize) {
        self.sure = self.sure.max(entries);
    }

    /// Takes what a reopened database shows as the new state, if that is a prefix of the history
    /// with everything in it that must survive. `all`: a killed process loses nothing.
    pub(crate) fn reopen(&mut self, found: &Model, all: bool) -> Result<(), String> {
        let last = self.entries.iter().rposition(|(_, fate)| *fate == Fate::Acknowledged);
        let sure = if all { last.map_or(0, |at| at + 1) } else { self.sure };
        // With doubtful entries there are several states at each point.
        let mut states = vec![self.base.clone()];
        for kept in 0..=self.entries.len() {
            if kept >= sure && states.contains(found) {
                let ever = std::mem::take(&mut self.ever);
                let (base, visible) = (found.clone(), found.clone());
                *self = Self { base, visible, ever, ..Self::default() };
                return Ok(());
            }
            let Some((batch, fate)) = self.entries.get(kept) else { break };
            let mut with = states.clone();
            for state in &mut with {
                apply(state, batch);
            }
            match fate {
                Fate::Acknowledged => states = with,
                Fate::Doubtful => states.extend(with),
            }
        }
        Err(self.explain(found, sure))
    }

    fn explain(&self, found: &Model, sure: usize) -> String {
        let mut expected = self.base.clone();
        let mut acknowledged = 0;
        for (batch, fate) in self.entries.iter().take(sure) {
            if *fate == Fate::Acknowledged {
                apply(&mut expected, batch);
                acknowledged += 1;
            }
        }
        let text = |value: Option<&Vec<u8>>| value.map_or("nothing".into(), |value| label(value));
        let keys: BTreeSet<&Vec<u8>> = expected.keys().chain(found.keys()).collect();
        let differences: Vec<String> = keys
            .into_iter()
            .filter(|key| expected.get(*key) != found.get(*key))
            .take(8)
            .map(|key| {
                let key_text = String::from_utf8_lossy(key);
                format!("{key_text}: {} not {}", text(found.get(key)), text(expected.get(key)))
            })
            .collect();
        format!(
            "the state is no prefix of the {} writes that has the first {sure} ({acknowledged} \
             acknowledged); against those: {}",
            self.entries.len(),
            differences.join(", ")
        )
    }
}

fn apply(state: &mut Model, batch: &Batch) {
    for change in batch {
        match change {
            Change::Put(key, value) => drop(state.insert(key.clone(), value.clone())),
            Change::Delete(key) => drop(state.remove(key)),
            Change::DeleteRange(start, end) => state.retain(|key, _| key < start || key >= end),
        }
    }
}

/// The start of a value, which says which write it is of.
pub(crate) fn label(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// The oracle is tried on its own: it must refuse what it is there to refuse.
#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u8) -> Batch {
        vec![Change::Put(vec![n % 3], vec![n]), Change::Put(b"last".to_vec(), vec![n])]
    }

    fn state(batches: &[u8]) -> Model {
        let mut state = Model::new();
        for n in batches {
            apply(&mut state, &put(*n));
        }
        state
    }

    fn history(sure: usize) -> History {
        let mut history = History::default();
        (0..5).for_each(|n| history.acknowledge(put(n)));
        history.survive(sure);
        history
    }

    #[test]
    fn prefixes_with_all_that_survives_are_taken() {
        for sure in 0..=5 {
            for kept in 0..=5_u8 {
                let found = state(&(0..kept).collect::<Vec<_>>());
                let taken = history(sure).reopen(&found, false).is_ok();
                assert_eq!(taken, usize::from(kept) >= sure, "{kept} of {sure}");
                assert_eq!(history(sure).reopen(&found, true).is_ok(), kept == 5);
            }
        }
    }

    #[test]
    fn holes_halves_and_strangers_are_refused() {
        let half: Model = [(vec![0], vec![0])].into();
        let stranger: Model = [(b"x".to_vec(), vec![0])].into();
        for found in [state(&[0, 2]), state(&[1]), state(&[0, 1, 3]), half, stranger] {
            assert!(history(0).reopen(&found, false).is_err());
        }
    }

    #[test]
    fn a_doubtful_write_is_whole_or_absent() {
        for tail in [vec![], vec![5], vec![5, 6], vec![6]] {
            let mut history = history(5);
            history.doubt(put(5));
            history.doubt(put(6));
            let found = state(&[vec![0, 1, 2, 3, 4], tail].concat());
            assert!(history.reopen(&found, true).is_ok());
            assert_eq!(*history.visible(), found);
            assert_eq!(history.len(), 0);
        }
    }
}
