//! Makes a Zstandard dictionary: content that [`super::cover`] chose, and the entropy tables that
//! suit it, by the reference library.
#![expect(unsafe_code, reason = "the library's safe face trains only by its own search")]

use std::ffi::{c_int, c_uint};

use zstd::zstd_safe::zstd_sys;

use super::cover;

/// Dictionaries smaller than this the library does not make.
const DICTIONARY_BYTES_MIN: usize = 256;

/// Trains a dictionary of at most `bytes_max` for this level, 1 to 22, on samples; empty if there
/// is too little to learn from.
pub(super) fn train(samples: &[&[u8]], bytes_max: usize, level: u8) -> Vec<u8> {
    let data = samples.concat();
    let sizes: Vec<usize> = samples.iter().map(|sample| sample.len()).collect();
    let mut content = Vec::new();
    cover::choose(&data, &sizes, bytes_max, &mut content);
    if content.is_empty() || bytes_max < DICTIONARY_BYTES_MIN {
        return Vec::new();
    }
    finalize(&content, &data, &sizes, bytes_max, c_int::from(level))
}

/// Puts entropy tables before the content; empty if the library refuses.
fn finalize(
    content: &[u8],
    data: &[u8],
    sizes: &[usize],
    bytes_max: usize,
    level: c_int,
) -> Vec<u8> {
    assert_eq!(data.len(), sizes.iter().sum::<usize>(), "the sizes are those of the samples");
    let Ok(count) = c_uint::try_from(sizes.len()) else { return Vec::new() };
    let mut dictionary = vec![0_u8; bytes_max];
    let parameters = zstd_sys::ZDICT_params_t {
        compressionLevel: level,
        notificationLevel: 0,
        // From a hash of the content: equal samples give equal dictionaries.
        dictID: 0,
    };
    // SAFETY: each pointer comes from a live slice, with its length or, for the samples, with
    // `count` sizes that add up to it, as asserted above; the call writes to `dictionary` alone, at
    // most `bytes_max` bytes, and keeps nothing.
    let bytes = unsafe {
        zstd_sys::ZDICT_finalizeDictionary(
            dictionary.as_mut_ptr().cast(),
            dictionary.len(),
            content.as_ptr().cast(),
            content.len(),
            data.as_ptr().cast(),
            sizes.as_ptr(),
            count,
            parameters,
        )
    };
    // SAFETY: takes a number and only compares it.
    let refused = unsafe { zstd_sys::ZDICT_isError(bytes) } != 0;
    dictionary.truncate(if refused { 0 } else { bytes });
    dictionary
}
