//! How a caller watches and stops long work.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::Event;

/// The caller's side of long work: a flag that asks it to stop, and where its events go.
pub struct Control<'a> {
    stop: &'a AtomicBool,
    events: &'a mut (dyn FnMut(Event) + Send),
}

impl<'a> Control<'a> {
    /// Work stops soon after `stop` is true, in a state from which it can be continued. `events` is
    /// called for everything that happens, possibly from another thread.
    pub fn new(stop: &'a AtomicBool, events: &'a mut (dyn FnMut(Event) + Send)) -> Self {
        Self { stop, events }
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        (self.events)(event);
    }
}

/// How long work ended, if not with an error.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// It was asked to stop, and what it had is saved.
    Interrupted,
}
