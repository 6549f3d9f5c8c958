//! CLIP's byte-level BPE.

use std::path::Path;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::error::{ClipError, Result};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// How OpenAI's tokenizer cuts a text into words.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Text to token ids.
#[derive(Debug, Clone)]
pub struct ClipTokenizer {
    bpe: Tokenizer,
    start: u32,
    end: u32,
    context: usize,
}

impl ClipTokenizer {
    /// Opens a folder's `tokenizer.json`, else its `vocab.json` and `merges.txt`. `context` is the
    /// longest sequence, start and end included.
    ///
    /// # Errors
    /// [`ClipError::MissingFile`] or [`ClipError::Unreadable`].
    pub fn open(folder: &Path, context: usize) -> Result<Self> {
        let [fast, vocabulary, merges] =
            ["tokenizer.json", "vocab.json", "merges.txt"].map(|name| folder.join(name));
        let (path, bpe) = if fast.is_file() {
            let bpe = from_json(&fast);
            (fast, bpe)
        } else if vocabulary.is_file() && merges.is_file() {
            let bpe = from_vocabulary(&vocabulary, &merges);
            (vocabulary, bpe)
        } else {
            let wanted = vec!["tokenizer.json", "vocab.json with merges.txt"];
            return Err(ClipError::MissingFile {
                folder: folder.to_owned(),
                wanted,
            });
        };
        let unreadable = |reason: String| ClipError::Unreadable {
            path: path.clone(),
            reason,
        };
        let mut bpe = bpe.map_err(|error| unreadable(error.to_string()))?;
        // Whatever a file says about lengths: start, end and cutting are done here.
        bpe.with_padding(None);
        bpe.with_truncation(None)
            .map_err(|error| unreadable(error.to_string()))?;
        let id = |token: &str| {
            bpe.token_to_id(token)
                .ok_or_else(|| unreadable(format!("no token {token}, not CLIP's vocabulary")))
        };
        Ok(Self {
            start: id(START)?,
            end: id(END)?,
            context,
            bpe,
        })
    }

    /// Token ids of `text`: start, words, end. Not padded; words beyond the context are cut off, the
    /// end token is kept.
    ///
    /// # Errors
    /// [`ClipError::Tokenize`] if the vocabulary lacks a byte of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .bpe
            .encode(text, false)
            .map_err(|error| ClipError::Tokenize {
                text: text.to_owned(),
                reason: error.to_string(),
            })?;
        let words = encoding
            .get_ids()
            .iter()
            .copied()
            .take(self.context.saturating_sub(2));
        Ok(std::iter::once(self.start)
            .chain(words)
            .chain([self.end])
            .collect())
    }

    /// Id of the token every sequence starts with.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Id of the token every sequence ends with.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Longest sequence, start and end included.
    pub fn context(&self) -> usize {
        self.context
    }
}

/// Reads `tokenizer.json`, which may be a stranger's: `tokenizers` 0.23 panics on some damaged files, and
/// that is an error like any other. The decoder, on which it panics first, is left out: ids are never
/// turned back into text here.
fn from_json(path: &Path) -> tokenizers::Result<Tokenizer> {
    let mut json: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    if let Some(fields) = json.as_object_mut() {
        fields.remove("decoder");
    }
    // Nothing that the closure touches is used again after a panic.
    let read = std::panic::catch_unwind(|| serde_json::from_value(json));
    let read = read.map_err(|_| tokenizers::Error::from("damaged: `tokenizers` gives up on it"))?;
    Ok(read?)
}

/// What `tokenizer.json` would hold, from the older pair of files.
fn from_vocabulary(vocabulary: &Path, merges: &Path) -> tokenizers::Result<Tokenizer> {
    let utf8 = |path: &Path| {
        let path = path.to_str().map(str::to_owned);
        path.ok_or_else(|| tokenizers::Error::from("the path is not UTF-8"))
    };
    let (vocabulary, merges) = BPE::read_file(&utf8(vocabulary)?, &utf8(merges)?)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .unk_token(END.to_owned())
        .end_of_word_suffix("</w>".to_owned())
        .build()?;
    let mut bpe = Tokenizer::new(model);
    let space = Replace::new(
        tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()),
        " ",
    )?;
    bpe.with_normalizer(Some(Normalizers::new(vec![
        NFC.into(),
        space.into(),
        Lowercase.into(),
    ])))?;
    let words = Split::new(
        SplitPattern::Regex(WORDS.to_owned()),
        SplitDelimiterBehavior::Removed,
        true,
    )?;
    bpe.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        words.into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    bpe.add_special_tokens([START, END].map(|token| AddedToken::from(token, true)))?;
    Ok(bpe)
}
