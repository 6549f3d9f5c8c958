//! Datasets on disk as lists of samples: which image, which mask, which label. Files are listed and
//! paired, not decoded (but for KolektorSDD, where a black label is what makes an image normal); there
//! are no tensors here.
//!
//! [`Dataset::open`] recognises the [`Layout`] of a folder or reads a list of images, pairs masks with
//! images by their stem (never by position: one stray file would shift every pair) and lists whatever
//! it could not place as [`Orphan`]s with a reason. The order of samples and their [`Dataset::index_hash`] depend on the
//! files alone, not on the machine or on where the folder lies.
//!
//! [`synth`] draws datasets where there is none.
//!
//! To add a layout: a file in `layout/` with its `SHAPE`, and a variant of [`Layout`]; the compiler
//! names the places that have to know it.

mod bitmap;
pub mod catalog;
mod dataset;
mod error;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod index;
mod layout;
mod listing;
mod rows;
mod sample;
pub mod synth;

pub use dataset::{Counts, Dataset};
pub use error::{Error, Result};
pub use layout::{Layout, Split};
pub use listing::IMAGE_EXTENSIONS;
pub use sample::{Label, Orphan, Reason, Sample};
