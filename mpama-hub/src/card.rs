//! The model card: `README.md` of an adapter on the Hub, from facts alone.

use std::fmt::Write;

use mpama_core::AdapterConfig;
use serde_json::Value;

use crate::id::ModelId;

/// What a card is made from.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// Where the adapter will be.
    pub id: &'a ModelId,
    /// What it is.
    pub config: &'a AdapterConfig,
    /// `MPA` or `MPAMA`.
    pub method: &'a str,
    /// The Hub's name of its licence, if its owner chose one.
    pub licence: Option<&'a str>,
    /// What it was measured to be.
    pub results: &'a [Measured],
    /// Under which terms the data is published that it was trained and measured on.
    pub data: &'a [Licence],
    /// Defects of those datasets, taken by rank: photo and heatmap side by side.
    pub examples: &'a [Picture],
    /// Other pictures that are published with it.
    pub pictures: &'a [Picture],
    /// The script beside it that scores images in PyTorch, if there is one that can.
    pub script: Option<&'a str>,
}

/// The figures on one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Its name.
    pub dataset: String,
    /// Images.
    pub images: usize,
    /// The Hub's type, the name and the value in per cent of each metric that is defined there.
    pub metrics: Vec<(String, String, f64)>,
    /// The command that measures them.
    pub command: String,
}

/// The terms of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// Its name.
    pub dataset: String,
    /// The terms, as its publisher states them.
    pub terms: String,
}

/// A picture beside the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its name in the repository.
    pub file: String,
    /// What it shows.
    pub shows: String,
}

/// The task, in the Hub's words: of those it has, the nearest.
const TASK: &str = "zero-shot-image-classification";

