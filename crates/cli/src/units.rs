//! Quantities as people write them: bytes, counts, durations, shares.

use std::fmt;
use std::time::Duration;

/// A number of bytes, displayed in the binary unit that keeps three digits: `1.36 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(
    /// The number of bytes.
    pub u64,
);

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut amount = self.0 as f64 / 1024.0;
        let mut units = UNITS.iter();
        let mut unit = units.next().unwrap_or(&"");
        // 999.5 would be written as 1000: the next unit keeps three digits.
        while amount >= 999.5 {
            let Some(larger) = units.next() else { break };
            amount /= 1024.0;
            unit = larger;
        }
        f.pad(&format!("{} {unit}", three_digits(amount)))
    }
}

/// Three significant digits for what is below 1000.
fn three_digits(amount: f64) -> String {
    match amount {
        a if a < 9.995 => format!("{a:.2}"),
        a if a < 99.95 => format!("{a:.1}"),
        a => format!("{a:.0}"),
    }
}

/// A count with its thousands set apart: `1,437,651`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(
    /// The count.
    pub u64,
);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A duration in the unit that keeps three digits: `1.52 s`, `830 ms`, `4.20 us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(
    /// The duration.
    pub Duration,
);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let text = match seconds {
            s if s >= 120.0 => {
                format!("{} min {:02} s", self.0.as_secs() / 60, self.0.as_secs() % 60)
            }
            s if s >= 0.9995 => format!("{} s", three_digits(s)),
            s if s >= 0.000_999_5 => format!("{} ms", three_digits(s * 1e3)),
            s if s >= 0.000_000_999_5 => format!("{} us", three_digits(s * 1e6)),
            s => format!("{:.0} ns", s * 1e9),
        };
        f.pad(&text)
    }
}

/// How many a second, as a count; zero if no time passed.
pub fn per_second(count: u64, elapsed: Duration) -> Count {
    let seconds = elapsed.as_secs_f64();
    if seconds <= 0.0 {
        return Count(0);
    }
    Count(whole(count as f64 / seconds))
}

/// The nearest whole number; zero for what is negative or no number, and no more than fits.
pub fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is what is said above"
    )]
    let whole = number.round() as u64;
    whole
}

/// The most memory this process has had in RAM so far, in bytes; `None` where the system does not
/// say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    parse_bytes(line).ok()
}

/// Reads a size such as `4096`, `64KiB`, `64k`, `1.5 MiB` or `2G` (all units are powers of 1024).
///
/// # Errors
/// In words, for the command line: not a number, an unknown unit, or too large.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("the unit must be one of B, KiB, MiB, GiB, TiB".into()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(|| "too large".into());
    }
    let Ok(amount) = number.parse::<f64>() else {
        return Err("a size is a number and a unit, as in 64MiB".into());
    };
    let bytes = amount * (1u64 << shift) as f64;
    if bytes >= u64::MAX as f64 {
        return Err("too large".into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative (no sign is parsed) and below u64::MAX, checked above"
    )]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_230, "9.99 KiB"),
            (10_240, "10.0 KiB"),
            (1024 * 999, "999 KiB"),
            (1024 * 1000, "0.98 MiB"),
            (1 << 30, "1.00 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>10}|{:<10}|", Bytes(1), Bytes(2048)), "       1 B|2.00 KiB  |");
    }

    #[test]
    fn counts_are_set_in_threes() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_437_651, "1,437,651"),
            (123_456, "123,456"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn times_choose_their_unit() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1.00 us"),
            (4_200, "4.20 us"),
            (999_600, "1.00 ms"),
            (830_000_000, "830 ms"),
            (999_900_000, "1.00 s"),
            (59_000_000_000, "59.0 s"),
            (150_000_000_000, "2 min 30 s"),
        ] {
            assert_eq!(Time(Duration::from_nanos(nanos)).to_string(), text);
        }
    }

    #[test]
    fn rates_are_rounded_and_no_time_is_no_rate() {
        assert_eq!(per_second(3, Duration::from_secs(2)), Count(2));
        assert_eq!(per_second(1000, Duration::from_millis(1)), Count(1_000_000));
        assert_eq!(per_second(1, Duration::ZERO), Count(0));
    }

    #[test]
    fn sizes_are_read_in_all_their_spellings() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64k", 65_536),
            ("64 KiB", 65_536),
            ("1.5MiB", 3 << 19),
            ("2G", 2 << 30),
            (" 7 b ", 7),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1e3", "12 parsecs", "1.2.3", ".", "99999999T", "99999999.5T"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
