//! The edge proxy of Tenantry.

use std::process::ExitCode;

use clap::Parser as _;
use tenantry_proxy::{app, bootstrap::Flags};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match app::run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the last word of a process that could not start"
            )]
            {
                eprintln!("tenantry-proxy: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
