//! Pixels: every kind of image file against Pillow, and every kind of broken one against its error.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use candle_core::Tensor;
use image::{GrayImage, ImageFormat};
use mpama_core::preprocess::{ImageError, Mask, Orientation, Picture, clip_input, network_input};
use mpama_tests::{fixtures, golden, shared_data};
use proptest::prelude::*;

const TARGETS: [(usize, usize); 3] = [(14, 18), (30, 26), (9, 27)];

fn file(name: &str) -> PathBuf {
    fixtures().join("preprocess").join(name)
}

fn open(name: &str) -> Picture {
    Picture::open(&file(name), Orientation::Ignore).unwrap()
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest and mean difference of two images.
fn differences(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let each = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = each().map(u64::from).sum();
    (each().max().unwrap(), sum as f64 / ours.len() as f64)
}

/// The checksum of PNG and zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn every_kind_of_pixels_is_resized_as_by_pillow() {
    let expected = golden("preprocess/expected.safetensors");
    let names: Vec<&str> = expected
        .keys()
        .filter_map(|key| key.strip_suffix(" 14x18"))
        .collect();
    assert_eq!(names.len(), 32);
    for name in names {
        let picture = open(name);
        for (height, width) in TARGETS {
            let theirs = &expected[&format!("{name} {height}x{width}")];
            let (max, mean) = differences(&picture.resized(height, width), &bytes(theirs));
            assert_eq!(
                max, 0,
                "{name} to {height}x{width}: off by up to {max}, mean {mean:.3}"
            );
        }
    }
}

