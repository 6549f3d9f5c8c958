//! CLIP's text tower and tokenizer against PyTorch; `fixtures/recipes/clip.py` made the goldens on a tiny
//! random CLIP.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use mpama_core::clip::{Checkpoint, ClipError, ClipTokenizer, TextTower};
use mpama_tests::{assert_close, fixtures, golden};

const TOLERANCE: f64 = 1e-5;

fn tiny() -> Checkpoint {
    Checkpoint::open(&fixtures().join("tiny_clip")).unwrap()
}

fn text() -> TextTower {
    tiny().text(&Device::Cpu).unwrap()
}

/// Sequences that begin with the same row.
fn encode(
    tower: &TextTower,
    sequences: &Tensor,
    eot: &[usize],
    deep: &[Tensor],
) -> Result<Tensor, ClipError> {
    let start = sequences.get(0)?.narrow(0, 0, 1)?;
    let rest = sequences.narrow(1, 1, sequences.dim(1)? - 1)?;
    tower.encode(&start, &rest, eot, deep)
}

fn goldens() -> HashMap<String, Tensor> {
    golden("clip/goldens.safetensors")
}

#[test]
fn text_features_match_padded_and_short() {
    let g = goldens();
    let padded: Vec<Vec<u32>> = g["text.ids"]
        .to_dtype(DType::U32)
        .unwrap()
        .to_vec2()
        .unwrap();
    let tokenizer = tiny().tokenizer().unwrap();
    let short: Vec<Vec<u32>> = [
        "a photo of the flawless object.",
        "damaged",
        "A Photo, of  an object with a défect 7!",
    ]
    .iter()
    .map(|text| tokenizer.encode(text).unwrap())
    .collect();
    for (padded, short) in padded.iter().zip(&short) {
        assert_eq!(padded[..short.len()], short[..]);
        assert!(
            padded[short.len()..]
                .iter()
                .all(|id| *id == tokenizer.end())
        );
    }
    let tower = text();
    for ids in [&padded, &short] {
        assert_close(
            "text",
            &tower.encode_ids(ids).unwrap(),
            &g["text.features"],
            TOLERANCE,
        );
    }
    // All 77 positions through the tower, so that nothing but the mask hides the padding.
    let ids: Vec<u32> = padded.concat();
    let embeddings = tower.embed(&ids).unwrap().reshape((3, 77, 24)).unwrap();
    let eot: Vec<usize> = short.iter().map(|ids| ids.len() - 1).collect();
    let features = encode(&tower, &embeddings, &eot, &[]).unwrap();
    assert_close(
        "text at full length",
        &features,
        &g["text.features"],
        TOLERANCE,
    );
}

/// Embeddings, end positions, deep prompts and probe of the recipe's learned prompts.
fn prompts(g: &HashMap<String, Tensor>) -> (Var, Vec<usize>, Vec<Var>, Tensor) {
    let eot: Vec<i64> = g["prompt.eot"].to_vec1().unwrap();
    let deep = (0..3)
        .map(|i| Var::from_tensor(&g[&format!("prompt.deep.{i}")]).unwrap())
        .collect();
    let embeddings = Var::from_tensor(&g["prompt.embeddings"]).unwrap();
    (
        embeddings,
        eot.iter().map(|end| *end as usize).collect(),
        deep,
        g["prompt.probe"].clone(),
    )
}

fn tensors(vars: &[Var]) -> Vec<Tensor> {
    vars.iter().map(|var| var.as_tensor().clone()).collect()
}

#[test]
fn learned_prompts_match_in_value_and_gradient() {
    let g = goldens();
    for tower in [text(), text().frozen().unwrap()] {
        learned_prompts_match(&g, &tower);
    }
}

