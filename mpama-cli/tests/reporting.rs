//! `eval --report` from the outside: a page that holds everything and asks for nothing.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;

use bench::{adapter, clip, dataset, mask, photo, run, save, text, timeless_page, trained};
use serde_json::Value;
use tempfile::TempDir;

fn eval(data: &[&Path], out: &Path, more: &[&str]) -> bench::Ran {
    let mut words = vec!["eval".to_owned(), "--data".to_owned()];
    words.extend(data.iter().map(|folder| text(folder)));
    words.extend([
        "--clip".to_owned(),
        clip(),
        "--adapter".to_owned(),
        adapter(),
    ]);
    words.extend(["--allow-training-data".to_owned()]);
    words.extend(["--report".to_owned(), text(out)]);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    run(words)
}

fn page(out: &Path) -> String {
    fs::read_to_string(out.join("report.html")).unwrap()
}

fn occurrences(page: &str, what: &str) -> usize {
    page.matches(what).count()
}

/// Fails unless every element that is opened is closed in its turn.
#[track_caller]
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = page.split_once("</style>").unwrap();
    let whole = [body.0.split_once("<style>").unwrap().0, body.1].concat();
    let mut rest = whole.as_str();
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').unwrap();
        assert!(!tag[..end].contains('<'), "`<{}`", &tag[..end]);
        assert_eq!(occurrences(&tag[..end], "\"") % 2, 0, "`<{}>`", &tag[..end]);
        let name = tag.split([' ', '>', '/']).next().unwrap();
        if let Some(closed) = tag[..end].strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
        } else if !tag[..end].ends_with('/') && !["!doctype", "meta", "link", "img"].contains(&name)
        {
            open.push(name);
        }
        rest = &tag[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Fails if anything in the page could make a browser ask for something.
#[track_caller]
fn assert_self_contained(page: &str) {
    for word in [
        "http:",
        "https:",
        "//",
        "<script",
        "url(",
        "@import",
        "javascript:",
    ] {
        let text: String = page
            .split("base64,")
            .enumerate()
            .map(|(i, part)| match i {
                0 => part,
                _ => part.split_once('"').unwrap().1, // what is not a picture's bytes
            })
            .collect();
        assert!(!text.contains(word), "`{word}`");
    }
    for attribute in [" src=\"", " href=\""] {
        for value in page.split(attribute).skip(1) {
            assert!(
                value.starts_with("data:") || value.starts_with('#'),
                "{}",
                &value[..40]
            );
        }
    }
}

#[test]
fn the_page_holds_every_dataset_category_and_figure() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("new/report");
    let other = dataset(&folder.path().join("other"));
    fs::rename(other.join("plate"), other.join("dish")).unwrap();
    let ran = eval(&[&trained().join("data"), &other], &out, &[]).code(0);
    assert!(ran.stderr.contains("report.html"), "{}", ran.stderr);
    let page = page(&out);
    assert_well_formed(&page);
    assert_self_contained(&page);
    for words in [
        "<h2>data</h2>",
        "<h2>other</h2>",
        "<h3>plate</h3>",
        "<h3>dish</h3>",
        "id=\"c0-0\"",
        "id=\"c1-0\"",
    ] {
        assert!(page.contains(words), "`{words}`");
    }
    assert_eq!(occurrences(&page, "trained on these very images"), 1);
    // four of each category, and of each dataset two by size and one of experts
    assert_eq!(occurrences(&page, "<figure class=\"chart\">"), 14);
    assert_eq!(occurrences(&page, "<figure class=\"tile\">"), 20);
    assert_eq!(occurrences(&page, "loading=\"lazy\""), 60);
    assert_eq!(occurrences(&page, "<img class=\"experts\""), 20);
    // outlined on the photo, the heatmap and the map of experts of each anomalous image
    assert_eq!(occurrences(&page, "<path id=\"t"), 10);
    assert_eq!(occurrences(&page, "<use href=\"#t"), 20);

    let saved = fs::read_to_string(out.join("report.json")).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    let category = &saved["datasets"][0]["categories"][0];
    for (metric, curve) in [
        ("image_auroc", "image_roc"),
        ("pixel_auroc", "pixel_roc"),
        ("pixel_ap", "pixel_precision_recall"),
    ] {
        let value = category["scores"][metric].as_f64().unwrap();
        let cell = format!(">{:.1}</td>", 100.0 * value);
        assert!(page.contains(&cell), "{metric}: {cell}");
        let points: Vec<[f64; 2]> =
            serde_json::from_value(category["curves"][curve].clone()).unwrap();
        let area: f64 = points
            .windows(2)
            .map(|pair| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0)
            .sum();
        assert!((area - value).abs() < 0.01, "{curve}: {area} {value}");
    }
    let figures = &saved["datasets"][0]["figures"];
    for expert in figures["experts"].as_array().unwrap() {
        let (name, share) = (&expert["expert"], expert["share"].as_f64().unwrap());
        let key = format!(">{}: {:.1}</span>", name.as_str().unwrap(), 100.0 * share);
        assert!(page.contains(&key), "{key}");
    }
    for perception in figures["perceptions"].as_array().unwrap() {
        let row = format!(">p = {}<", perception["level"]);
        assert!(page.contains(&row), "{row}");
    }
    let auroc = figures["scales"][0]["pixel_auroc"].as_f64().unwrap();
    assert!(page.contains(&format!("<title>tiny: {:.1}, ", 100.0 * auroc)));
    assert_eq!(
        occurrences(&page, "peak memory, MB"),
        usize::from(cfg!(target_os = "linux")) * 2
    );
    let names: Vec<String> = bench::files(&out)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let pictures = (1..=6).map(|number| format!("pictures/{number}.png"));
    let files = ["report.csv", "report.html", "report.json"].map(str::to_owned);
    assert_eq!(names, pictures.chain(files).collect::<Vec<_>>());
}

