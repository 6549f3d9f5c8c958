//! Memory that begins at a cache line.

use std::ops::{Deref, DerefMut};

/// Words of four bytes in a cache line.
const LINE: usize = 16;

/// Words that begin at a cache line: a wide register is then read from one line, not from parts of two.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    words: Vec<u32>,
    first: usize,
    count: usize,
}

impl Aligned {
    /// So many zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let words = vec![0; count + LINE];
        Self {
            first: words
                .as_ptr()
                .align_offset(LINE * size_of::<u32>())
                .min(LINE),
            words,
            count,
        }
    }

    /// Makes room for so many; what they hold is not said.
    #[inline(always)]
    pub(crate) fn resize(&mut self, count: usize) {
        if self.first + count > self.words.len() {
            *self = Self::zeros(count);
        }
        self.count = count;
    }
}

impl Deref for Aligned {
    type Target = [u32];

    #[inline(always)]
    fn deref(&self) -> &[u32] {
        &self.words[self.first..][..self.count]
    }
}

impl DerefMut for Aligned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u32] {
        &mut self.words[self.first..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_at_a_line() {
        let mut words = Aligned::default();
        for count in [1, 100, 3, 5000, 17] {
            words.resize(count);
            assert_eq!(words.len(), count);
            assert_eq!(words.as_ptr() as usize % 64, 0, "{count}");
            words.fill(1);
        }
    }
}
