//! Prompt checkpoints of AnomalyCLIP, as adapters.
//!
//! Such a `.pth` holds what AnomalyCLIP's prompt learner saves: learned tokens of a normal and an
//! abnormal prompt, deep prompts, and the frozen embeddings of the words around them. What they become
//! in CLIP's text tower is all that predicting needs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};

use crate::adapter::{Adapter, AdapterConfig, BaseModel, Imported, SCHEMA_VERSION};
use crate::clip::{ClipConfig, ClipTokenizer, TextTower};
use crate::config::{Depth, ImageSize, ModelConfig};
use crate::error::{Error, Result};
use crate::nn::normalize::unit_length;
use crate::prompt::TextVectors;
use crate::torch::{TorchError, TorchFile};

/// What [`Imported::format`] says of such files.
pub const ANOMALY_CLIP: &str = "anomalyclip";
const SECTION: &str = "prompt_learner";
/// Normal and abnormal, as the file calls them.
const CLASSES: [&str; 2] = ["pos", "neg"];

/// A prompt checkpoint in memory. X is the width of the text tower it was made with.
#[derive(Debug)]
pub struct AnomalyClip {
    path: PathBuf,
    sha256: String,
    classes: [Class; 2],
    /// Deep prompts, `[rows, X]` each.
    deep: Vec<Tensor>,
}

/// One prompt.
#[derive(Debug)]
struct Class {
    /// Learned tokens, `[E, X]`.
    context: Tensor,
    /// Start token, learned tokens, words, end token and padding, `[L, X]`, without positions.
    sequence: Tensor,
    /// Token ids of the whole; those of learned tokens are of placeholders.
    ids: Vec<u32>,
}

impl Class {
    /// Position of the end token, found as CLIP does: the first of the highest id.
    fn end(&self) -> usize {
        let highest = self.ids.iter().max();
        let end = self.ids.iter().position(|id| Some(id) == highest);
        end.unwrap_or(0)
    }
}