#[test]
fn the_same_evaluation_writes_the_same_page() {
    let folder = TempDir::new().unwrap();
    let (data, out) = (trained().join("data"), folder.path().join("report"));
    eval(&[&data], &out, &[]).code(0);
    let first = timeless_page(&out);
    eval(&[&data], &out, &[]).code(0); // over the old one
    assert!(first == timeless_page(&out));
}

#[test]
fn the_gallery_is_as_long_as_asked_for() {
    let folder = TempDir::new().unwrap();
    let data = trained().join("data");
    for (shown, tiles) in [("0", 0), ("2", 4), ("5", 10), ("100", 10)] {
        let out = folder.path().join(shown);
        eval(&[&data], &out, &["--gallery", shown]).code(0);
        let page = page(&out);
        assert_eq!(
            occurrences(&page, "<figure class=\"tile\">"),
            tiles,
            "{shown}"
        );
        assert_eq!(page.contains("Heatmaps"), tiles > 0, "{shown}");
        assert_well_formed(&page);
    }
    run(["eval", "--data", "x", "--gallery", "3"]).code(2);
}

#[cfg(unix)]
#[test]
fn names_are_text_and_never_markup() {
    let folder = TempDir::new().unwrap();
    let (evil, kind) = (
        "<script>alert('x')</script>".replace('/', "∕"),
        "a\"b<i>&\u{1b}[2J",
    );
    let data = folder.path().join("<b>data & more");
    for number in 0..2 {
        let root = data.join(&evil);
        save(
            &root.join(format!("test/good/{number}.png")),
            &photo(number, false),
        );
        save(
            &root.join(format!("test/{kind}/{number}.png")),
            &photo(number, true),
        );
        let path = root.join(format!("ground_truth/{kind}/{number}_mask.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mask(number).save(path).unwrap();
    }
    fs::write(
        data.join(&evil).join("test/good/<img src=x>.png"),
        "no image",
    )
    .unwrap();
    let out = folder.path().join("report");
    eval(&[&data], &out, &[]).code(2); // one file failed; the page is there
    let page = page(&out);
    assert_well_formed(&page);
    for markup in ["<script", "<b>data", "<i>", "<img src=x", "\u{1b}", "a\"b"] {
        assert!(!page.contains(markup), "`{markup}`");
    }
    assert!(page.contains("&lt;b&gt;data &amp; more") && page.contains("a&quot;b&lt;i&gt;&amp;"));
    assert!(
        page.contains("&lt;img src=x&gt;.png"),
        "the file that failed"
    );
}

#[test]
fn what_is_undefined_is_said_to_be() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    for number in 0..3 {
        save(
            &data.join(format!("yes/{number}.png")),
            &photo(number, true),
        );
        save(
            &data.join(format!("no/{number}.png")),
            &photo(number, false),
        );
    }
    let out = folder.path().join("report");
    eval(&[&data], &out, &[]).code(0);
    let page = page(&out);
    assert_well_formed(&page);
    assert_eq!(occurrences(&page, "<td class=\"none\">n/a</td>"), 10);
    // as was the one that the adapter was trained on
    assert!(page.contains("trained on a dataset of this name"));
    assert!(page.contains("3 of them without a mask") && page.contains(">pixel n/a<"));
    assert!(!page.contains("NaN") && !page.contains("<path id=\"t"));
    assert_eq!(occurrences(&page, "no mask"), 3);
    // nor are there sizes of defects: nothing of them, while there are experts
    assert!(!page.contains("size of the defect") && page.contains("Experts by perception"));
}

#[test]
fn without_experts_nothing_is_said_of_them() {
    let folder = TempDir::new().unwrap();
    let (data, out) = (trained().join("data"), folder.path().join("report"));
    let adapter = text(&trained().join("run/adapter-mpa"));
    let words = ["eval", "--data", &text(&data), "--clip", &clip()].map(str::to_owned);
    let more = ["--adapter", &adapter, "--allow-training-data", "--report"].map(str::to_owned);
    run(words.into_iter().chain(more).chain([text(&out)])).code(0);
    let page = page(&out);
    assert_well_formed(&page);
    assert!(page.contains(">By size of the defect, cost<"));
    let body = page.split_once("</style>").unwrap().1;
    assert!(!body.contains("xpert"), "{}", body.len());
    assert_eq!(occurrences(&page, "loading=\"lazy\""), 20);
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_the_work() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let ran = eval(
        &[&trained().join("data")],
        &folder.path().join("file/below"),
        &[],
    );
    let ran = ran.refused(&["cannot create", "file/below"]);
    assert!(!ran.stderr.contains("Scoring"), "{}", ran.stderr);
}
