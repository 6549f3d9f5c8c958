//! What can be typed: types and words, no behaviour.

mod bench;
mod datasets;
mod experiment;
mod export;
mod hub;
mod import;

use std::path::PathBuf;

use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};
use mpama_core::DeviceChoice;
use mpama_core::clip::Precision;

pub(crate) use bench::{Bench, Shape};
pub(crate) use datasets::{Check, Datasets, Prepare, Synth};
pub(crate) use experiment::Experiment;
pub(crate) use export::Export;
pub(crate) use hub::{Cache, Pull, Push};
pub(crate) use import::{FromAnomalyClip, Import};

use crate::metric::Requirement;
use crate::settings::Assignment;

/// The first screen. clap has no headings over subcommands (clap#1553), so the list is written by
/// hand; a test sees that every command is in it exactly once.
const FIRST_SCREEN: &str = "\
{about}

{usage-heading} {usage}

Start       demo         learn on drawn things and find defects in others, with nothing to download

Use         predict      score images, folders or standard input
            pull         fetch a backbone or an adapter from the Hugging Face Hub

Make        train        train an adapter in two stages
            eval         measure an adapter on datasets
            experiment   train and measure the variants of a plan
            datasets     list, check, prepare and draw datasets
            push         publish an adapter on the Hub
            import       make an adapter from another project's file
            export       write an adapter for Python

Look after  info         describe an adapter, backbone, run, dataset or image
            bench        time the model here
            cache        list or remove what was fetched
            login        keep the token that the Hub knows you by
            logout       forget it
            whoami       ask the Hub whose it is
            config       show, check or write settings
            completions  script for your shell

Options:
{options}

Exit codes: 0 done, 1 the answer is no (`--exit-code`, `--require`), 2 could not, 130 interrupted.
Start with: mpama predict photo.jpg --maps maps
";

/// Find defects in images of things you have no training images of.
#[derive(Debug, Parser)]
#[command(
    name = "mpama",
    version,
    about,
    long_about = None,
    help_template = FIRST_SCREEN,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    override_usage = "mpama <COMMAND> [OPTIONS]",
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(
        short,
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "auto",
        env = "MPAMA_DEVICE",
        hide_env_values = true
    )]
    pub(crate) device: DeviceChoice,

    /// Answer in JSON on stdout: one object, or one per line
    #[arg(short, long, global = true)]
    pub(crate) json: bool,

    /// Say less: warnings and errors only; twice: nothing at all
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) quiet: u8,

    /// Say more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Colour the words
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// Show no progress while working
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,

    /// Open no connection: use what the cache has (so does HF_HUB_OFFLINE=1)
    #[arg(long, global = true)]
    pub(crate) offline: bool,
}

/// The commands, in the order of the first screen.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Learn on drawn things and find defects in others, with nothing to download
    Demo(Demo),
    /// Score images, folders or standard input
    Predict(Predict),
    /// Train an adapter in two stages
    Train(Train),
    /// Measure an adapter on datasets
    Eval(Eval),
    /// Fetch a backbone or an adapter from the Hugging Face Hub
    Pull(Pull),
    /// Publish an adapter on the Hub
    Push(Push),
    /// Train and measure every variant of a plan, and tabulate them beside the paper's figures
    Experiment(Experiment),
    /// List, check, prepare and draw datasets
    #[command(subcommand)]
    Datasets(Datasets),
    /// Make an adapter from another project's file
    #[command(subcommand)]
    Import(Import),
    /// Write an adapter for Python: with a script that scores images in PyTorch
    Export(Export),
    /// Describe an adapter, backbone, run, dataset or image
    Info(Info),
    /// Time the model here: every step, and how near the image tower comes to what the processor can do
    Bench(Bench),
    /// Show, check or write settings
    #[command(subcommand)]
    Config(Config),
    /// List or remove what was fetched from the Hub
    #[command(subcommand)]
    Cache(Cache),
    /// Keep the token that the Hub knows you by: it is read from stdin or a hidden prompt
    Login,
    /// Forget the kept token
    Logout,
    /// Ask the Hub whose token this is
    Whoami,
    /// Print the completion script for a shell
    Completions(Completions),
}

/// Which backbone, and which adapter on it.
#[derive(Debug, Args)]
pub(crate) struct Model {
    /// A CLIP in the Hugging Face layout: its folder, or its id on the Hub
    #[arg(long, value_name = "CLIP", env = "MPAMA_CLIP", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) clip: Option<PathBuf>,

    /// A trained adapter: its folder, or its id on the Hub; without --clip, the backbone it names is
    /// fetched
    #[arg(
        long,
        value_name = "ADAPTER",
        env = "MPAMA_ADAPTER",
        hide_env_values = true
    )]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) adapter: Option<PathBuf>,

    /// What the processor looks at images in: f32; faster int16 or int8, less exact; bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub(crate) dtype: Precision,
}

/// `mpama demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for everything it makes; repeat the command to continue a demo that was stopped
    #[arg(short, long, value_name = "DIR", default_value = "mpama-demo")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,

    /// Show the result in the browser or picture viewer when done
    #[arg(long)]
    pub(crate) open: bool,

    /// Seed of the drawn images and of training
    #[arg(long, value_name = "N", default_value_t = 111)]
    pub(crate) seed: u64,

    /// A tenth of the images and epochs: for a first look, and for tests
    #[arg(long)]
    pub(crate) small: bool,
}

