//! What may be said of a drawn image, and which images a caption is true of.

use std::collections::BTreeSet;

use mpama_datasets::synth::{Category, Defect, Extent};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Words that call a thing intact, before its name.
const FLAWLESS: [&str; 6] = [
    "flawless",
    "perfect",
    "intact",
    "undamaged",
    "unblemished",
    "normal",
];
/// Words that call it damaged.
const DAMAGED: [&str; 6] = [
    "damaged",
    "broken",
    "defective",
    "faulty",
    "flawed",
    "abnormal",
];
/// What may be said of an intact thing after its name.
const WITHOUT: [&str; 3] = ["without defect", "without flaw", "without damage"];
/// What may be said of a damaged one.
const WITH: [&str; 3] = ["with defect", "with flaw", "with damage"];
/// What a caption begins with.
const OPENINGS: [&str; 4] = [
    "",
    "a photo of ",
    "a close-up photo of ",
    "a cropped photo of ",
];
/// Words of prompts that no caption uses.
const SPARE: &str = "x the this one good bad of in photo object. surface texture anomaly anomalous";

/// The facts about an image that captions speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) category: &'static Category,
    /// Its colour, unless the view has others than the thing.
    pub(super) colour: Option<&'static str>,
    /// What is wrong with it, and how large that is.
    pub(super) flaw: Option<(Defect, Extent)>,
}

/// A statement about an image. What is `None` is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Claim {
    pub(super) category: Option<&'static Category>,
    pub(super) colour: Option<&'static str>,
    /// Whether it is damaged.
    pub(super) damaged: Option<bool>,
    pub(super) defect: Option<Defect>,
    pub(super) extent: Option<Extent>,
}

impl Claim {
    /// Something true of an image: each fact is said or left out by chance, but never all left out.
    pub(super) fn about(facts: &Facts, dice: &mut impl Rng) -> Self {
        let mut claim = Self {
            category: dice.random_bool(0.75).then_some(facts.category),
            colour: facts.colour.filter(|_| dice.random_bool(0.3)),
            ..Self::default()
        };
        match facts.flaw {
            Some((defect, extent)) if dice.random_bool(0.5) => {
                claim.defect = Some(defect);
                claim.extent = dice.random_bool(0.3).then_some(extent);
            }
            flaw => claim.damaged = dice.random_bool(0.65).then_some(flaw.is_some()),
        }
        if claim == Self::default() {
            claim.category = Some(facts.category);
        }
        claim
    }

    /// Whether nothing it says is wrong.
    pub(super) fn holds(&self, facts: &Facts) -> bool {
        let is = facts.flaw;
        self.category.is_none_or(|c| c == facts.category)
            && self.colour.is_none_or(|c| facts.colour == Some(c))
            && self.damaged.is_none_or(|damaged| damaged == is.is_some())
            && self
                .defect
                .is_none_or(|d| is.is_some_and(|(defect, _)| d == defect))
            && self
                .extent
                .is_none_or(|e| is.is_some_and(|(_, extent)| e == extent))
    }

    /// One way to say it.
    pub(super) fn words(&self, dice: &mut impl Rng) -> String {
        let mut words = Vec::new();
        words.extend(self.colour.map(str::to_owned));
        let mut after = None;
        if let Some(damaged) = self.damaged {
            let (before, behind) = match damaged {
                true => (&DAMAGED, &WITH),
                false => (&FLAWLESS, &WITHOUT),
            };
            match dice.random_bool(0.75) {
                true => words.push(pick(before, dice).to_owned()),
                false => after = Some(pick(behind, dice).to_owned()),
            }
        }
        words.push(
            self.category
                .map_or_else(|| "object".to_owned(), Category::words),
        );
        if let Some(defect) = self.defect {
            let extent = self.extent.map(|extent| format!("{} ", extent.name()));
            let thing = format!("{}{}", extent.unwrap_or_default(), kind(defect));
            after = Some(format!("with {}", with_article(&thing)));
        }
        let thing = with_article(&words.join(" "));
        let thing = after.map_or(thing.clone(), |after| format!("{thing} {after}"));
        sentence(&thing, dice)
    }
}

/// The words for a kind of defect.
pub(super) fn kind(defect: Defect) -> String {
    defect.name().replace('_', " ")
}

/// A phrase with one of the openings, with or without a full stop.
pub(super) fn sentence(phrase: &str, dice: &mut impl Rng) -> String {
    let stop = if dice.random_bool(0.5) { "." } else { "" };
    format!("{}{phrase}{stop}", pick(&OPENINGS, dice))
}

/// `a gear`, `an intact gear`.
pub(super) fn with_article(phrase: &str) -> String {
    let article = if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {phrase}")
}

fn pick<'a>(words: &[&'a str], dice: &mut impl Rng) -> &'a str {
    words.choose(dice).copied().unwrap_or_default()
}

/// Every word that a caption about these categories and colours, or a usual prompt, can hold: letters
/// and punctuation apart, sorted.
pub(super) fn vocabulary(categories: &[&'static Category], colours: &[&str]) -> BTreeSet<String> {
    let mut text = [SPARE, "a an with ."].map(str::to_owned).to_vec();
    for words in [&FLAWLESS[..], &DAMAGED, &WITH, &WITHOUT, &OPENINGS, colours] {
        text.extend(words.iter().map(|word| (*word).to_owned()));
    }
    text.extend(categories.iter().map(|category| category.words()));
    text.extend(Defect::ALL.map(kind));
    text.extend(Extent::ALL.map(|extent| extent.name().to_owned()));
    let text = text.join(" ");
    let letters = text.split(|c: char| !c.is_alphabetic()).map(str::to_owned);
    let marks = text
        .chars()
        .filter(|c| !c.is_alphanumeric() && !c.is_whitespace());
    let words = letters.chain(marks.map(String::from));
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn what_is_said_of_an_image_is_true_of_it_and_never_of_its_twin_where_it_speaks_of_damage() {
        let gear = Category::named("gear").unwrap();
        let flaw = Some((Defect::Scratch, Extent::Small));
        let damaged = Facts {
            category: gear,
            colour: Some("blue"),
            flaw,
        };
        let intact = Facts {
            flaw: None,
            ..damaged
        };
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let known = vocabulary(&[gear], &["blue"]);
        let mut seen = BTreeSet::new();
        for facts in [damaged, intact] {
            let twin = if facts == damaged { intact } else { damaged };
            for _ in 0..500 {
                let claim = Claim::about(&facts, &mut dice);
                assert!(claim.holds(&facts), "{claim:?}");
                let speaks = claim.damaged.is_some() || claim.defect.is_some();
                assert_eq!(claim.holds(&twin), !speaks, "{claim:?}");
                let words = claim.words(&mut dice);
                let parts = words.split(|c: char| !c.is_alphabetic());
                for word in parts.filter(|word| !word.is_empty()) {
                    assert!(known.contains(word), "{word:?} of {words:?}");
                }
                seen.insert(words);
            }
        }
        assert!(seen.contains("a blue gear"), "{seen:?}");
        assert!(
            seen.contains("a photo of a gear with a small scratch."),
            "{seen:?}"
        );
        assert!(seen.contains("an intact gear"), "{seen:?}");
    }
}
