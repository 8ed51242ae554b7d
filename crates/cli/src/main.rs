//! The `lsm` command: everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lsm_cli::run()
}