fn learned_prompts_match(g: &HashMap<String, Tensor>, tower: &TextTower) {
    let (embeddings, eot, deep, probe) = prompts(g);
    let plain = encode(tower, &embeddings, &eot, &[]).unwrap();
    assert_close("plain", &plain, &g["prompt.plain"], TOLERANCE);
    let features = encode(tower, &embeddings, &eot, &tensors(&deep)).unwrap();
    assert_close("features", &features, &g["prompt.features"], TOLERANCE);
    // Without variables the fused operations run instead: the same values.
    let detached: Vec<_> = deep.iter().map(|var| var.as_detached_tensor()).collect();
    let fused = encode(tower, &embeddings.as_detached_tensor(), &eot, &detached).unwrap();
    assert_close("fused", &fused, &g["prompt.features"], TOLERANCE);

    let grads = (features * probe)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    // of the first row, which they share, the first sequence has all
    let shared = |x: &Tensor| x.narrow(1, 0, 1).unwrap().sum(0).unwrap();
    let rest = |x: &Tensor| x.narrow(1, 1, x.dim(1).unwrap() - 1).unwrap();
    let (ours, theirs) = (grads.get(&embeddings).unwrap(), &g["prompt.gradient"]);
    assert_close("gradient", &rest(ours), &rest(theirs), TOLERANCE);
    assert_close("of the start", &shared(ours), &shared(theirs), TOLERANCE);
    for (i, prompt) in deep.iter().enumerate() {
        let name = format!("prompt.deep.{i}.gradient");
        assert_close(&name, grads.get(prompt).unwrap(), &g[&name], TOLERANCE);
    }
}

#[test]
fn gradients_match_finite_differences() {
    let g = goldens();
    let tower = text();
    let (embeddings, eot, deep, probe) = prompts(&g);
    let loss = |embeddings: &Tensor, deep: &[Tensor]| {
        (encode(&tower, embeddings, &eot, deep).unwrap() * &probe)
            .unwrap()
            .sum_all()
            .unwrap()
    };
    let grads = loss(&embeddings, &tensors(&deep)).backward().unwrap();
    let step = 1e-2;
    // Along one direction per parameter, in f32: the error of the difference is of order step².
    for which in 0..4 {
        let var = if which == 0 {
            &embeddings
        } else {
            &deep[which - 1]
        };
        let direction = (var.as_detached_tensor() * 7.0).unwrap().sin().unwrap();
        let at = |step: f64| {
            let moved = (var.as_detached_tensor() + (&direction * step).unwrap()).unwrap();
            let mut deep: Vec<_> = deep.iter().map(|var| var.as_detached_tensor()).collect();
            let embeddings = if which == 0 {
                moved.clone()
            } else {
                embeddings.as_detached_tensor()
            };
            if which > 0 {
                deep[which - 1] = moved;
            }
            f64::from(loss(&embeddings, &deep).to_scalar::<f32>().unwrap())
        };
        let numeric = (at(step) - at(-step)) / (2.0 * step);
        let ours = (grads.get(var).unwrap() * &direction)
            .unwrap()
            .sum_all()
            .unwrap();
        let ours = f64::from(ours.to_scalar::<f32>().unwrap());
        assert!(
            ours.abs() > 0.05,
            "parameter {which}: the direction has no slope"
        );
        assert!(
            (numeric - ours).abs() < 2e-2 * ours.abs().max(1.0),
            "parameter {which}: {ours} vs {numeric}"
        );
    }
}

