//! `springtide-e2e`: the program behind the Makefile.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    springtide_e2e::cli::run(springtide_e2e::cli::Arguments::parse()).await
}
