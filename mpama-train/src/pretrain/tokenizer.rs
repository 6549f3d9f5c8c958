//! A small vocabulary in the form of CLIP's `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Marks the last piece of a word.
const LAST: &str = "</w>";

/// CLIP's byte-level BPE over a vocabulary of its own, in which each of `words` is one token and
/// anything else falls into smaller ones. The end token has the highest id, by which it is found.
pub(super) struct Vocabulary {
    /// Tokens in the order of their ids.
    tokens: Vec<String>,
    merges: Vec<[String; 2]>,
}

impl Vocabulary {
    /// Learns merges until every word is one piece: the most frequent pair first, of equals the
    /// alphabetically first (Sennrich et al., "Neural Machine Translation of Rare Words with Subword
    /// Units").
    pub(super) fn learn(words: &BTreeSet<String>) -> Self {
        let alphabet = alphabet();
        let mut tokens: Vec<String> = alphabet.iter().map(|c| c.to_string()).collect();
        tokens.extend(alphabet.iter().map(|c| format!("{c}{LAST}")));
        let mut pieces: Vec<Vec<String>> = words.iter().map(|w| split(w, &alphabet)).collect();
        let mut merges = Vec::new();
        while let Some(pair) = most_frequent(&pieces) {
            for word in &mut pieces {
                merge(word, &pair);
            }
            let joined = pair.concat();
            if !tokens.contains(&joined) {
                tokens.push(joined);
            }
            merges.push(pair);
        }
        tokens.extend([START, END].map(str::to_owned));
        Self { tokens, merges }
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// `tokenizer.json`.
    pub(super) fn json(&self) -> Value {
        let ids = self.tokens.iter().enumerate();
        let ids: Map<_, _> = ids.map(|(id, token)| (token.clone(), json!(id))).collect();
        let special = |token: &str| {
            json!({
                "id": ids[token], "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        };
        let pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [special(START), special(END)],
            "normalizer": { "type": "Sequence", "normalizers": [
                { "type": "NFC" },
                { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
                { "type": "Lowercase" },
            ]},
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Removed", "invert": true },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            ]},
            "post_processor": {
                "type": "RobertaProcessing",
                "sep": [END, ids[END]],
                "cls": [START, ids[START]],
                "trim_offsets": false,
                "add_prefix_space": false,
            },
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": {
                "type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
                "end_of_word_suffix": LAST, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": false, "vocab": ids, "merges": self.merges,
            },
        })
    }
}

/// GPT-2's printable character for each byte.
fn alphabet() -> Vec<char> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut moved = 0x100u32..;
    let character = |byte: u8| match printable(&byte) {
        true => char::from(byte),
        false => moved.next().and_then(char::from_u32).unwrap_or_default(),
    };
    (0..=u8::MAX).map(character).collect()
}

fn split(word: &str, alphabet: &[char]) -> Vec<String> {
    let bytes = word.bytes().map(|byte| alphabet[usize::from(byte)]);
    let mut pieces: Vec<String> = bytes.map(String::from).collect();
    if let Some(last) = pieces.last_mut() {
        last.push_str(LAST);
    }
    pieces
}

fn most_frequent(words: &[Vec<String>]) -> Option<[String; 2]> {
    let mut counts = BTreeMap::new();
    for pair in words.iter().flat_map(|word| word.windows(2)) {
        *counts.entry((&pair[0], &pair[1])).or_insert(0) += 1;
    }
    // `max_by_key` takes the last of equals: reversed, the alphabetically first.
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    best.map(|((left, right), _)| [left.clone(), right.clone()])
}

fn merge(word: &mut Vec<String>, pair: &[String; 2]) {
    let mut i = 0;
    while i + 1 < word.len() {
        if word[i..i + 2] == *pair {
            let right = word.remove(i + 1);
            word[i].push_str(&right);
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_ends_with_whole_words() {
        let words: BTreeSet<String> = ["gear", "bear", "a", "an", "damaged", "undamaged", "."]
            .map(str::to_owned)
            .into();
        let vocabulary = Vocabulary::learn(&words);
        for word in &words {
            assert!(
                vocabulary.tokens.contains(&format!("{word}{LAST}")),
                "{word}"
            );
        }
        let unique: BTreeSet<_> = vocabulary.tokens.iter().collect();
        assert_eq!(unique.len(), vocabulary.len());
        assert_eq!(vocabulary.tokens[vocabulary.len() - 1], END);
    }
}
