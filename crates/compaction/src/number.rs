//! From floating point back to counts, in one place.

/// Returns `value` without its fraction, 0 for what is negative or no number, `u64::MAX` beyond.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and takes NaN to 0, which is what is promised"
)]
pub(crate) fn to_u64(value: f64) -> u64 {
    value as u64
}

/// Returns `value` without its fraction, as [`to_u64`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and takes NaN to 0, which is what is promised"
)]
pub(crate) fn to_usize(value: f64) -> usize {
    value as usize
}
