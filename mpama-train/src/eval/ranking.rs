//! Samples in the order of their scores, highest first: the one thing every metric here reads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::Path;

use rayon::prelude::*;

use super::error::{MetricError, all_finite};
use super::key;
use super::runs::{Cursor, Runs, Shelf};

/// Distinct scores of anomalous samples for which normal ones are counted in one go.
const BLOCK: usize = 16 << 10;

/// Samples of both classes, four bytes for each normal one and eight for each anomalous one: in memory
/// as far as that goes, beyond it in a temporary file.
#[derive(Debug)]
pub(super) struct Ranking {
    positives: Runs<u64>,
    negatives: Runs<u32>,
    shelf: Shelf,
    areas: Vec<usize>,
    /// Lowest and highest score.
    range: Option<(f32, f32)>,
}

/// How much there is to rank. Both classes are present.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals<'a> {
    pub(super) positives: usize,
    pub(super) negatives: usize,
    /// Positives of each region.
    pub(super) areas: &'a [usize],
    pub(super) lowest: f32,
    pub(super) highest: f32,
}

/// A threshold at the score of at least one positive; everything from that score up is detected.
///
/// Thresholds that only negatives reach are left out: recall does not change there, so no metric gains
/// or loses anything.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) threshold: f32,
    /// How many positives have this very score.
    pub(super) reached: usize,
    /// Their regions, each with how many of them are its.
    pub(super) regions: &'a [(u32, u32)],
    /// All positives detected.
    pub(super) tp: usize,
    /// Negatives strictly above the threshold.
    pub(super) fp_above: usize,
    /// All negatives detected: those above and those tied with it.
    pub(super) fp: usize,
}

/// A metric that is read off the steps of a ranking, highest threshold first.
pub(super) trait Reading {
    /// The next threshold.
    fn step(&mut self, step: &Step<'_>);
    /// A threshold that was asked for: `fp` negatives score above it, and the positives above it are
    /// those of the steps so far.
    fn stop(&mut self, fp: usize) {
        let _ = fp;
    }
}

/// One image's samples, ready to be added.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) positives: Vec<u64>,
    pub(super) negatives: Vec<u32>,
    /// Positives of each of its regions, which are numbered from 0.
    pub(super) areas: Vec<usize>,
    pub(super) range: Option<(f32, f32)>,
}

impl Ranking {
    /// Nothing to rank yet. Samples and the work on them take at most about `memory` bytes, whatever
    /// their number; beyond it there is a temporary file in `folder`, or where the system has such
    /// files.
    pub(super) fn new(memory: usize, folder: Option<&Path>) -> Self {
        Self {
            positives: Runs::default(),
            negatives: Runs::default(),
            shelf: Shelf::new(memory, folder),
            areas: Vec::new(),
            range: None,
        }
    }

    /// Ranks labelled samples, `true` being anomalous, in memory; all positives form one region.
    pub(super) fn of(scores: &[f32], labels: &[bool]) -> Result<Self, MetricError> {
        if scores.len() != labels.len() {
            return Err(MetricError::Unpaired {
                scores: scores.len(),
                labels: labels.len(),
            });
        }
        all_finite(scores)?;
        let mut samples = Samples::default();
        for (&score, &anomalous) in scores.iter().zip(labels) {
            match anomalous {
                true => samples.positives.push(key::of_positive(score, 0)),
                false => samples.negatives.push(key::of_score(score)),
            }
        }
        samples.areas.push(samples.positives.len());
        samples.range = range(scores);
        let mut ranking = Self::new(usize::MAX, None);
        ranking.add(samples)?;
        Ok(ranking)
    }

    /// Adds samples.
    ///
    /// # Errors
    /// If the temporary file cannot be written; the ranking is then good for nothing.
    pub(super) fn add(&mut self, mut samples: Samples) -> Result<(), MetricError> {
        let known = self.areas.len() as u64;
        samples.positives.iter_mut().for_each(|key| *key += known);
        self.positives.extend(&samples.positives, &mut self.shelf)?;
        self.negatives.extend(&samples.negatives, &mut self.shelf)?;
        self.areas.append(&mut samples.areas);
        self.range = match (self.range, samples.range) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        Ok(())
    }