impl AnomalyClip {
    /// Reads a checkpoint. Nothing in it is executed, and every tensor is checked for its shape, its
    /// type and values that are not finite.
    ///
    /// # Errors
    /// [`Error::Import`] names the file and what is wrong with it, [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let sha256 = sha256(path).map_err(|source| io(path, source))?;
        let file = TorchFile::open(path).map_err(|error| torch(path, error))?;
        let reader = Reader { path, file };
        let [normal, abnormal] = CLASSES.map(|class| reader.class(class));
        let classes = [normal?, abnormal?];
        let [a, b] = classes.each_ref().map(|class| class.context.dims());
        if a != b {
            let problem = format!("`ctx_pos` has shape {a:?}, `ctx_neg` {b:?}");
            return Err(Error::import(path, problem));
        }
        let deep = reader.deep(classes[0].context.dim(1)?)?;
        let path = path.to_owned();
        Ok(Self {
            path,
            sha256,
            classes,
            deep,
        })
    }

    /// Learned tokens per prompt, E.
    pub fn length(&self) -> usize {
        self.classes[0].context.dims()[0]
    }

    /// Width X of the text tower it was made with.
    pub fn width(&self) -> usize {
        self.classes[0].context.dims()[1]
    }

    /// Number of deep prompts.
    pub fn deep(&self) -> usize {
        self.deep.len()
    }

    /// AnomalyCLIP as settings of our parts, with the sizes of this checkpoint. Images are 518 pixels a
    /// side, or the nearest size below that this CLIP's patches divide.
    pub fn model(&self, clip: &ClipConfig) -> ModelConfig {
        let mut model = ModelConfig::anomaly_clip();
        let prompt = &mut model.prompt;
        prompt.length = self.length();
        prompt.deep_length = self.deep.first().map_or(0, |prompt| prompt.dims()[0]);
        prompt.deep_depth = Depth::Blocks(if self.deep.is_empty() {
            0
        } else {
            1 + self.deep.len()
        });
        let ImageSize { height: side, .. } = model.image_size;
        let side = side - side % clip.vision.patch_size;
        model.image_size = ImageSize {
            height: side,
            width: side,
        };
        model
    }

    /// Compares the checkpoint's token ids with the tokenizer's: both have to mean `object.` and
    /// `damaged object.`.
    ///
    /// # Errors
    /// [`Error::Words`] with both.
    pub fn check_words(&self, tokenizer: &ClipTokenizer) -> Result<()> {
        let settings = ModelConfig::anomaly_clip().prompt;
        for (class, words) in self
            .classes
            .iter()
            .zip([settings.normal, settings.abnormal])
        {
            let template = format!("{}{words}.", "X ".repeat(self.length()));
            let expected = tokenizer.encode(&template)?;
            let found = &class.ids[..=class.end()];
            if found != expected {
                return Err(Error::Words {
                    path: self.path.clone(),
                    template,
                    expected,
                    found: found.to_vec(),
                });
            }
        }
        Ok(())
    }

    /// Largest difference between the words' embeddings in the checkpoint and this tower's, in parts of
    /// the largest of the latter. Of the CLIP that the prompts were learned with it is 0.
    ///
    /// # Errors
    /// [`Error::Foreign`] for another width, and an id outside the vocabulary.
    pub fn distance(&self, text: &TextTower) -> Result<f32> {
        self.check_width(text)?;
        let mut largest = (0f32, f32::MIN_POSITIVE);
        for class in &self.classes {
            let rows = 1 + class.end();
            let own = class.sequence.narrow(0, 0, rows)?;
            let theirs = text.embed(&class.ids[..rows])?;
            let theirs = theirs.to_device(own.device())?;
            // Behind the start token come the learned ones, which are nobody's words.
            let after = 1 + self.length();
            for (from, rows) in [(0, 1), (after, rows - after)] {
                let (own, theirs) = (own.narrow(0, from, rows)?, theirs.narrow(0, from, rows)?);
                let most = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
                largest.0 = largest.0.max(most(&(own - &theirs)?)?);
                largest.1 = largest.1.max(most(&theirs)?);
            }
        }
        Ok(largest.0 / largest.1)
    }

    /// The text vectors that AnomalyCLIP computes with this tower: the words' embeddings are the
    /// checkpoint's, as its code loads them, and deep prompts are rounded to half precision.
    ///
    /// # Errors
    /// [`Error::Foreign`] if the checkpoint does not fit the tower, [`Error::Import`] if the vectors are
    /// not finite.
    pub fn text_vectors(&self, text: &TextTower) -> Result<TextVectors> {
        self.check_width(text)?;
        let ends = self.classes.each_ref().map(Class::end);
        let rows = 1 + ends[0].max(ends[1]);
        let foreign = |wanted, found| Error::Foreign {
            path: self.path.clone(),
            wanted,
            found,
        };
        if rows > text.context() {
            let wanted = format!("{rows} tokens or more");
            return Err(foreign(wanted, text.context().to_string()));
        }
        if self.deep.len() >= text.layers() {
            let wanted = format!("{} blocks or more", 1 + self.deep.len());
            return Err(foreign(wanted, text.layers().to_string()));
        }
        let device = text.embed(&self.classes[0].ids[..0])?.device().clone();
        let half = |prompt: &Tensor| -> Result<Tensor> {
            let rounded = prompt.to_dtype(DType::F16)?.to_dtype(DType::F32)?;
            Ok(rounded.to_device(&device)?)
        };
        let deep = self.deep.iter().map(half).collect::<Result<Vec<_>>>()?;
        let encode = |class: &Class| -> Result<Tensor> {
            let sequence = class.sequence.to_device(&device)?;
            let (start, rest) = (
                sequence.narrow(0, 0, 1)?,
                sequence.narrow(0, 1, class.end())?,
            );
            Ok(text.encode(&start, &rest.unsqueeze(0)?, &[class.end()], &deep)?)
        };
        let [normal, abnormal] = self.classes.each_ref().map(encode);
        let global = unit_length(&Tensor::cat(&[normal?, abnormal?], 0)?)?; // [2, D]
        let sum: f32 = global.sum_all()?.to_scalar()?;
        if !sum.is_finite() {
            let problem = "its text vectors are not finite with this CLIP";
            return Err(Error::import(&self.path, problem));
        }
        let local = global.unsqueeze(0)?;
        Ok(TextVectors { global, local })
    }

    /// The adapter: text vectors, the prompts they came from, settings and provenance.
    ///
    /// # Errors
    /// As [`AnomalyClip::text_vectors`], and [`Error::Setting`] for sizes that our settings do not allow.
    pub fn adapter(
        &self,
        base_model: BaseModel,
        clip: &ClipConfig,
        text: &TextTower,
    ) -> Result<Adapter> {
        let model = self.model(clip);
        model.validate()?;
        let named = |(name, class): (&str, &Class)| {
            (format!("prompt.global.{name}"), class.context.clone())
        };
        let names = ["normal", "abnormal"].into_iter();
        let deep = self.deep.iter().enumerate();
        let deep = deep.map(|(i, prompt)| (format!("prompt.deep.{i}"), prompt.clone()));
        let prompts = names.zip(&self.classes).map(named).chain(deep).collect();
        let file = self.path.file_name().unwrap_or_default();
        Ok(Adapter {
            config: AdapterConfig {
                schema_version: SCHEMA_VERSION,
                base_model,
                model,
                training: None,
                imported: Some(Imported {
                    format: ANOMALY_CLIP.into(),
                    file: file.to_string_lossy().into_owned(),
                    sha256: self.sha256.clone(),
                }),
                threshold: None,
            },
            text: self.text_vectors(text)?,
            prompts,
            experts: None,
        })
    }

    fn check_width(&self, text: &TextTower) -> Result<()> {
        if self.width() == text.width() {
            return Ok(());
        }
        Err(Error::Foreign {
            path: self.path.clone(),
            wanted: format!("width {}", self.width()),
            found: text.width().to_string(),
        })
    }
}

/// The file's tensors, checked.
struct Reader<'a> {
    path: &'a Path,
    file: TorchFile,
}

