//! What would each strategy cost? `cargo run --release -p compaction --example simulate [GB]`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::time::Instant;

use compaction::simulate::{Setup, Workload, simulate};
use compaction::{Options, Strategy, plot};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gigabytes: f64 = std::env::args().nth(1).map_or(Ok(10.0), |arg| arg.parse())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let entries = (gigabytes * 1e9 / 116.0) as u64;
    let workload = Workload { entries, ..Workload::default() };
    let mut reports = Vec::new();
    let begin = Instant::now();
    for strategy in [Strategy::Leveled, Strategy::LazyL0, Strategy::LazyLeveled, Strategy::Tiered] {
        for size_ratio in [4, 10] {
            let options = Options { size_ratio, ..Options::new(strategy) };
            let started = Instant::now();
            reports.push([simulate(&workload, &Setup { options, ..Setup::default() })?]);
            if std::env::args().nth(2).is_some() {
                println!("{strategy:?} {size_ratio} {:?}", started.elapsed());
                for level in &reports[reports.len() - 1][0].levels {
                    println!("   {level:?}");
                }
            }
        }
    }
    println!("{gigabytes} GB of 116-byte entries, loaded in random order, then updated once\n");
    println!("{}", plot::table(&reports));
    println!("in brackets: the closed forms. {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