impl Card<'_> {
    /// The card: metadata in YAML between two lines `---`, then Markdown.
    pub fn text(&self) -> String {
        let mut text = String::from("---\n");
        self.metadata(&mut text);
        text.push_str("---\n\n");
        // Writing to a string cannot fail.
        let _ = self.body(&mut text);
        text
    }

    fn metadata(&self, text: &mut String) {
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!("base_model: {}", yaml(&self.config.base_model.id)));
        line("base_model_relation: adapter".to_owned());
        line("library_name: mpama".to_owned());
        line(format!("pipeline_tag: {TASK}"));
        if let Some(licence) = self.licence {
            line(format!("license: {}", yaml(licence)));
        }
        line("tags:\n- anomaly-detection\n- anomaly-segmentation\n- zero-shot\n- clip".to_owned());
        if let Some(training) = &self.config.training {
            line(format!("datasets:\n- {}", yaml(&training.dataset)));
        }
        if self
            .results
            .iter()
            .all(|measured| measured.metrics.is_empty())
        {
            return;
        }
        line(format!(
            "model-index:\n- name: {}\n  results:",
            yaml(self.id.name())
        ));
        for measured in self.results.iter().filter(|m| !m.metrics.is_empty()) {
            line(format!(
                "  - task:\n      type: {TASK}\n      name: Zero-shot anomaly detection"
            ));
            let name = yaml(&measured.dataset);
            line(format!(
                "    dataset:\n      name: {name}\n      type: {name}\n    metrics:"
            ));
            for (kind, name, value) in &measured.metrics {
                let (kind, name) = (yaml(kind), yaml(&format!("{name} (%)")));
                line(format!(
                    "    - type: {kind}\n      name: {name}\n      value: {value:.2}"
                ));
            }
        }
    }

    fn body(&self, text: &mut String) -> std::fmt::Result {
        let (config, base, id) = (self.config, &self.config.base_model, self.id);
        writeln!(text, "# {}\n", id.name())?;
        writeln!(
            text,
            "An {} adapter for `{}`: with it, `mpama` finds defects in images of things it has no training \
             images of, and shows where they are.\n",
            self.method, base.id
        )?;
        for Picture { file, shows } in self.pictures {
            writeln!(text, "![{}]({file})\n", plain(shows))?;
        }
        writeln!(text, "## Use it\n")?;
        writeln!(
            text,
            "```console\n$ mpama predict photo.jpg --adapter {id} --maps maps\n```\n"
        )?;
        writeln!(
            text,
            "fetches this adapter and its backbone, writes a heatmap and prints a score between 0 and 1.\n"
        )?;
        self.python(text)?;
        writeln!(text, "## What it is\n\n| | |\n|---|---|")?;
        writeln!(text, "| Backbone | `{}` |", base.id)?;
        if let Some(revision) = &base.revision {
            writeln!(text, "| Revision | `{revision}` |")?;
        }
        writeln!(
            text,
            "| Fingerprint of its vision tower | `{}` |",
            base.fingerprint
        )?;
        let size = config.model.image_size;
        writeln!(
            text,
            "| Image size | {}×{} pixels |",
            size.height, size.width
        )?;
        writeln!(
            text,
            "| Perceptions | {:?} |",
            config.model.perception.levels
        )?;
        match &config.training {
            None => writeln!(text, "| Trained on | not by `mpama` |")?,
            Some(training) => {
                writeln!(
                    text,
                    "| Trained on | {}, {} images per epoch |",
                    training.dataset, training.images
                )?;
                writeln!(
                    text,
                    "| Epochs | {} of stage one, {} of stage two |",
                    training.epochs[0], training.epochs[1]
                )?;
                writeln!(text, "| Seed | {} |", training.seed)?;
                writeln!(
                    text,
                    "| Hash of the training index | `{}` |",
                    training.index_hash
                )?;
            }
        }
        if let Some(imported) = &config.imported {
            writeln!(
                text,
                "| Made from | `{}` of {}, SHA-256 `{}` |",
                imported.file, imported.format, imported.sha256
            )?;
        }
        match &config.threshold {
            None => writeln!(text, "| Threshold | none chosen |\n")?,
            Some(threshold) => writeln!(
                text,
                "| Threshold | {} ({}) |\n",
                threshold.value, threshold.origin
            )?,
        }
        self.measured(text)?;
        self.seen(text)?;
        writeln!(text, "## Limits\n")?;
        writeln!(
            text,
            "- It belongs to this backbone alone: another one, or other weights under the same name, is refused."
        )?;
        match &config.training {
            Some(training) => writeln!(
                text,
                "- Figures on {} itself would say nothing: it was trained on it.",
                training.dataset
            )?,
            None => writeln!(text, "- What it was trained on is not recorded.")?,
        }
        if config.threshold.is_none() {
            writeln!(
                text,
                "- A score becomes a verdict only with a threshold chosen on images of your own."
            )?;
        }
        if !self.data.is_empty() {
            writeln!(text, "\n## Licences of the data\n")?;
            for Licence { dataset, terms } in self.data {
                writeln!(text, "- {dataset}: {terms}")?;
            }
        }
        Ok(())
    }

    /// How a program in Python scores an image: `tests/peer/card.py` runs what is written here.
    fn python(&self, text: &mut String) -> std::fmt::Result {
        let Some(script) = self.script else {
            return Ok(());
        };
        let (id, base) = (self.id, &self.config.base_model);
        let module = script.trim_end_matches(".py");
        let quoted = |text: &str| Value::from(text).to_string(); // as JSON and Python agree on
        let clip = match (base.id.parse::<ModelId>(), &base.revision) {
            (Ok(_), Some(at)) => format!("{}, revision={}", quoted(&base.id), quoted(at)),
            (Ok(_), None) => quoted(&base.id),
            (Err(_), _) => quoted(&format!("path/to/{}", base.id)),
        };
        writeln!(
            text,
            "From Python, without `mpama`: `{script}` beside this card has the same maths in PyTorch, for the \
             image's score and for the map.\n\n\
             ```python\n\
             # pip install huggingface_hub numpy pillow safetensors torch transformers\n\
             import sys\n\
             \n\
             from huggingface_hub import snapshot_download\n\
             from PIL import Image\n\
             from transformers import CLIPModel\n\
             \n\
             adapter = snapshot_download(\"{id}\", allow_patterns=[\"adapter_*\", \"{script}\"])\n\
             sys.path.insert(0, adapter)  # runs code of this repository: a hundred lines, read them first\n\
             from {module} import detect\n\
             \n\
             clip = CLIPModel.from_pretrained({clip}).float().eval()\n\
             score, heatmap = detect(clip, Image.open(\"photo.png\"))\n\
             print(f\"{{score:.6f}}\")  # between 0 and 1, as `mpama predict` has it\n\
             print(heatmap.shape, heatmap.max())  # anomaly probabilities at the network's size\n\
             ```\n\n\
             It does not check that the backbone is the right one: take the one below.\n"
        )
    }

    fn seen(&self, text: &mut String) -> std::fmt::Result {
        if self.examples.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "## What it sees\n\nDefects taken by rank, not for looks: those of a category are sorted by score \
             and parted evenly, and the middle one of each part is shown; of more than six categories, six \
             spread evenly over their names. On the left the photo. On the right its heatmap, from dark \
             violet (anomaly probability 0) over red to pale yellow (1), with the true defect outlined where \
             it is known.\n"
        )?;
        for Picture { file, shows } in self.examples {
            let shows = plain(shows);
            writeln!(text, "![{shows}]({file})\n\n{shows}\n")?;
        }
        Ok(())
    }

    fn measured(&self, text: &mut String) -> std::fmt::Result {
        if self.results.is_empty() {
            return Ok(());
        }
        writeln!(text, "## Results\n\nIn per cent, means over categories.\n")?;
        for Measured {
            dataset,
            images,
            metrics,
            command,
        } in self.results
        {
            writeln!(
                text,
                "**{dataset}** ({images} images)\n\n| Metric | |\n|---|---:|"
            )?;
            for (_, name, value) in metrics {
                writeln!(text, "| {name} | {value:.1} |")?;
            }
            writeln!(text, "\n```console\n$ {command}\n```\n")?;
        }
        Ok(())
    }
}

/// A text as Markdown has it: no character is markup, and all is on one line.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => safe.push(' '),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '-' | ':' | '/') => {
                safe.extend(['\\', c]);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A text as YAML has it: quoted as JSON does, which is YAML too, unless it can only be a plain text.
fn yaml(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    // Words that YAML takes for something else than a text.
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !other.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(
            plain("a_b](x)\n<img> & `c`, 1.5"),
            "a\\_b\\]\\(x\\) &lt;img\\> &amp; \\`c\\`, 1.5"
        );
    }

    #[test]
    fn texts_stay_texts_in_yaml() {
        for text in ["openai/clip-vit-base-patch32", "visa", "ViT-L.14"] {
            assert_eq!(yaml(text), text);
        }
        for (text, quoted) in [
            ("no", "\"no\""),
            ("1.5", "\"1.5\""),
            ("a: b", "\"a: b\""),
            ("x\ny", "\"x\\ny\""),
            ("", "\"\""),
            ("say \"hi\"", "\"say \\\"hi\\\"\""),
        ] {
            assert_eq!(yaml(text), quoted);
        }
    }
}
