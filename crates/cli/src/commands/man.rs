//! `man`: the manual pages, made from what the program knows of itself.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::{Cli, ManArgs};
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Prints the page of `lsm`, or writes every page into a folder.
pub(crate) fn man(args: &ManArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    let Some(dir) = &args.dir else { return terminal.raw(&page(command, "lsm")?) };
    std::fs::create_dir_all(dir).map_err(|error| Failure::io("make", dir, error))?;
    command.build();
    let commands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    write(dir, "lsm", command)?;
    for sub in commands.into_iter().filter(|sub| !sub.is_hide_set()) {
        let name = format!("lsm-{}", sub.get_name());
        write(dir, &name, sub)?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, command: clap::Command) -> Result<(), Failure> {
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command, name)?).map_err(|error| Failure::io("write", &path, error))
}

fn page(command: clap::Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command).title(name.to_uppercase());
    man.render(&mut page).map_err(Failure::output)?;
    Ok(page)
}
