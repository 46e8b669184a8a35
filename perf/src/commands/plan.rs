//! `corinth-perf plan`: how many cores for these rooms?

use std::process::ExitCode;

use anyhow::{bail, ensure};

use super::say;
use crate::args::PlanArgs;
use crate::plan::{Demand, Model};
use crate::report;

/// Answers by the model that `calibrate` wrote.
///
/// # Errors
/// There is no model, or the mix is not understood.
pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    if !args.model.exists() {
        bail!(
            "there is no {}: `corinth-perf calibrate` makes one of this machine in four minutes",
            args.model.display()
        );
    }
    let model: Model = report::read_json(&args.model)?;
    if args.prices {
        say(&format!("{model}\n"));
    }
    ensure!(args.prices || !args.mix.is_empty(), "what for? --mix 40x7 --mix 1+2000");
    if !args.mix.is_empty() {
        let demand = Demand::parse(&args.mix, args.joins)?;
        let answer = model.answer(&demand, args.target / 100.0)?;
        match args.json {
            true => say(&format!("{}\n", serde_json::to_string_pretty(&answer)?)),
            false => say(&answer.to_string()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
