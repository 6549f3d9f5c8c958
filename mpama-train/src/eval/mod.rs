//! Measuring: metrics on plain slices, and an adapter measured on a dataset.
