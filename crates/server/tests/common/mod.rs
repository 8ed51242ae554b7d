//! A plain in-memory model of the language, and random commands for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use server::Framing;

/// What the answers must be.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) pairs: BTreeMap<i32, i32>,
}

impl Model {
    /// Runs a command and appends the answer in `framing`.
    pub(crate) fn run(&mut self, line: &str, framing: Framing, out: &mut Vec<u8>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<i32>().expect("the model reads valid lines");
        let answer = match words[0] {
            "p" => {
                self.pairs.insert(number(1), number(2));
                None
            }
            "d" => {
                self.pairs.remove(&number(1));
                None
            }
            "g" => Some(self.pairs.get(&number(1)).map(i32::to_string)),
            "r" => {
                let bound = |at: usize| words[at].parse::<i64>().expect("a number");
                let inside = |key: i32| (bound(1)..bound(2)).contains(&i64::from(key));
                let mut text = String::new();
                for (key, value) in self.pairs.iter().filter(|(key, _)| inside(**key)) {
                    write!(text, "{key}:{value} ").expect("a string");
                }
                let trailing = framing == Framing::Eom;
                Some(text.strip_suffix(' ').map(|t| if trailing { &text } else { t }.to_owned()))
            }
            other => panic!("the model knows no {other}"),
        };
        let (done, none, end): (&[u8], &[u8], &[u8]) = match framing {
            Framing::Line => (b"OK\n", b"", b"\n"),
            Framing::Silent => (b"", b"", b"\n"),
            Framing::CrlfCrlf => (b"OK\r\n\r\n", b"", b"\r\n\r\n"),
            _ => (b"<OK><END_OF_MESSAGE>", b"<NO_VALUE>", b"<END_OF_MESSAGE>"),
        };
        match answer {
            None => out.extend_from_slice(done),
            Some(text) => {
                out.extend_from_slice(text.as_deref().map_or(none, str::as_bytes));
                out.extend_from_slice(end);
            }
        }
    }
}

/// Random commands: hits, misses, overwrites, deletes, ranges wide and narrow, keys at both ends.
pub(crate) struct Commands {
    rng: StdRng,
    keys: i32,
}

impl Commands {
    pub(crate) fn new(seed: u64, keys: i32) -> Commands {
        Commands { rng: StdRng::seed_from_u64(seed), keys }
    }

    fn key(&mut self) -> i32 {
        if self.rng.random_ratio(1, 30) {
            *[i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX]
                .choose(&mut self.rng)
                .expect("not empty")
        } else {
            self.rng.random_range(-self.keys..self.keys)
        }
    }

    pub(crate) fn line(&mut self) -> String {
        let key = self.key();
        match self.rng.random_range(0..100) {
            0..55 => format!("p {key} {}", self.rng.random::<i32>()),
            55..80 => format!("g {key}"),
            80..93 => format!("d {key}"),
            93..98 => {
                let width = self.rng.random_range(0..self.keys.max(2));
                format!("r {key} {}", i64::from(key) + i64::from(width))
            }
            98 => format!("r {key} {}", self.key()),
            _ => "r -2147483648 2147483648".to_owned(),
        }
    }
}
