//! Ctrl-C: the first finishes the step and saves, the second stops at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised by the first Ctrl-C (or a request to terminate); long work looks at it between steps.
static STOP: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted command.
pub(crate) const EXIT_CODE: u8 = 130;

/// Starts to listen for Ctrl-C. From here on the first one no longer ends the process; `talk` has
/// it acknowledged.
///
/// # Errors
/// If the system refuses the handler.
pub(crate) fn listen(talk: bool) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        if STOP.swap(true, Ordering::SeqCst) {
            #[expect(
                clippy::exit,
                reason = "the second Ctrl-C stops at once, from the handler's thread"
            )]
            std::process::exit(i32::from(EXIT_CODE));
        }
        if talk {
            let _ = writeln!(
                std::io::stderr(),
                "\nFinishing the step; Ctrl-C again stops at once"
            );
        }
    })
}

/// The flag itself, for work that polls it.
pub(crate) fn flag() -> &'static AtomicBool {
    &STOP
}

/// Whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
