//! A value that readers see through a pointer while a writer replaces it.
//!
//! 1. The pointer is never null and points to a value that is not freed while this lives.
//! 2. A value that was replaced is freed by whoever holds its [`Retired`], after every reader that
//!    was inside a read at the replacement has left.
#![expect(unsafe_code, reason = "owns the one pointer that readers follow without a lock")]

use crate::readers::Guard;
use crate::sync::{AtomicPtr, Ordering};
use std::marker::PhantomData;

#[derive(Debug)]
pub(crate) struct Published<T> {
    pointer: AtomicPtr<T>,
    /// Owns a `T` and lends it to every thread.
    owns: PhantomData<T>,
}

/// A value that was replaced, and that readers may still see.
#[derive(Debug)]
pub(crate) struct Retired<T>(*mut T);

// SAFETY: a `Retired` is an owning pointer, as a `Box` is; it is followed only after the grace
// period, by one thread.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T> Published<T> {
    pub(crate) fn new(value: Box<T>) -> Self {
        Self { pointer: AtomicPtr::new(Box::into_raw(value)), owns: PhantomData }
    }

    /// The value of the moment.
    #[inline]
    pub(crate) fn load<'a>(&'a self, _guard: &'a Guard<'_>) -> &'a T {
        // ORDERING: Acquire sees the value written before the Release in `replace`.
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: invariant 1 when it was loaded; invariant 2 from then on, for `_guard` is a read
        // under way that began before the load.
        unsafe { &*pointer }
    }

    /// The value, for the only thread that may replace it.
    /// # Safety
    /// Nobody calls `replace` while the reference lives.
    pub(crate) unsafe fn current(&self) -> &T {
        // ORDERING: Relaxed, whoever replaced it last did so under the lock the caller holds.
        let pointer = self.pointer.load(Ordering::Relaxed);
        // SAFETY: invariant 1, and the caller's promise.
        unsafe { &*pointer }
    }

    /// Publishes `value` and returns what it replaces.
    pub(crate) fn replace(&self, value: Box<T>) -> Retired<T> {
        // ORDERING: Release publishes the value to the Acquire in `load`. The old value was
        // written under the same lock as this.
        Retired(self.pointer.swap(Box::into_raw(value), Ordering::AcqRel))
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // ORDERING: Relaxed, `&mut self` has no rivals.
        let pointer = self.pointer.load(Ordering::Relaxed);
        // SAFETY: invariant 1; nobody can load it any more.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

impl<T> Retired<T> {
    /// Looks at the value.
    #[cfg(all(test, loom))]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: not freed before `self` is gone.
        f(unsafe { &*self.0 })
    }

    /// Drops the value.
    /// # Safety
    /// No reader that was inside a read when the value was replaced is inside it still.
    pub(crate) unsafe fn free(self) {
        // SAFETY: `self.0` came from a box in `replace`; by the caller's promise nobody sees it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
