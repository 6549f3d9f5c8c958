//! Backbones that are known to work, at revisions that stay what they are.

/// A CLIP on the Hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// `owner/name`.
    pub id: &'static str,
    /// The commit.
    pub revision: &'static str,
    /// What it is called in papers.
    pub name: &'static str,
    /// Pixels a side that it was trained at.
    pub pixels: u32,
}

/// The CLIPs of the papers of this field, the paper's own first. Any other CLIP in the Hugging Face
/// layout works as well.
#[rustfmt::skip]
pub const KNOWN: [Known; 4] = [
    Known { id: "openai/clip-vit-large-patch14-336", revision: "ce19dc912ca5cd21c8a653c79e251e808ccabcd1", name: "ViT-L/14@336", pixels: 336 },
    Known { id: "openai/clip-vit-large-patch14", revision: "32bd64288804d66eefd0ccbe215aa642df71cc41", name: "ViT-L/14", pixels: 224 },
    Known { id: "openai/clip-vit-base-patch16", revision: "57c216476eefef5ab752ec549e440a49ae4ae5f3", name: "ViT-B/16", pixels: 224 },
    Known { id: "openai/clip-vit-base-patch32", revision: "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268", name: "ViT-B/32", pixels: 224 },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ModelId;
    use crate::cache::is_commit;

    #[test]
    fn each_is_an_id_at_a_commit() {
        for known in KNOWN {
            let id = format!("{}@{}", known.id, known.revision);
            assert!(id.parse::<ModelId>().is_ok() && is_commit(known.revision));
        }
    }
}
