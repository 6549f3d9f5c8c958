//! Work prepared on another thread while the caller is busy with the previous piece.

use std::sync::mpsc::{Receiver, sync_channel};

/// Hands `consume` the results of `prepare` over `items`, in order, with at most `depth` of them
/// waiting. If `consume` returns early, what is left of `items` is not prepared.
pub(crate) fn ahead<I, T, R>(
    depth: usize,
    items: impl IntoIterator<Item = I, IntoIter: Send>,
    prepare: impl Fn(I) -> T + Send,
    consume: impl FnOnce(Receiver<T>) -> R,
) -> R
where
    T: Send,
{
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(depth);
        let items = items.into_iter();
        scope.spawn(move || {
            for item in items {
                if sender.send(prepare(item)).is_err() {
                    break; // the consumer is gone
                }
            }
        });
        consume(receiver)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn keeps_the_order() {
        let doubled: Vec<u32> = ahead(2, 0..100, |i| 2 * i, |results| results.iter().collect());
        assert_eq!(doubled, (0..100).map(|i| 2 * i).collect::<Vec<_>>());
    }

    #[test]
    fn stops_soon_after_the_consumer() {
        let prepared = AtomicUsize::new(0);
        let first = ahead(
            1,
            0..1000,
            |i| {
                prepared.fetch_add(1, Ordering::Relaxed);
                i
            },
            |results| results.iter().next(),
        );
        assert_eq!(first, Some(0));
        assert!(prepared.load(Ordering::Relaxed) <= 4);
    }
}
