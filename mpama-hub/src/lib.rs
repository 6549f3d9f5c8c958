//! The Hugging Face Hub: how a model is named there ([`ModelId`]), how it gets into the cache that all
//! Hugging Face tools share ([`Hub::pull`]), what that cache holds ([`Cache::models`]), and how an
//! adapter is published ([`Hub::publish`], with a [`Card`]).
//!
//! Nothing here reads the environment by itself, prints or asks; a [`Token`] shows nowhere. Files are
//! fetched over plain HTTP with ranges, so that they continue where they stopped, and hashed before
//! they count; the rest of the protocol is `hf-hub`'s.

mod cache;
mod card;
mod download;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hub;
mod id;
mod inventory;
mod known;
mod listing;
mod pull;
mod push;
mod remote;
mod settings;
mod token;

pub use cache::{Cache, Snapshot};
pub use card::{Card, Licence, Measured, Picture};
pub use error::{Error, Result};
pub use hub::Hub;
pub use id::{IdError, ModelId};
pub use inventory::CachedModel;
pub use known::{KNOWN, Known};
pub use listing::Kind;
pub use pull::{PullEvent, Pulled, PulledFile};
pub use push::{Publication, Published};
pub use settings::{HUB, Settings};
pub use token::{Token, TokenError};
