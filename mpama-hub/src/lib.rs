//! The Hugging Face Hub, as far as mpama knows it: how a model is named there.
//!
//! Nothing here opens a connection. [`ModelId`] reads and checks what a user types or an adapter's
//! manifest records; moving bytes to and from the Hub will live beside it.

mod id;

pub use id::{IdError, ModelId};
