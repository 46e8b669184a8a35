//! Reports of a run: a table for a terminal, JSON, and one HTML page.
