//! Small trees of files for tests: bare names for those of this crate, whole datasets of real images for
//! those of others.

#[cfg(feature = "fake")]
mod industry;
#[cfg(feature = "fake")]
mod medicine;
#[cfg(test)]
mod plain;
#[cfg(feature = "fake")]
mod trees;
#[cfg(feature = "fake")]
mod write;

#[cfg(test)]
pub(crate) use plain::{lines, orphans, tree, write};
#[cfg(feature = "fake")]
pub use trees::{Content, Sketch, Tree, all};
