//! L5 the only glue.
