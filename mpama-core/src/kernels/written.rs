//! Results that are written once, and not filled with zeros before.

use std::mem::MaybeUninit;

/// Elements of a result that is to be written.
pub(super) type Slots = [MaybeUninit<f32>];

/// `count` elements, which `write` writes.
///
/// # Safety
/// When `write` returns, every element has been written.
pub(super) unsafe fn written(count: usize, write: impl FnOnce(&mut Slots)) -> Vec<f32> {
    let mut values = Vec::with_capacity(count);
    let slots = &mut values.spare_capacity_mut()[..count];
    if cfg!(debug_assertions) {
        // so that tests see what was left out
        slots.fill(MaybeUninit::new(f32::NAN));
    }
    write(slots);
    // SAFETY: there is room for so many, and they have been written.
    unsafe { values.set_len(count) };
    values
}
