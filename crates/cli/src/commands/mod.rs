//! The commands, one function each.

mod checkpoint;
mod client;
mod compare;
mod dump;
mod explain;
mod forecast;
mod ingest;
mod inspect;
mod load;
mod man;
mod ranges;
mod records;
mod repair;
mod serve;
pub(crate) mod stats;

use clap::CommandFactory as _;

use crate::args::{Cli, Command, CompletionsArgs, Dump};
use crate::bench;
use crate::demo;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::top;

/// Does what was asked.
pub(crate) fn run(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    match &cli.command {
        Command::Load(args) => load::load(cli, args, terminal),
        Command::Get(args) => records::get(cli, args, terminal),
        Command::Put(args) => records::put(cli, args),
        Command::Del(args) => records::del(cli, args),
        Command::Scan(args) => ranges::scan(cli, args, terminal),
        Command::Count(args) => ranges::count(cli, args, terminal),
        Command::Export(args) => ranges::export(cli, args, terminal),
        Command::Compare(args) => compare::compare(cli, args, terminal),
        Command::Families(args) => inspect::families(cli, args, terminal),
        Command::Top(args) => top::top(cli, args, terminal),
        Command::Man(args) => man::man(args, terminal),
        Command::Stats => stats::stats(cli, terminal),
        Command::Shape => inspect::shape(cli, terminal),
        Command::Dump(Dump::Table(args)) => dump::table(args, terminal),
        Command::Dump(Dump::Manifest(args)) => dump::manifest(cli, args, terminal),
        Command::Dump(Dump::Log(args)) => dump::log(cli, args, terminal),
        Command::Explain(args) => explain::explain(cli, args, terminal),
        Command::Ingest(args) => ingest::ingest(cli, args, terminal),
        Command::Repair => repair::repair(cli, terminal),
        Command::Checkpoint(args) => checkpoint::checkpoint(cli, args, terminal),
        Command::Compact => inspect::compact(cli, terminal),
        Command::Verify => inspect::verify(cli, terminal),
        Command::Demo(args) => demo::demo(cli, args, terminal),
        Command::DemoWriter(args) => demo::writer(cli, args),
        Command::Serve(args) => serve::serve(cli, args, terminal),
        Command::Dsl(args) => serve::dsl(cli, args),
        Command::Client(args) => client::client(args, terminal),
        Command::Bench(args) => bench::bench(cli, args, terminal),
        Command::Simulate(args) => forecast::simulate(cli, args, terminal),
        Command::Advise(args) => forecast::advise(cli, args, terminal),
        Command::Completions(args) => completions(args, terminal),
    }
}

fn completions(args: &CompletionsArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lsm", &mut script);
    terminal.raw(&script)
}