/// `mpama predict`.
#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Images, folders with all below them, patterns, or `-` for the bytes of one image on stdin
    #[arg(required = true, value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) model: Model,

    /// Call an image anomalous from this score on; without it, the adapter's own threshold is used
    #[arg(long, value_name = "T", value_parser = parse_threshold)]
    pub(crate) threshold: Option<f32>,

    /// Write a heatmap for every image: NAME.map.png
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) maps: Option<PathBuf>,

    /// With --maps: also write the heatmap over the image, NAME.overlay.png
    #[arg(long, requires = "maps")]
    pub(crate) overlay: bool,

    /// Print at the end, highest score first, instead of in the order of the inputs
    #[arg(long, value_name = "BY")]
    pub(crate) sort: Option<SortBy>,

    /// Print only the N highest scores
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,

    /// Exit with 1 if any image is anomalous
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Turn images as their EXIF orientation says (training ignores it)
    #[arg(long)]
    pub(crate) exif: bool,
}

/// What `--sort` sorts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortBy {
    // Highest first.
    Score,
}

/// Where settings come from, beyond the defaults.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Settings in TOML; `mpama config init` writes one with every default
    #[arg(
        long,
        value_name = "FILE",
        env = "MPAMA_CONFIG",
        hide_env_values = true
    )]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Change one setting, as in `stage-one.epochs=5`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Assignment>,
}

/// `mpama train`.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Dataset to learn from: a folder with normal and anomalous images, and masks; or a list of them
    /// (.csv, .jsonl, or AnomalyCLIP's meta.json)
    #[arg(long, value_name = "DATASET", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<PathBuf>,

    /// A CLIP in the Hugging Face layout: its folder, or its id on the Hub
    #[arg(long, value_name = "CLIP", env = "MPAMA_CLIP", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) clip: Option<PathBuf>,

    /// Run folder to create
    #[arg(short, long, value_name = "RUN", conflicts_with = "resume")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,

    /// Run folder to continue where it stopped
    #[arg(long, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<PathBuf>,

    /// How the dataset's files are arranged (`mpama datasets list`); recognised if not given
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,

    #[command(flatten)]
    pub(crate) settings: Settings,

    /// Train the prompts (one), the experts on the prompts of the run to --resume (two), or both
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<Stages>,

    /// Seed of every random number; the same as `--set seed=N`
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Check everything, say what would be done, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which of the two stages to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stages {
    One,
    Two,
    Both,
}

/// `mpama eval`.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// A CLIP in the Hugging Face layout: its folder, or its id on the Hub
    #[arg(long, value_name = "CLIP", env = "MPAMA_CLIP", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) clip: Option<PathBuf>,

    /// A trained adapter: its folder, or its id on the Hub; of several, such as seeds, mean and standard deviation are shown
    #[arg(
        long,
        num_args = 1..,
        value_name = "ADAPTER",
        env = "MPAMA_ADAPTER",
        hide_env_values = true
    )]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) adapter: Vec<PathBuf>,

    /// What the processor looks at images in: f32; faster int16 or int8, less exact; bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub(crate) dtype: Precision,

    /// Datasets to measure on: folders, or lists of images (.csv, .jsonl, or AnomalyCLIP's meta.json)
    #[arg(long, required = true, num_args = 1.., value_name = "DATASET")]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) data: Vec<PathBuf>,

    /// How the datasets' files are arranged (`mpama datasets list`); recognised if not given
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,

    /// One row for every category, not only the mean
    #[arg(long)]
    pub(crate) per_category: bool,

    /// Write report.html, a page with tables, curves and pictures, report.json and report.csv
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) report: Option<PathBuf>,

    /// With --report: show for every category the N images that it got most wrong, and the N that it
    /// got most right
    #[arg(long, value_name = "N", default_value_t = 8, requires = "report")]
    pub(crate) gallery: usize,

    /// Write the whole report as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) save: Option<PathBuf>,

    /// Subtract the figures of an earlier report.json on the same data
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) compare: Option<PathBuf>,

    /// Exit with 1 if a dataset's mean is below so many per cent, as in image-auroc=90; may be repeated
    #[arg(long, value_name = "METRIC=PERCENT")]
    pub(crate) require: Vec<Requirement>,

    /// Write every map (smoothed, as it is measured) and mask as .npy, and index.jsonl with the scores
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) save_maps: Option<PathBuf>,

    /// Compare maps and masks at the size of each image's file, not of the network's input
    #[arg(long)]
    pub(crate) original_size: bool,

    /// Count pixels in N bins between 0 and 1 (65536, say) instead of ranking them: constant memory, and
    /// the bounds of the exact figures are shown
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..=1 << 24))]
    pub(crate) bins: Option<usize>,

    /// Images that go through the model together
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) batch_size: usize,

    /// Measure even on the dataset that the adapter was trained on
    #[arg(long)]
    pub(crate) allow_training_data: bool,
}

/// `mpama info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Folder of an adapter, a CLIP, a run or a dataset; an image; or the id of a model on the Hub
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// `mpama config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Write a commented TOML with every setting and its default
    Init {
        /// File to create; `-` for stdout
        #[arg(value_name = "FILE", default_value = "mpama.toml", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Show every setting's value and where it came from
    Show(Settings),
    /// Check a file of settings
    Check {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// `mpama completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// A threshold is a score, and scores lie in [0, 1].
fn parse_threshold(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(_) => Err("scores lie between 0 and 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_on_the_first_screen_exactly_once() {
        let lines: Vec<Vec<&str>> = FIRST_SCREEN
            .lines()
            .skip_while(|line| !line.starts_with("Start "))
            .take_while(|line| !line.starts_with("Options"))
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .collect()
            })
            .collect();
        for command in Cli::command().get_subcommands() {
            let shown = lines
                .iter()
                .flatten()
                .filter(|word| **word == command.get_name())
                .count();
            assert_eq!(shown, 1, "`{}`", command.get_name());
        }
        let listed = lines.iter().filter(|line| !line.is_empty()).count();
        assert_eq!(
            listed,
            Cli::command().get_subcommands().count(),
            "a command that is not there is listed"
        );
    }
}
