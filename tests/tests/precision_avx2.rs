//! The bounds of `precision.rs`, in narrower registers.
#![allow(clippy::unwrap_used)]

#[path = "precision/bounds.rs"]
mod bounds;

#[test]
fn towers_in_avx2_registers() {
    if let Err(error) = mpama_core::use_registers("avx2") {
        // a machine without them says which it has
        assert!(error.to_string().contains("portable"), "{error}");
        return;
    }
    bounds::towers_as_they_are_initialised();
    bounds::towers_that_are_hard_on_small_numbers();
    bounds::what_is_no_number_stays_none();
}
