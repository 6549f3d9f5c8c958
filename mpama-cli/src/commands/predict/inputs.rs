//! What to look at: files, folders, patterns and standard input become a list of images.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use mpama_datasets::IMAGE_EXTENSIONS;

use crate::problem::Mistake;

/// Ends of the names of our own pictures, which are not looked at again.
const OURS: [&str; 2] = [".map.png", ".overlay.png"];

/// One image to score, or a path that turned out to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The file; `-` is standard input.
    pub(crate) path: PathBuf,
    /// Where it lies below the input that it came from: its name, if that was the file itself.
    pub(crate) relative: PathBuf,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// In the order of the arguments; the files of a folder by name.
    pub(crate) images: Vec<Input>,
    /// Files of folders that are not images.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Lists the images of all arguments. A file named by itself is taken whatever its name is, and a
/// path that does not exist stays in the list, to fail in its turn.
///
/// # Errors
/// For a folder that cannot be read and for a malformed pattern.
pub(crate) fn gather(arguments: &[PathBuf]) -> Result<Inputs, Mistake> {
    let mut found = Inputs::default();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.images.push(Input {
                path: "-".into(),
                relative: "stdin".into(),
            });
        } else if argument.exists() {
            take(argument, &mut found)?;
        } else {
            match matches(argument)? {
                Some(paths) => paths.iter().try_for_each(|path| take(path, &mut found))?,
                None => found.images.push(file(argument)),
            }
        }
    }
    let mut seen = BTreeSet::new();
    found.images.retain(|input| seen.insert(input.path.clone()));
    Ok(found)
}

fn file(path: &Path) -> Input {
    Input {
        path: path.to_owned(),
        relative: path.file_name().unwrap_or(path.as_os_str()).into(),
    }
}

fn take(path: &Path, found: &mut Inputs) -> Result<(), Mistake> {
    if path.is_dir() {
        walk(path, path, found)
    } else {
        found.images.push(file(path));
        Ok(())
    }
}

/// Everything below `folder`, sorted by name at every level. Links to folders are not followed:
/// they can form a circle.
fn walk(root: &Path, folder: &Path, found: &mut Inputs) -> Result<(), Mistake> {
    let unreadable = |error| Mistake::file("read", folder, error);
    let mut entries = fs::read_dir(folder)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        } else if kind.is_dir() {
            walk(root, &path, found)?;
        } else if is_image(&path) && path.is_file() {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
            found.images.push(Input { path, relative });
        } else {
            found.skipped.push(path);
        }
    }
    Ok(())
}

/// Whether a file of a folder is named like an image and is not one of our own pictures.
fn is_image(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    IMAGE_EXTENSIONS.contains(&extension) && !OURS.iter().any(|end| name.ends_with(end))
}

/// The paths that match `argument` as a pattern, sorted; `None` if it is no pattern.
fn matches(argument: &Path) -> Result<Option<Vec<PathBuf>>, Mistake> {
    let Some(text) = argument
        .to_str()
        .filter(|text| text.contains(['*', '?', '[']))
    else {
        return Ok(None);
    };
    let bad = |reason: String| Mistake::Pattern {
        pattern: text.to_owned(),
        reason,
    };
    let mut paths = glob::glob(text)
        .map_err(|error| bad(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(error.to_string()))?;
    paths.sort();
    Ok(Some(paths))
}

/// A name without an ending for every input's pictures, as a path below the folder of maps. No two
/// are alike, not even where capitals do not count, and none leads out of the folder.
pub(crate) fn names(images: &[Input]) -> Vec<PathBuf> {
    // from the short name to the long one; whoever is alone with a name has it
    let longer: [fn(&Input) -> PathBuf; 3] = [
        |input| input.relative.with_extension(""),
        |input| input.relative.clone(),
        |input| {
            input
                .path
                .components()
                .filter(|part| matches!(part, Component::Normal(_)))
                .collect()
        },
    ];
    let mut names: Vec<Option<PathBuf>> = vec![None; images.len()];
    let mut taken = BTreeSet::new();
    for name in longer {
        let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, input) in images
            .iter()
            .enumerate()
            .filter(|(i, _)| names[*i].is_none())
        {
            wanted.entry(folded(&name(input))).or_default().push(i);
        }
        for (key, who) in wanted {
            if let [one] = who[..]
                && taken.insert(key)
            {
                names[one] = Some(name(&images[one]));
            }
        }
    }
    let mut number = 1;
    names
        .into_iter()
        .zip(images)
        .map(|(name, input)| {
            name.unwrap_or_else(|| {
                loop {
                    number += 1;
                    let mut numbered = OsString::from(&input.relative);
                    numbered.push(format!(".{number}"));
                    if taken.insert(folded(Path::new(&numbered))) {
                        break numbered.into();
                    }
                }
            })
        })
        .collect()
}

