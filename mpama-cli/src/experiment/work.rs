//! How much of a schedule is left, and how long it takes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use mpama_core::clip::VisionConfig;
use mpama_train::{FeatureType, Line, Pace, Stage, TrainConfig, steps};

use super::schedule::{Given, Run};

/// Something to do, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Images for the vision tower, when training.
    pub(crate) encode: usize,
    /// Steps of stage one and two.
    pub(crate) steps: [usize; 2],
    /// Images to be scored.
    pub(crate) score: usize,
}

/// What runs that come earlier will have done.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Feature caches.
    features: BTreeSet<PathBuf>,
    /// Prompts, by the settings they were learned with.
    prompts: Vec<TrainConfig>,
}

/// Seconds that each thing takes, as far as known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speed {
    encode: Seen,
    steps: [Seen; 2],
    score: Seen,
}

/// How often something was done, and how long that took.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    times: usize,
    seconds: f64,
}

impl Seen {
    fn add(&mut self, times: usize, seconds: f64) {
        self.times += times;
        self.seconds += seconds;
    }

    fn each(self) -> Option<f64> {
        (self.times > 0).then(|| self.seconds / self.times as f64)
    }
}

impl Work {
    /// What is left of a run after those that were asked about with the same `before`.
    pub(crate) fn left(run: &Run, given: &Given, before: &mut Before) -> mpama_train::Result<Self> {
        let mut work = Self::default();
        let last = match run.config.stage.include(Stage::Two) {
            true => "adapter",
            false => "adapter-mpa",
        };
        if !run.folder.join(last).is_dir() {
            let images = mpama_train::open_dataset(&run.config)?.samples.len();
            let features = run.config.features.folder.clone().unwrap_or_default();
            if !before.features.contains(&features) {
                let there = shards(&features) * run.config.features.batch_size;
                work.encode = images.saturating_sub(there);
                before.features.insert(features);
            }
            let done = logged(&run.folder);
            for (place, stage) in [Stage::One, Stage::Two].into_iter().enumerate() {
                if run.config.stage.include(stage) {
                    let plan = run.config.plan(stage);
                    let all = plan.epochs * steps(images, plan.batch_size);
                    work.steps[place] = all.saturating_sub(done[place].times);
                }
            }
            let learned = before.prompts.contains(&run.of_stage_one());
            if learned || run.folder.join("adapter-mpa").is_dir() {
                work.steps[0] = 0;
            }
        }
        before.prompts.push(run.of_stage_one());
        for measurement in run.measurements.iter().filter(|m| !m.file.is_file()) {
            let dataset = given.get(&measurement.test);
            work.score += dataset.map_or(0, |dataset| dataset.samples.len());
        }
        Ok(work)
    }

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            encode: self.encode + other.encode,
            steps: [
                self.steps[0] + other.steps[0],
                self.steps[1] + other.steps[1],
            ],
            score: self.score + other.score,
        }
    }
}

impl Speed {
    /// Learns from the steps that earlier runs have logged.
    pub(crate) fn of_runs(runs: &[Run]) -> Self {
        let mut speed = Self::default();
        for run in runs {
            let logged = logged(&run.folder);
            for (seen, done) in speed.steps.iter_mut().zip(logged) {
                seen.add(done.times, done.seconds);
            }
        }
        speed
    }

    /// Fills what is not known with what was measured.
    pub(crate) fn or(mut self, pace: &Pace) -> Self {
        let fill = |seen: &mut Seen, seconds: f64| {
            if seen.times == 0 && seconds > 0.0 {
                seen.add(1, seconds);
            }
        };
        fill(&mut self.encode, pace.encode);
        fill(&mut self.steps[0], pace.stage_one);
        fill(&mut self.steps[1], pace.stage_two);
        self
    }

    /// Whether steps of both stages are known.
    pub(crate) fn knows_steps(&self) -> bool {
        self.steps.iter().all(|seen| seen.times > 0)
    }

    /// Images went through the tower.
    pub(crate) fn encoded(&mut self, images: usize, seconds: f64) {
        self.encode.add(images, seconds);
    }

