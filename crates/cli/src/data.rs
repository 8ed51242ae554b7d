//! The data set that travels inside the program: every named character of Unicode 15.0.
//!
//! What it holds, where it comes from and under which licence: `data/README.md` beside the sources.

use std::io::{self, BufReader};

use lz4_flex::frame::FrameDecoder;

use crate::tsv;

/// How many records the data set holds.
pub const RECORDS: u64 = 34_888;

/// Its size in bytes as text, before compression.
pub const TEXT_BYTES: u64 = 2_233_843;

static CHARACTERS: &[u8] = include_bytes!("../data/characters.tsv.lz4");

/// Opens the data set; records come in code point order, which is not key order.
pub fn open() -> tsv::Reader<impl io::BufRead> {
    tsv::Reader::new(BufReader::with_capacity(64 << 10, FrameDecoder::new(CHARACTERS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_holds_what_its_constants_say() {
        let mut reader = open();
        let mut seen = HashMap::new();
        while let Some(record) = reader.record().unwrap() {
            let (key, value) = (record.key.into_owned(), record.value.into_owned());
            assert!(std::str::from_utf8(&value).unwrap().contains("U+"), "{value:?}");
            assert_eq!(seen.insert(key, value), None, "names are unique");
        }
        assert_eq!((seen.len() as u64, reader.bytes()), (RECORDS, TEXT_BYTES));
        let value = |key: &str| String::from_utf8(seen[key.as_bytes()].clone()).unwrap();
        assert_eq!(value("SNOWMAN"), "☃ U+2603 So Miscellaneous Symbols 1.1");
        assert_eq!(value("ALERT"), "U+0007 Cc Basic Latin 1.1");
        assert_eq!(value("REVERSE SOLIDUS"), r"\ U+005C Po Basic Latin 1.1");
        assert_eq!(value("CUNEIFORM SIGN A"), "𒀀 U+12000 Lo Cuneiform 5.0");
    }

    #[test]
    fn it_is_small_enough_to_travel() {
        assert!(CHARACTERS.len() < 1_000_000);
    }
}
