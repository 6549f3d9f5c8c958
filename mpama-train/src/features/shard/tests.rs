#![allow(clippy::unwrap_used)]

use super::*;

const SHAPE: Shape = Shape {
    grid: (2, 3),
    width: 4,
    height_px: 3,
    width_px: 5,
};
const IDS: [&str; 2] = ["a/0.png", "a/1.png"];

fn content() -> Content {
    Content {
        ids: IDS.map(str::to_owned).to_vec(),
        shape: SHAPE,
        patches: (0..48).map(|i| i as f32 / 7.0 - 3.0).collect(),
        class: (0..8).map(|i| 1.0 / (i as f32 + 1.0)).collect(),
        masks: (0..30).map(|i| u8::from(i % 4 == 0)).collect(),
        labels: vec![0, 1],
    }
}

fn open(bytes: &[u8], ids: &[&str], dtype: FeatureType) -> Result<Shard, Damaged> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard");
    std::fs::write(&path, bytes).unwrap();
    Shard::open(&path, ids, dtype).unwrap().unwrap()
}

#[test]
fn f32_reads_back_exactly_and_f16_rounded() {
    let content = content();
    for dtype in [FeatureType::F32, FeatureType::F16] {
        let bytes = content.to_bytes(dtype).unwrap();
        let shard = open(&bytes, &IDS, dtype).ok().unwrap();
        let rounded = |x: f32| match dtype {
            FeatureType::F32 => x,
            FeatureType::F16 => f16::from_f32(x).to_f32(),
        };
        let mut patches = [0f32; 24];
        shard.read_patches(1, &mut patches);
        let expected: Vec<f32> = content.patches[24..].iter().map(|&x| rounded(x)).collect();
        assert_eq!(patches.as_slice(), expected);
        let mut class = [0f32; 4];
        shard.read_class(0, &mut class);
        assert_eq!(class, content.class[..4]);
        let (mut mask, mut label) = ([9f32; 15], [9f32; 1]);
        shard.read_mask(1, &mut mask);
        shard.read_label(1, &mut label);
        assert_eq!(mask.map(|x| x as u8), content.masks[15..]);
        assert_eq!(label, [1.0]);
    }
}

#[test]
fn bytes_are_the_same_each_time() {
    let [first, second] = [(); 2].map(|()| content().to_bytes(FeatureType::F16).unwrap());
    assert_eq!(first, second);
}

#[test]
fn every_flipped_or_missing_byte_is_found() {
    let bytes = content().to_bytes(FeatureType::F16).unwrap();
    for length in 0..bytes.len() {
        assert!(
            open(&bytes[..length], &IDS, FeatureType::F16).is_err(),
            "cut at {length}"
        );
    }
    // Whatever lies in the tensors (the last bytes of the file) is under the checksum.
    let tensors = 2 * 48 + 4 * 8 + 30 + 2;
    for at in bytes.len() - tensors..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(
            open(&flipped, &IDS, FeatureType::F16).is_err(),
            "flipped at {at}"
        );
    }
}

#[test]
fn other_images_and_types_are_refused() {
    let bytes = content().to_bytes(FeatureType::F16).unwrap();
    assert!(open(&bytes, &["a/0.png", "b/1.png"], FeatureType::F16).is_err());
    assert!(open(&bytes, &IDS, FeatureType::F32).is_err());
}

#[test]
fn values_beyond_f16_name_the_image() {
    let mut content = content();
    content.patches[30] = -65_520.0; // the first magnitude that rounds to infinity
    content.to_bytes(FeatureType::F32).unwrap();
    let error = content.to_bytes(FeatureType::F16).err().unwrap();
    assert_eq!(
        error.to_string(),
        "a/1.png: feature -65520 does not fit f16"
    );
    content.class[1] = f32::NAN;
    let error = content.to_bytes(FeatureType::F32).err().unwrap();
    assert!(
        matches!(&error, Error::FeatureRange { image, .. } if image == "a/0.png"),
        "{error}"
    );
}
