//! One loader per missing key; the others wait for it.
//!
//! 1. A flight ends exactly once: landed with a value, or failed. It ends also when its loader
//!    panics.
//! 2. Who waits holds no lock of the cache.

use crate::sync::thread::{self, ThreadId};
use crate::sync::{Condvar, Mutex};

#[derive(Debug)]
enum State<V> {
    Flying,
    Landed(V),
    Failed,
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct Flight<V> {
    state: Mutex<State<V>>,
    ended: Condvar,
    loader: ThreadId,
}

impl<V: Clone> Flight<V> {
    /// A flight whose loader runs on this thread.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Flying),
            ended: Condvar::new(),
            loader: thread::current().id(),
        }
    }

    /// Waits for the end: the value, or `None` if the loader failed.
    /// # Panics
    /// If called by the loader itself, which would wait for ever.
    pub(crate) fn wait(&self) -> Option<V> {
        assert!(
            self.loader != thread::current().id(),
            "a loader must not ask the cache for the key it is loading"
        );
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Flying => {}
                State::Landed(value) => return Some(value.clone()),
                State::Failed => return None,
            }
            state = self.ended.wait(state);
        }
    }

    pub(crate) fn land(&self, value: V) {
        self.end(State::Landed(value));
    }

    pub(crate) fn fail(&self) {
        self.end(State::Failed);
    }

    fn end(&self, end: State<V>) {
        let mut state = self.state.lock();
        assert!(matches!(*state, State::Flying), "a flight ends once");
        *state = end;
        self.ended.notify_all();
    }
}