impl Reader<'_> {
    fn class(&self, class: &str) -> Result<Class> {
        let context = self.rows(&format!("ctx_{class}"))?;
        let start = self.rows(&format!("token_prefix_{class}"))?;
        let words = self.rows(&format!("token_suffix_{class}"))?;
        let width = context.dim(1)?;
        for (name, tensor, rows) in [
            ("token_prefix", &start, 1),
            ("token_suffix", &words, words.dim(0)?),
        ] {
            if tensor.dims() != [rows, width] {
                let name = format!("{name}_{class}");
                let expected = format!("{rows} of width {width}");
                return Err(self.misshapen(&name, &expected, tensor.dims()));
            }
        }
        let sequence = Tensor::cat(&[&start, &context, &words], 0)?;
        let ids = self.ids(&format!("tokenized_prompts_{class}"), sequence.dim(0)?)?;
        let found = Class {
            context,
            sequence,
            ids,
        };
        let learned = found.context.dim(0)?;
        if found.end() <= learned {
            let problem = format!(
                "`tokenized_prompts_{class}` ends at {}, among the {learned} learned tokens",
                found.end()
            );
            return Err(Error::import(self.path, problem));
        }
        Ok(found)
    }

    /// A float tensor `[1, 1, rows, X]` as `[rows, X]`.
    fn rows(&self, name: &str) -> Result<Tensor> {
        let (shape, _) = self.describe(name)?;
        match shape[..] {
            [1, 1, rows, width] if rows > 0 && width > 0 => {
                Ok(self.floats(name)?.reshape((rows, width))?)
            }
            ref found => Err(self.misshapen(name, "[1, 1, tokens, width]", found)),
        }
    }

    /// All deep prompts, `[rows, width]` each, alike.
    fn deep(&self, width: usize) -> Result<Vec<Tensor>> {
        let prefix = format!("{SECTION}.compound_prompts_text.");
        let count = self
            .file
            .names()
            .filter(|name| name.starts_with(&prefix))
            .count();
        let mut deep: Vec<Tensor> = Vec::new();
        for i in 0..count {
            let name = format!("compound_prompts_text.{i}");
            let (shape, _) = self.describe(&name)?;
            let rows = deep
                .first()
                .map_or(shape.first().copied().unwrap_or(0), |first| first.dims()[0]);
            if rows == 0 || shape != [rows, width] {
                let expected = format!("[{}, {width}]", rows.max(1));
                return Err(self.misshapen(&name, &expected, &shape));
            }
            deep.push(self.floats(&name)?);
        }
        Ok(deep)
    }

    fn ids(&self, name: &str, expected: usize) -> Result<Vec<u32>> {
        let (shape, dtype) = self.describe(name)?;
        let count = shape
            .iter()
            .try_fold(1usize, |n, side| n.checked_mul(*side));
        if count != Some(expected) {
            return Err(self.misshapen(name, &format!("{expected} in all"), &shape));
        }
        if !matches!(dtype, DType::I32 | DType::I64) {
            let problem = format!(
                "`{name}` is of type {}, expected whole numbers",
                dtype.as_str()
            );
            return Err(Error::import(self.path, problem));
        }
        let numbers: Vec<i64> = self
            .read(name)?
            .flatten_all()?
            .to_dtype(DType::I64)?
            .to_vec1()?;
        let id = |number: i64| {
            u32::try_from(number)
                .map_err(|_| Error::import(self.path, format!("`{name}` holds {number}")))
        };
        numbers.into_iter().map(id).collect()
    }

    fn floats(&self, name: &str) -> Result<Tensor> {
        let (_, dtype) = self.describe(name)?;
        if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F64) {
            let problem = format!("`{name}` is of type {}, expected floats", dtype.as_str());
            return Err(Error::import(self.path, problem));
        }
        let tensor = self.read(name)?.to_dtype(DType::F32)?;
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(tensor),
            Some(at) => {
                let problem = format!("`{name}` holds {} at position {at}", values[at]);
                Err(Error::import(self.path, problem))
            }
        }
    }

    fn describe(&self, name: &str) -> Result<(Vec<usize>, DType)> {
        let described = self.file.describe(&format!("{SECTION}.{name}"));
        let described = described.ok_or_else(|| {
            let problem = format!("no tensor `{name}` in `{SECTION}`");
            Error::import(self.path, problem)
        })?;
        match &described.dtype {
            Ok(dtype) => Ok((described.shape.clone(), *dtype)),
            Err(other) => Err(Error::import(
                self.path,
                format!("`{name}` is of type {other}"),
            )),
        }
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let tensor = self.file.read(&format!("{SECTION}.{name}"));
        tensor.map_err(|error| torch(self.path, error))
    }

    fn misshapen(&self, name: &str, expected: &str, found: &[usize]) -> Error {
        let problem = format!("`{name}` has shape {found:?}, expected {expected}");
        Error::import(self.path, problem)
    }
}

fn torch(path: &Path, error: TorchError) -> Error {
    match error {
        TorchError::Io(source) => io(path, source),
        other => Error::import(path, other),
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_owned();
    Error::Io { path, source }
}

/// SHA-256 of a file, in hexadecimal.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