    /// Positives and negatives added.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.positives.len(), self.negatives.len())
    }

    /// Regions added.
    pub(super) fn regions(&self) -> usize {
        self.areas.len()
    }

    /// Sorted runs in the temporary file, and their bytes.
    pub(super) fn spilled(&self) -> (usize, u64) {
        self.shelf.spilled()
    }

    /// Sorts, and reads what `begin` makes off the order in one pass, with a stop at each of `stops`,
    /// thresholds that fall. `None` unless both classes are present.
    ///
    /// # Errors
    /// If the temporary file cannot be written or read.
    pub(super) fn read<R: Reading>(
        mut self,
        stops: impl FnOnce(&Totals<'_>) -> Vec<f64>,
        begin: impl FnOnce(&Totals<'_>) -> R,
    ) -> Result<Option<R>, MetricError> {
        let ((positives, negatives), Some((lowest, highest))) = (self.len(), self.range) else {
            return Ok(None);
        };
        if positives == 0 || negatives == 0 {
            return Ok(None);
        }
        let totals = Totals {
            positives,
            negatives,
            areas: &self.areas,
            lowest,
            highest,
        };
        let stops = stops(&totals);
        let mut reading = begin(&totals);
        self.positives.close(&mut self.shelf)?;
        self.negatives.close(&mut self.shelf)?;
        let mut pass = Pass {
            positives: Merge::new(self.positives.cursors(&self.shelf))?,
            negatives: self.negatives.cursors(&self.shelf),
            stops: stops.into_iter().map(key::last_above).collect(),
            stopped: 0,
            tp: 0,
        };
        while pass.block(&mut reading)? {}
        Ok(Some(reading))
    }
}

/// Lowest and highest of the scores.
pub(super) fn range(scores: &[f32]) -> Option<(f32, f32)> {
    let first = *scores.first()?;
    Some(scores.iter().fold((first, first), |(low, high), &score| {
        (low.min(score), high.max(score))
    }))
}

/// A pass over both classes.
struct Pass<'a> {
    positives: Merge<'a>,
    negatives: Vec<Cursor<'a, u32>>,
    /// The last key above each threshold that was asked for.
    stops: Vec<u32>,
    /// Stops behind us.
    stopped: usize,
    tp: usize,
}

/// What comes next in the order of keys.
enum Event {
    /// Positives of one score; their regions end here in the list.
    Step {
        key: u32,
        regions_end: usize,
    },
    Stop,
}

impl Pass<'_> {
    /// The next thresholds, at most [`BLOCK`] and all stops among them; false at the end.
    ///
    /// Positives are merged one by one. Negatives, which are many times more, are not merged at all:
    /// for a block of thresholds every run counts its own, all runs side by side, and counts add up.
    fn block(&mut self, reading: &mut impl Reading) -> Result<bool, MetricError> {
        let mut events = Vec::new();
        let mut regions: Vec<(u32, u32)> = Vec::new();
        // Negatives with keys up to each of these have to be counted.
        let mut counted_to = Vec::new();
        let mut ended = false;
        while events.len() < BLOCK {
            let Some(key) = self.positives.score()? else {
                ended = true;
                break;
            };
            self.stops_before(key, &mut events, &mut counted_to);
            let first = regions.len();
            while let Some(region) = self.positives.next_if(key)? {
                match regions[first..].last_mut() {
                    Some((same, count)) if *same == region => *count += 1,
                    _ => regions.push((region, 1)),
                }
            }
            counted_to.extend([key - 1, key]); // no key of a finite score is 0
            events.push(Event::Step {
                key,
                regions_end: regions.len(),
            });
        }
        if ended {
            self.stops_before(u32::MAX, &mut events, &mut counted_to);
        }

        let counts = self
            .negatives
            .par_iter_mut()
            .try_fold(
                || vec![0; counted_to.len()],
                |mut counts, run| {
                    for (count, &last) in counts.iter_mut().zip(&counted_to) {
                        *count += run.pass(last)?;
                    }
                    Ok(counts)
                },
            )
            .try_reduce(
                || vec![0; counted_to.len()],
                |mut a, b| {
                    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                    Ok(a)
                },
            )?;

        let (mut counts, mut from) = (counts.into_iter(), 0);
        let mut count = || counts.next().unwrap_or_default();
        for event in events {
            match event {
                Event::Stop => reading.stop(count()),
                Event::Step { key, regions_end } => {
                    let regions = &regions[from..regions_end];
                    from = regions_end;
                    let reached = regions.iter().map(|&(_, count)| count as usize).sum();
                    self.tp += reached;
                    reading.step(&Step {
                        threshold: key::score(key),
                        reached,
                        regions,
                        tp: self.tp,
                        fp_above: count(),
                        fp: count(),
                    });
                }
            }
        }
        Ok(!ended)
    }

    /// The stops that lie above the score of `key`.
    fn stops_before(&mut self, key: u32, events: &mut Vec<Event>, counted_to: &mut Vec<u32>) {
        while let Some(&last) = self.stops.get(self.stopped).filter(|last| **last < key) {
            events.push(Event::Stop);
            counted_to.push(last);
            self.stopped += 1;
        }
    }
}

/// Several runs of positives as one.
struct Merge<'a> {
    cursors: Vec<Cursor<'a, u64>>,
    /// The next key of each run that is not at its end, with the run's number.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<'a> Merge<'a> {
    fn new(mut cursors: Vec<Cursor<'a, u64>>) -> Result<Self, MetricError> {
        let mut heads = BinaryHeap::with_capacity(cursors.len());
        for (number, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.peek()?.map(|key| Reverse((key, number))));
        }
        Ok(Self { cursors, heads })
    }

    /// The score of what comes next.
    fn score(&self) -> Result<Option<u32>, MetricError> {
        let next = self.heads.peek();
        Ok(next.map(|Reverse((positive, _))| key::parts(*positive).0))
    }

    /// The region of the next positive, if its score has the key `score`.
    fn next_if(&mut self, score: u32) -> Result<Option<u32>, MetricError> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let Reverse((positive, number)) = *head;
        let (found, region) = key::parts(positive);
        if found != score {
            return Ok(None);
        }
        let cursor = &mut self.cursors[number];
        cursor.advance();
        match cursor.peek()? {
            Some(next) => head.0.0 = next,
            None => {
                PeekMut::pop(head);
            }
        }
        Ok(Some(region))
    }
}