#[test]
fn what_the_text_tower_cannot_do_is_an_error() {
    let tower = text();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let what = |result: Result<Tensor, ClipError>| match result {
        Err(ClipError::Shape { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        tower.embed(&[3, 554]),
        Err(ClipError::Token {
            id: 554,
            vocabulary: 554
        })
    ));
    assert_eq!(
        what(encode(&tower, &zeros(&[1, 78, 24]), &[5], &[])),
        "text embeddings"
    );
    assert_eq!(
        what(encode(&tower, &zeros(&[1, 9, 23]), &[5], &[])),
        "embedding of the start"
    );
    assert_eq!(
        what(encode(&tower, &zeros(&[1, 9, 24]), &[9], &[])),
        "end positions"
    );
    assert_eq!(
        what(encode(&tower, &zeros(&[2, 9, 24]), &[5], &[])),
        "end positions"
    );
    assert_eq!(
        what(encode(
            &tower,
            &zeros(&[1, 9, 24]),
            &[5],
            &[zeros(&[9, 24])]
        )),
        "deep prompt"
    );
    assert_eq!(
        what(encode(
            &tower,
            &zeros(&[1, 9, 24]),
            &[5],
            &vec![zeros(&[2, 24]); 4]
        )),
        "list of deep prompts"
    );
    assert_eq!(
        what(encode(
            &tower,
            &zeros(&[1, 9, 24]),
            &[2],
            &[zeros(&[2, 24])]
        )),
        "end positions"
    );
    assert_eq!(what(tower.encode_ids(&[])), "token ids");
    assert_eq!(what(tower.encode_ids(&[vec![1], vec![]])), "token ids");
}

#[test]
fn long_texts_are_cut_and_keep_their_end() {
    let tokenizer = tiny().tokenizer().unwrap();
    let ids = tokenizer.encode(&"object ".repeat(100)).unwrap();
    assert_eq!(ids.len(), tokenizer.context());
    assert_eq!((ids[0], ids[76]), (tokenizer.start(), tokenizer.end()));
    assert!(ids[1..76].iter().all(|id| *id == ids[1]));
    assert_eq!(
        tokenizer.encode("").unwrap(),
        [tokenizer.start(), tokenizer.end()]
    );
    let line = tokenizer.encode("X x DAMAGED object.").unwrap();
    assert_eq!(line.len(), 7);
    assert_eq!(line[1], line[2]);
}

/// Found by fuzzing: the library that reads it panics on some of these.
#[test]
fn a_damaged_tokenizer_is_an_error_and_its_decoder_does_not_matter() {
    let whole = std::fs::read_to_string(fixtures().join("tiny_clip/tokenizer.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let open = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        ClipTokenizer::open(folder.path(), 77)
    };
    let ids = open(&whole).unwrap().encode("damaged object.").unwrap();
    for decoder in ["{\"type\":7}", "[]", "{\"type\":\"None\",\"x\":{}}"] {
        let mut json = json.clone();
        json["decoder"] = serde_json::from_str(decoder).unwrap();
        let tokenizer = open(&json.to_string()).unwrap();
        assert_eq!(tokenizer.encode("damaged object.").unwrap(), ids);
    }
    let cut = whole.find("\"decoder\"").unwrap() + 30;
    for broken in [&whole[..cut], "", "[]", "{}", "\u{feff}"] {
        let error = open(broken).unwrap_err();
        assert!(matches!(error, ClipError::Unreadable { .. }), "{error}");
    }
}

/// All reference captions, through both forms of the tokenizer's files.
#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn token_ids_of_real_captions_match() {
    let source = mpama_tests::shared_data().join("clip_text");
    let captions =
        mpama_tests::shared_data().join("clip_reference/coco_val_toke_ids_and_clip_scores.tsv");
    let captions = std::fs::read_to_string(captions).unwrap();
    for files in [&["tokenizer.json"][..], &["vocab.json", "merges.txt"]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::fs::write(folder.path().join("model.safetensors"), "").unwrap();
        for file in files {
            std::fs::copy(source.join(file), folder.path().join(file)).unwrap();
        }
        let tokenizer = Checkpoint::open(folder.path())
            .unwrap()
            .tokenizer()
            .unwrap();
        let mut seen = 0;
        for line in captions.lines().skip(1) {
            let fields: Vec<_> = line.split('\t').collect();
            let theirs: Vec<u32> = serde_json::from_str(fields[2]).unwrap();
            let mut ours = tokenizer.encode(fields[1]).unwrap();
            ours.resize(77, tokenizer.end());
            assert_eq!(ours, theirs, "{:?}", fields[1]);
            seen += 1;
        }
        assert_eq!(seen, 5000);
    }
}
