//! One thread's barrier on behalf of all: so that those who enter often need none of their own.
//!
//! Linux's `membarrier` (Mathieu Desnoyers, 2010) makes every running thread of the process pass a
//! full memory barrier, and returns when all have. A reader may then enter with a plain store: a
//! writer's barrier falls before the store, and the reader's loads see what the writer did before
//! it; or after, and the writer sees the store. It costs the writer a few microseconds.
//!
//! Elsewhere, and where the kernel refuses, [`available`] is false and readers exchange atomically.
#![cfg_attr(
    all(target_os = "linux", not(loom), not(miri)),
    expect(unsafe_code, reason = "a system call")
)]

#[cfg(all(target_os = "linux", not(loom), not(miri)))]
mod system {
    use std::sync::OnceLock;

    fn membarrier(command: libc::c_int) -> bool {
        let (flags, cpu): (libc::c_uint, libc::c_int) = (0, 0);
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, flags, cpu) == 0 }
    }

    /// Whether [`all_threads`] may be relied on; the same answer for the life of the process.
    pub(crate) fn available() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
    }

    /// A barrier in every running thread; `false` if there was none, for want of kernel memory.
    pub(crate) fn all_threads() -> bool {
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }
}

#[cfg(not(all(target_os = "linux", not(loom), not(miri))))]
mod system {
    pub(crate) fn available() -> bool {
        false
    }

    pub(crate) fn all_threads() -> bool {
        false
    }
}

pub(crate) use system::{all_threads, available};
