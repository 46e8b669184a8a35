//! The highest load that holds all limits: what to measure next, and what the measurements say.
//!
//! [`Search`] does no I/O: whoever runs it measures at [`Search::next_load`] and tells it the
//! [`Outcome`], until there is nothing more to measure; [`Search::capacity`] is the answer so far
//! at any time.
//!
//! # Method
//!
//! Near the edge the same load passes now and fails then. So what is looked for is the **knee**:
//! the load that passes every other time. Assumed is that the chance to pass falls along a
//! logistic curve in the logarithm of the load, with the knee in its middle, of a width that is
//! not known either, and that of thirty measurements chance decides one (a neighbour on the
//! machine). All measurements together give each knee and width a probability (Bayes, from knees
//! alike on a logarithmic scale and widths alike from 0.5 % to 16 %). The answer is the median,
//! with the interval that holds 95 %. With the tests' simulated servers, whose edge moves by
//! nothing to 13 % from one measurement to the next and some of whose outcomes are plainly wrong,
//! it holds the true knee in 97 of 100 searches or more, after 16 to 22 measurements.
//!
//! 1. The first measurement is a warm-up and is discarded.
//! 2. The load doubles until it fails (or halves until it passes).
//! 3. Then each measurement is at the median of what is still possible: bisection, but one wrong
//!    outcome does not shut the door on the right half.
//! 4. Once the edge is known to the wanted resolution, loads alternate around it: at it, below, at
//!    it, above. A machine that drifts is seen from both sides.
//!
//! It ends after eight repeats around the edge (sixteen if the interval is still wide), or when the
//! measurements allowed are used up. A load at which the generator was the limit says nothing about
//! the server: it is tried once more, and from then on it ends what can be tried. If the server
//! passes all below, the answer is "at least".
//!
//! # Limits
//!
//! The interval is about chance in these measurements. It knows nothing of another day, another
//! kernel or another machine.

mod posterior;
mod report;
mod search;

#[cfg(test)]
mod tests;

pub use report::render;
pub use search::{Capacity, Outcome, Search, Settings, Tried};
