//! Any bytes as an encoded filter, without its checksum, and as encoded fences: refused, or
//! something that answers without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(filter) = bloom::Filter::decode_unverified(bytes) {
        std::hint::black_box(filter.may_contain(b"key"));
        for hash in [0, 1, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            std::hint::black_box(filter.may_contain_hash(hash));
        }
    }
    if let Ok(filter) = bloom::Filter::decode(bytes) {
        std::hint::black_box(filter.may_contain(b"key"));
    }
    if let Ok(filter) = bloom::DynamicView::decode(bytes) {
        std::hint::black_box(filter.may_contain(b"key"));
    }
    if let Ok(fence) = fence::Fence::decode(bytes) {
        std::hint::black_box(fence.find(b"key"));
    }
});