fn folded(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        folder
    }

    fn relative(found: &Inputs) -> Vec<&str> {
        found
            .images
            .iter()
            .map(|input| input.relative.to_str().unwrap())
            .collect()
    }

    #[test]
    fn a_folder_is_searched_to_the_bottom_in_order() {
        let folder = tree(&[
            "b.PNG",
            "a/2.jpg",
            "a/10.jpeg",
            "notes.txt",
            ".hidden.png",
            "a/b.map.png",
            "c.webp",
        ]);
        let found = gather(&[folder.path().to_owned()]).unwrap();
        assert_eq!(
            relative(&found),
            ["a/10.jpeg", "a/2.jpg", "b.PNG", "c.webp"]
        );
        let skipped: Vec<_> = found
            .skipped
            .iter()
            .map(|p| p.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(skipped, ["b.map.png", "notes.txt"]);
    }

    #[test]
    fn patterns_files_and_absent_paths() {
        let folder = tree(&["x1.png", "x2.png", "y.png", "odd[1].png", "plain"]);
        let at = |name: &str| folder.path().join(name);
        let found = gather(&[
            at("x?.png"),
            at("odd[1].png"),
            at("plain"),
            at("gone.png"),
            "-".into(),
        ])
        .unwrap();
        assert_eq!(
            relative(&found),
            [
                "x1.png",
                "x2.png",
                "odd[1].png",
                "plain",
                "gone.png",
                "stdin"
            ]
        );
        assert_eq!(gather(&[at("z*.png")]).unwrap(), Inputs::default());
    }

    #[test]
    fn an_image_named_twice_is_scored_once() {
        let folder = tree(&["x.png"]);
        let found = gather(&[folder.path().join("x.png"), folder.path().to_owned()]).unwrap();
        assert_eq!(relative(&found), ["x.png"]);
    }

    fn input(path: &str, relative: &str) -> Input {
        Input {
            path: path.into(),
            relative: relative.into(),
        }
    }

    #[test]
    fn names_are_short_where_they_can_be_and_never_alike() {
        let images = [
            input("in/a.png", "a.png"),
            input("in/b.png", "b.png"),
            input("in/b.jpg", "b.jpg"),
            input("in/sub/a.png", "sub/a.png"),
            input("x/good/000.png", "000.png"),
            input("../y/good/000.png", "000.png"),
            input("C.png", "C.png"),
            input("c.png", "c.png"),
        ];
        let names: Vec<String> = names(&images)
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "a",
                "b.png",
                "b.jpg",
                "sub/a",
                "x/good/000.png",
                "y/good/000.png",
                "C.png.2",
                "c.png.3"
            ]
        );
    }

    #[test]
    fn names_stay_inside_the_folder() {
        let images = [
            input("/abs/../e.png", "e.png"),
            input("../../e.png", "e.png"),
        ];
        for name in names(&images) {
            assert!(
                name.components()
                    .all(|part| matches!(part, Component::Normal(_))),
                "{name:?}"
            );
        }
    }
}
