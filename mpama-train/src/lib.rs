//! Training of adapters in two stages, and their evaluation.

pub mod eval;