    /// A step was taken.
    pub(crate) fn stepped(&mut self, stage: Stage, seconds: f64) {
        let place = usize::from(stage == Stage::Two);
        self.steps[place].add(1, seconds);
    }

    /// Images were scored.
    pub(crate) fn scored(&mut self, images: usize, seconds: f64) {
        self.score.add(images, seconds);
    }

    /// Seconds for encoding, the two stages and scoring; `None` if one is needed and unknown. Scoring an image
    /// that was never timed counts as encoding one, and the other way round: both are a pass of the tower.
    pub(crate) fn time(&self, work: &Work) -> Option<[f64; 4]> {
        let (encode, score) = (self.encode.each(), self.score.each());
        let of = |amount: usize, each: Option<f64>| match amount {
            0 => Some(0.0),
            amount => each.map(|each| each * amount as f64),
        };
        Some([
            of(work.encode, encode.or(score))?,
            of(work.steps[0], self.steps[0].each())?,
            of(work.steps[1], self.steps[1].each())?,
            of(work.score, score.or(encode))?,
        ])
    }

    /// All of it in seconds.
    pub(crate) fn total(&self, work: &Work) -> Option<f64> {
        self.time(work).map(|parts| parts.iter().sum())
    }
}

/// Bytes of one image in the feature cache of these settings, at most.
pub(crate) fn cache_bytes(config: &TrainConfig, vision: &VisionConfig) -> usize {
    let size = config.model.image_size;
    let tokens = (size.height / vision.patch_size) * (size.width / vision.patch_size);
    let number = match config.features.dtype {
        FeatureType::F16 => 2,
        FeatureType::F32 => 4,
    };
    (tokens * number + 4) * vision.blocks.width + size.height * size.width
}

/// Complete files of a feature cache.
fn shards(folder: &Path) -> usize {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let ending = Some(OsStr::new("safetensors"));
    files.filter(|f| f.path().extension() == ending).count()
}

/// The steps of both stages that a run has logged. A line that cannot be read is half a line: the run was
/// killed while it was written.
fn logged(folder: &Path) -> [Seen; 2] {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let mut seen = [Seen::default(); 2];
    for line in text.lines() {
        if let Ok(Line { stage, seconds, .. }) = serde_json::from_str(line) {
            seen[usize::from(stage == Stage::Two)].add(1, seconds);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn time_is_known_when_all_that_is_needed_is() {
        let mut speed = Speed::default();
        let work = Work {
            encode: 10,
            steps: [4, 0],
            score: 5,
        };
        assert_eq!(speed.total(&work), None);
        speed.stepped(Stage::One, 1.0);
        speed.stepped(Stage::One, 3.0);
        assert_eq!(speed.total(&work), None);
        speed.encoded(10, 5.0);
        assert_eq!(speed.time(&work), Some([5.0, 8.0, 0.0, 2.5]));
        speed.scored(1, 2.0);
        assert_eq!(speed.total(&work), Some(23.0));
        assert!(!speed.knows_steps());
        let pace = Pace {
            encode: 9.0,
            stage_one: 9.0,
            stage_two: 1.0,
        };
        let speed = speed.or(&pace);
        assert_eq!(speed.total(&work), Some(23.0), "what was seen counts");
        let both = work.and(Work {
            steps: [0, 7],
            ..Work::default()
        });
        assert_eq!(speed.total(&both), Some(30.0));
    }

    #[test]
    fn a_log_tells_what_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let line = |stage: &str, step: usize| {
            format!(
                "{{\"stage\":\"{stage}\",\"epoch\":1,\"step\":{step},\"losses\":{{\"total\":1.0,\"focal\":1.0,\
                 \"dice\":1.0,\"hinge\":1.0}},\"learning_rate\":0.1,\"seconds\":0.5}}\n"
            )
        };
        let text = line("one", 1) + &line("one", 2) + &line("two", 1) + "{\"stage\":\"tw";
        fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        let [one, two] = logged(folder.path());
        assert_eq!((one.times, two.times), (2, 1));
        assert_eq!(one.each(), Some(0.5));
        assert_eq!(logged(&folder.path().join("none"))[0].times, 0);
    }
}
