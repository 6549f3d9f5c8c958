//! What fewer bits cost: features of whole towers, beside those of Candle's own operations in f32.
#![allow(clippy::unwrap_used)]

#[path = "precision/bounds.rs"]
mod bounds;

#[test]
fn towers_as_they_are_initialised() {
    bounds::towers_as_they_are_initialised();
}

#[test]
fn towers_that_are_hard_on_small_numbers() {
    bounds::towers_that_are_hard_on_small_numbers();
}

#[test]
fn what_is_no_number_stays_none() {
    bounds::what_is_no_number_stays_none();
}
