//! What the allocator keeps of memory that was given back to it.
//!
//! The C library's keeps it, in an arena for each thread: after merges in several threads, and
//! where the cache has shrunk, a third of a budget of 32 MiB was held by nobody. Under a budget,
//! whole free pages go back to the system when a job ends.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "asks the C library to give back what is free")
)]

/// Gives free pages back to the system: those of the C library's allocator, if that is the one in
/// use. Its locks are held for a part of the time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: `malloc_trim` takes no pointers, locks what it looks at, and touches only what is
    // free.
    let _whether_any = unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves, or cannot be asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
