//! The atomics of the crate: `std`'s, or `loom`'s when the interleavings are being explored.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Puts its content on cache lines of its own, so that two threads do not fight over one.
#[derive(Debug, Default)]
#[repr(align(128))] // two lines: the adjacent one is prefetched along
pub(crate) struct Padded<T>(pub(crate) T);

/// Lets other threads run while this one has nothing to do; waits longer the longer it waited.
#[cfg(not(loom))]
pub(crate) fn pause(round: u32) {
    match round {
        0..=5 => (0..1_u32 << round).for_each(|_| std::hint::spin_loop()),
        6..=20 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}

/// Tells loom that this thread only goes on when another one has moved.
#[cfg(loom)]
pub(crate) fn pause(_round: u32) {
    loom::thread::yield_now();
}

/// Brings the cache line at `address` nearer; any address is fine, nothing is read.
#[inline]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    #[expect(unsafe_code, reason = "the prefetch instruction is an intrinsic")]
    // SAFETY: a prefetch is a hint: it cannot fault and changes no memory, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = address;
}

/// As [`prefetch`], for a line that will be written.
#[inline]
pub(crate) fn prefetch_write(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    #[expect(unsafe_code, reason = "the prefetch instruction is an intrinsic")]
    // SAFETY: as in `prefetch`.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = address;
}