#[test]
fn bytes_are_a_picture_if_they_are_as_many() {
    let picture = open("rgb8.png");
    let (height, width) = (picture.height, picture.width);
    let same = Picture::from_rgb(picture.to_rgb(), height, width, "bytes").unwrap();
    assert_eq!(
        (same.height, same.width, same.name()),
        (height, width, "bytes")
    );
    assert_eq!(same.resized(9, 27), picture.resized(9, 27));
    for (bytes, height, width, found) in [
        (12, 2, 3, "found: 12 bytes for 3x2 pixels"),
        (0, 0, 4, "found 4x0"),
        (12, usize::MAX, 2, "found: 12 bytes"),
    ] {
        let error = Picture::from_rgb(vec![0; bytes], height, width, "bytes").unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn every_kind_of_mask_is_read_and_resized_as_by_pillow() {
    let expected = golden("preprocess/expected.safetensors");
    let mut ones = 0;
    for (key, theirs) in &expected {
        let Some(name) = key.strip_suffix(" mask") else {
            continue;
        };
        let ours = Mask::open(&file(name), 0).unwrap().resized(14, 18);
        assert_eq!(ours, bytes(theirs), "{name}");
        ones += ours.iter().filter(|&&pixel| pixel == 1).count();
    }
    assert!(ones > 0);
}

#[test]
fn a_mask_is_above_its_threshold() {
    // The file holds every grey level once.
    for threshold in [0, 1, 127, 254, 255] {
        let mask = Mask::open(&file("levels.png"), threshold).unwrap();
        let expected: Vec<u8> = (0..=255)
            .map(|level: u8| u8::from(level > threshold))
            .collect();
        assert_eq!(mask.resized(16, 16), expected, "threshold {threshold}");
    }
}

#[test]
fn a_mask_of_another_size_is_found_out() {
    let (mask, picture) = (
        Mask::open(&file("levels.png"), 0).unwrap(),
        open("rgb8.png"),
    );
    let error = mask.must_match(&picture).unwrap_err();
    assert!(matches!(
        error,
        ImageError::MaskSize {
            mask_size: (16, 16),
            image_size: (29, 23),
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("levels.png") && text.contains("rgb8.png"),
        "{text}"
    );
    mask.must_match(&open("levels.png")).unwrap();
}

#[test]
fn many_sizes_are_resized_as_by_pillow() {
    let noise = |len: usize, seed: u32| -> Vec<u8> {
        let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(seed), step)
            .map(|state| (state >> 24) as u8)
            .take(len)
            .collect()
    };
    let text = fs::read_to_string(file("sizes.json")).unwrap();
    let cases: Vec<[u32; 5]> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 205);
    for [from_height, from_width, height, width, checksum] in cases {
        let samples = noise(
            (from_height * from_width) as usize,
            from_height * 1000 + from_width,
        );
        let image = GrayImage::from_raw(from_width, from_height, samples).unwrap();
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let picture = Picture::decode(png.get_ref(), "noise", Orientation::Ignore).unwrap();
        let rgb = picture.resized(height as usize, width as usize);
        let grey: Vec<u8> = rgb.into_iter().step_by(3).collect();
        assert_eq!(
            crc32(&grey),
            checksum,
            "{from_height}x{from_width} to {height}x{width}"
        );
    }
}

#[test]
fn normalised_values_equal_torchs_to_the_bit() {
    let expected = golden("preprocess/expected.safetensors");
    // Every grey level at its own size, hence every value there is.
    assert_eq!(
        network_input(&open("levels.png"), 16, 16),
        floats(&expected["levels"])
    );
    assert_eq!(
        network_input(&open("rgb8.png"), 14, 18),
        floats(&expected["rgb8 network"])
    );
}

#[test]
fn clips_own_input_equals_torchvisions() {
    let expected = golden("preprocess/expected.safetensors");
    for size in [14, 6] {
        let ours = clip_input(&open("rgba8.png"), size);
        assert_eq!(
            ours,
            floats(&expected[&format!("clip {size}")]),
            "landscape {size}"
        );
        let ours = clip_input(&open("portrait.png"), size);
        assert_eq!(
            ours,
            floats(&expected[&format!("clip {size} portrait")]),
            "portrait {size}"
        );
    }
}

#[test]
fn all_eight_orientations_are_applied_only_when_asked() {
    let expected = golden("preprocess/expected.safetensors");
    let stored = open("turned1.png").to_rgb();
    for turn in 1..=8 {
        let name = format!("turned{turn}.png");
        let picture = Picture::open(&file(&name), Orientation::Apply).unwrap();
        let theirs = &expected[&name];
        assert_eq!(
            (picture.height, picture.width, 3),
            theirs.dims3().unwrap(),
            "{name}"
        );
        assert_eq!(picture.to_rgb(), bytes(theirs), "{name}");
        assert_eq!(open(&name).to_rgb(), stored, "{name}, ignored");
    }
    let six = bytes(&expected["turned6.png"]);
    let webp = Picture::open(&file("turned6.webp"), Orientation::Apply).unwrap();
    assert_eq!(webp.to_rgb(), six);
    let jpeg = Picture::open(&file("turned6.jpg"), Orientation::Apply).unwrap();
    assert_eq!((jpeg.width, jpeg.height), (4, 5));
    assert_eq!(
        (open("turned6.jpg").width, open("turned6.jpg").height),
        (5, 4)
    );
}

/// Noise under subsampled colour, as here, is the worst case; real photos are in the module's docs.
#[test]
fn decoders_of_lossy_formats_stay_close_to_pillows() {
    let expected = golden("preprocess/expected.safetensors");
    let mut failed = Vec::new();
    for (name, most, mean_most) in [
        ("grey.jpg", 1, 0.01),
        ("rgb444.jpg", 2, 0.05),
        ("rgb422.jpg", 3, 0.2),
        ("rgb420.jpg", 4, 0.45),
        ("progressive.jpg", 4, 0.45),
        ("lossy.webp", 0, 0.0),
    ] {
        let (max, mean) = differences(&open(name).to_rgb(), &bytes(&expected[name]));
        if max > most || mean > mean_most {
            failed.push(format!("{name}: max {max}, mean {mean:.4}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn kinds_without_a_defined_result_are_refused_by_name() {
    for (name, found) in [
        ("cmyk.jpg", "CMYK"),
        ("animated.webp", "animated"),
        ("rgba.tiff", "Rgba8"),
    ] {
        let error = Picture::open(&file(name), Orientation::Ignore).unwrap_err();
        assert!(matches!(&error, ImageError::Mode { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(found), "{text}");
    }
    let error = Picture::open(&file("rgb.gif"), Orientation::Ignore).unwrap_err();
    assert!(
        matches!(&error, ImageError::Format { found, .. } if found == "GIF"),
        "{error:?}"
    );
}

#[test]
fn what_is_no_image_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        Picture::open(&path, Orientation::Ignore).unwrap_err()
    };
    let begins = |error: &ImageError, with: &str| matches!(error, ImageError::Format { found, .. } if found.contains(with));
    let text = at("notes.jpg", b"Dear diary, today I pretended to be a photo.");
    assert!(begins(&text, "Dear diary"), "{text:?}");
    assert!(text.to_string().contains("notes.jpg"));
    let binary = at("core.png", &[0x7f, b'E', b'L', b'F', 2, 1]);
    assert!(begins(&binary, "7f 45"), "{binary:?}");
    assert!(matches!(at("empty.png", b""), ImageError::Empty { .. }));

    let missing = Picture::open(&folder.path().join("gone.png"), Orientation::Ignore);
    assert!(matches!(missing, Err(ImageError::Missing { .. })));
    let directory = Picture::open(folder.path(), Orientation::Ignore);
    assert!(matches!(directory, Err(ImageError::Directory { .. })));
    assert!(matches!(
        Mask::open(folder.path(), 0),
        Err(ImageError::Directory { .. })
    ));

    // The extension does not matter: PNG content under a JPEG's name.
    let disguised = folder.path().join("photo.jpg");
    fs::copy(file("rgb8.png"), &disguised).unwrap();
    let picture = Picture::open(&disguised, Orientation::Ignore).unwrap();
    assert_eq!(picture.to_rgb(), open("rgb8.png").to_rgb());
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let with_size = |name: &str, at: usize, size: &[u8]| {
        let mut bytes = fs::read(file(name)).unwrap();
        bytes[at..at + size.len()].copy_from_slice(size);
        Picture::decode(&bytes, name, Orientation::Ignore).unwrap_err()
    };
    let png = |width: u32, height: u32| {
        with_size(
            "rgb8.png",
            16,
            &[width.to_be_bytes(), height.to_be_bytes()].concat(),
        )
    };
    assert!(matches!(
        png(0, 23),
        ImageError::ZeroSize {
            width: 0,
            height: 23,
            ..
        }
    ));
    assert!(matches!(png(29, 0), ImageError::ZeroSize { .. }));
    assert!(matches!(
        png(60_000, 60_000),
        ImageError::TooLarge { width: 60_000, .. }
    ));
    assert!(
        matches!(png(70_000, 1), ImageError::TooLarge { .. }),
        "one long side"
    );
    let bmp = with_size("rgb24.bmp", 18, &[30_000_u32.to_le_bytes(); 2].concat());
    assert!(matches!(bmp, ImageError::TooLarge { .. }), "{bmp:?}");
    let frame = fs::read(file("rgb444.jpg")).unwrap();
    let sof = frame
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let jpeg = with_size("rgb444.jpg", sof + 5, &[0xff; 4]);
    assert!(
        matches!(
            jpeg,
            ImageError::TooLarge {
                width: 65_535,
                height: 65_535,
                ..
            }
        ),
        "{jpeg:?}"
    );
}

#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    for name in [
        "rgb8.png",
        "palette4.png",
        "interlaced_grey2.png",
        "rgb444.jpg",
        "progressive.jpg",
        "grey.jpg",
        "palette8.bmp",
        "rgb24.bmp",
        "rgb.webp",
        "rgb8.tiff",
    ] {
        let bytes = fs::read(file(name)).unwrap();
        let whole = open(name).to_rgb();
        for len in (0..bytes.len()).step_by(7) {
            // What follows the pixels may be missing where the format allows it.
            if let Ok(part) = Picture::decode(&bytes[..len], name, Orientation::Ignore) {
                assert_eq!(
                    part.to_rgb(),
                    whole,
                    "{name} cut to {len} of {}",
                    bytes.len()
                );
            }
        }
        let most = &bytes[..bytes.len() * 3 / 4];
        let error = Picture::decode(most, name, Orientation::Ignore).unwrap_err();
        assert!(
            matches!(error, ImageError::Truncated { .. }),
            "{name}: {error:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever damage does, it ends in a picture or in an error.
    #[test]
    fn damage_never_panics(
        which in 0..8_usize, damage in prop::collection::vec((0.0..1.0, any::<u8>()), 1..6),
    ) {
        let name = [
            "rgb8.png", "palette1.png", "interlaced_rgb8.png", "rgb420.jpg", "progressive.jpg",
            "palette4.bmp", "rgba.webp", "grey8.tiff",
        ][which];
        let mut bytes = fs::read(file(name)).unwrap();
        for (place, value) in damage {
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        if let Ok(picture) = Picture::decode(&bytes, name, Orientation::Apply) {
            prop_assert_eq!(picture.to_rgb().len(), picture.width * picture.height * 3);
        }
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn real_photos_are_resized_as_by_pillow() {
    let text = fs::read_to_string(file("real.json")).unwrap();
    let expected: BTreeMap<String, BTreeMap<String, u32>> = serde_json::from_str(&text).unwrap();
    assert!(expected["pictures"].len() >= 20 && expected["masks"].len() >= 10);
    for (name, checksum) in &expected["pictures"] {
        let picture = Picture::open(&shared_data().join(name), Orientation::Ignore).unwrap();
        assert_eq!(crc32(&picture.resized(518, 518)), *checksum, "{name}");
    }
    for (name, checksum) in &expected["masks"] {
        let mask = Mask::open(&shared_data().join(name), 0).unwrap();
        assert_eq!(crc32(&mask.resized(518, 518)), *checksum, "{name}");
    }
}

/// A photo and its published preprocessing. Pillow reproduces it to the bit; what is left here is the
/// JPEG decoder's.
#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn the_reference_photo_of_clip_is_preprocessed_as_published() {
    let folder = shared_data().join("clip_reference");
    let theirs = Tensor::read_npy(folder.join("expected_preprocessed_image.npy")).unwrap();
    assert_eq!(theirs.dims(), [1, 3, 224, 224]);
    let picture = Picture::open(&folder.join("franz-kafka.jpg"), Orientation::Ignore).unwrap();
    let ours = clip_input(&picture, 224);
    // One grey level is 1 / (255 std), about 0.015.
    let levels = |(a, b): (&f32, f32)| (a - b).abs() * 255.0 * 0.27;
    let differences: Vec<f32> = ours.iter().zip(floats(&theirs)).map(levels).collect();
    let max = differences.iter().copied().fold(0.0, f32::max);
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    assert!(
        max < 1.5 && mean < 0.02,
        "in grey levels: max {max}, mean {mean}"
    );
}
