#![allow(clippy::unwrap_used)]
use super::*;
use crate::Dataset;
use crate::fake::tree;

#[test]
fn one_name_in_words_files_and_arguments() {
    for layout in Layout::ALL {
        assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
        assert_eq!(
            serde_json::to_string(&layout).unwrap(),
            format!("\"{layout}\"")
        );
    }
    let error = "mvtech".parse::<Layout>().unwrap_err().to_string();
    assert!(
        error.starts_with("`mvtech` is not one of mvtec, visa, dagm,"),
        "{error}"
    );
}

#[test]
fn an_archive_s_own_folder_is_pointed_at() {
    let root = tree(&[
        "read-me.txt",
        "brain_tumor/yes/1.png",
        "brain_tumor/no/1.png",
    ]);
    let error = Dataset::open(root.path(), None).unwrap_err().to_string();
    assert!(
        error.ends_with("; `brain_tumor/` in it is yes-no"),
        "{error}"
    );
}

#[test]
fn a_file_is_read_as_the_list_that_it_is() {
    let root = tree(&["list.txt", "test/good/1.png"]);
    let file = root.path().join("list.txt");
    let error = |layout| Dataset::open(&file, layout).unwrap_err();
    assert!(matches!(error(None), Error::NoList(_)));
    assert!(matches!(
        error(Some(Layout::Mvtec)),
        Error::NotAFolder {
            layout: Layout::Mvtec,
            ..
        }
    ));
    assert!(matches!(error(Some(Layout::Csv)), Error::List { .. })); // it holds no table
    let error = Dataset::open(root.path(), Some(Layout::Csv)).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

#[test]
fn recognises_each_layout() {
    for (files, layout) in [
        (["bottle/test/good/0.png", "readme.txt"], Layout::Mvtec),
        (["test/good/0.png", "readme.txt"], Layout::Mvtec),
        (
            ["bottle/train/good/0.png", "bottle/test/crack/0.png"],
            Layout::Mvtec,
        ),
        (["Yes/0.png", "no/0.png"], Layout::YesNo),
        (["OK/0.png", "crack/0.png"], Layout::Folder),
        (["good/0.png", "test/0.png"], Layout::Folder), // a defect that is called `test`
    ] {
        assert_eq!(
            Dataset::open(tree(&files).path(), None).unwrap().layout,
            layout,
            "{files:?}"
        );
    }
}

#[test]
fn a_folder_of_no_layout_is_described() {
    let files = [
        "a/0.png", "b/0.png", "c/", "d/", "e/", "f/", "g/", "h/", "0.png", "1.png", "x.csv",
    ];
    let root = tree(&files);
    let error = Dataset::open(root.path(), None).unwrap_err();
    assert!(matches!(error, Error::Unrecognised { .. }));
    let text = error.to_string();
    for part in [
        "mvtec (`test/<good or defect>/` or `<category>/test/<good or defect>/`)",
        "yes-no (`yes/` and `no/`)",
        "folder (`good/`, `normal/` or `ok/`, and a folder per defect)",
        "found `a/`, `b/`, `c/`, `d/`, `e/`, `f/`, 2 more folders, 2 images, 1 other files",
        &root.path().display().to_string(),
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let flat = tree(&["0.png"]);
    let text = Dataset::open(flat.path(), None).unwrap_err().to_string();
    assert!(
        text.ends_with("found no folder, 1 images, 0 other files"),
        "{text}"
    );
}

#[test]
fn a_folder_of_two_layouts_is_read_only_when_told_which() {
    let root = tree(&["yes/0.png", "no/0.png", "good/0.png"]);
    let error = Dataset::open(root.path(), None).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("could be read as yes-no and as folder"),
        "{error}"
    );
    assert_eq!(
        Dataset::open(root.path(), Some(Layout::YesNo))
            .unwrap()
            .samples
            .len(),
        2
    );
    assert_eq!(
        Dataset::open(root.path(), Some(Layout::Folder))
            .unwrap()
            .samples
            .len(),
        3
    );
}

#[test]
fn the_wrong_layout_is_an_error_that_says_what_was_found() {
    let root = tree(&["good/0.png", "crack/0.png"]);
    for layout in [Layout::Mvtec, Layout::YesNo] {
        let error = Dataset::open(root.path(), Some(layout)).unwrap_err();
        assert!(
            matches!(error, Error::Mismatch { layout: l, .. } if l == layout),
            "{error}"
        );
        assert!(
            error.to_string().contains("found `crack/`, `good/`"),
            "{error}"
        );
    }
}

#[test]
fn only_a_divided_layout_has_a_train_split() {
    let root = tree(&["good/0.png"]);
    let error = Dataset::open_split(root.path(), None, Split::Train).unwrap_err();
    assert!(matches!(
        error,
        Error::NoSplit {
            layout: Layout::Folder,
            split: Split::Train,
            ..
        }
    ));
}
