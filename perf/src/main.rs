//! `corinth-perf`: what does this machine carry? See `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    corinth_perf::cli::run()
}
