//! Lookups that are compiled into their callers, vectors included.
//!
//! Functions for vectors cannot be inlined into a caller that is not compiled for vectors, and a
//! call through a pointer takes longer than all the rest of a lookup in cache (1.4 of 1.6 ns on a
//! Zen 5, 2026-11-29). Assembly can be inlined anywhere. The invariants are those of the parent.

use std::arch::asm;
use std::hint::assert_unchecked;

use super::Core;
use super::single::place_of;
use crate::format::HEADER_BYTES;
use crate::probe::{BLOCK_BYTES, LINE_BYTES, POWERS, SALTS};

/// What `single::split_avx2` does.
#[inline(always)]
pub(super) fn split_avx2(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(at) = place_of::<BLOCK_BYTES>(core, bytes, hash) else { return true };
    let found: u8;
    // SAFETY: invariants 2 and 4: the processor has AVX2. Reads the 32 bytes of a block and of
    // `SALTS`, writes nothing. `vzeroupper` is safe because all vector registers are clobbered.
    unsafe {
        asm!(
            "vmovd xmm0, {hash:e}",
            "vpbroadcastd ymm0, xmm0",
            "vpmulld ymm0, ymm0, ymmword ptr [{salts}]",
            "vpcmpeqd ymm1, ymm1, ymm1",
            "vpsrld ymm1, ymm1, 31",
            "vpsrld ymm0, ymm0, 27",
            "vpsllvd ymm0, ymm1, ymm0",
            "vmovdqu ymm1, ymmword ptr [{bytes} + {at} + {header}]",
            "vptest ymm1, ymm0",
            "setb {found}",
            "vzeroupper",
            hash = in(reg) hash,
            salts = in(reg) SALTS.as_ptr(),
            bytes = in(reg) bytes.as_ptr(),
            at = in(reg) at,
            header = const HEADER_BYTES,
            found = lateout(reg_byte) found,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(pure, readonly, nostack),
        );
    }
    // SAFETY: `setb` writes 0 or 1; saying so saves the comparison with 0.
    unsafe { assert_unchecked(found <= 1) };
    found != 0
}

/// What `single::blocked_avx512vl` does.
#[inline(always)]
pub(super) fn blocked_avx512vl(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(at) = place_of::<LINE_BYTES>(core, bytes, hash) else { return true };
    let found: u8;
    // SAFETY: invariants 2 and 4: the processor has AVX-512 with its short vectors. Reads the 64
    // bytes of a line and 32 of `POWERS`, writes nothing. `vzeroupper` is safe because all vector
    // registers are clobbered.
    unsafe {
        asm!(
            "vpbroadcastd ymm0, {hash:e}",
            "vpmulld ymm0, ymm0, ymmword ptr [{powers}]",
            "vpcmpeqd ymm2, ymm2, ymm2",
            "vpsrld ymm2, ymm2, 31",
            "vpsrld ymm1, ymm0, 28",
            "vpsrld ymm0, ymm0, 23",
            "vpermd zmm1, zmm1, zmmword ptr [{bytes} + {at} + {header}]",
            // A rotation takes its count modulo 32.
            "vprolvd ymm0, ymm2, ymm0",
            "vptestnmd k1, ymm1, ymm0",
            "kmovw {missing:e}, k1",
            "test {missing:e}, {lanes:e}",
            "sete {found}",
            "vzeroupper",
            hash = in(reg) hash,
            powers = in(reg) POWERS.as_ptr(),
            bytes = in(reg) bytes.as_ptr(),
            at = in(reg) at,
            header = const HEADER_BYTES,
            lanes = in(reg) core.lanes,
            missing = out(reg) _,
            found = out(reg_byte) found,
            out("k1") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(pure, readonly, nostack),
        );
    }
    // SAFETY: `sete` writes 0 or 1; saying so saves the comparison with 0.
    unsafe { assert_unchecked(found <= 1) };
    found != 0
}
