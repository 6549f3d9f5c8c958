//! One folder's contents, sorted: sub-folders, images, and what is neither.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Orphan, Reason, Result};

/// The extensions of images and masks, in lower case; upper and mixed case are accepted too. Fixed
/// here rather than asked of a decoder, so that a dataset is the same list in every build.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// What systems and other tools leave in a dataset and nobody means as data. Hidden files (such as
/// macOS's `._000.png`, which has an image's extension) are passed over as well.
const LITTER: [&str; 4] = ["__MACOSX", "Thumbs.db", "desktop.ini", "meta.json"];

/// A named file or folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// A file's name up to its last dot.
pub(crate) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

pub(crate) fn is_image(name: &str) -> bool {
    let known = |extension| {
        IMAGE_EXTENSIONS
            .iter()
            .any(|e| e.eq_ignore_ascii_case(extension))
    };
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| known(extension))
}

/// Whether a mask of this name went through JPEG, which leaves noise around zero.
pub(crate) fn is_jpeg(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
}

/// The contents of one folder, each list sorted by name.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The folder itself.
    pub(crate) path: PathBuf,
    pub(crate) folders: Vec<Entry>,
    pub(crate) images: Vec<Entry>,
    /// Files that are not images, names that are not UTF-8, links that cannot be followed.
    pub(crate) others: Vec<Orphan>,
}

impl Listing {
    /// Lists `folder`. Links are followed, but not in circles; hidden files and litter are left out.
    pub(crate) fn of(folder: &Path) -> Result<Listing> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Read { path, source }
        };
        let mut listing = Listing {
            path: folder.to_path_buf(),
            folders: vec![],
            images: vec![],
            others: vec![],
        };
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let entry = entry.map_err(at(folder))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                listing.others.push(Orphan::new(path, Reason::NameNotUtf8));
                continue;
            };
            if name.starts_with('.') || LITTER.iter().any(|l| l.eq_ignore_ascii_case(&name)) {
                continue;
            }
            let mut kind = entry.file_type().map_err(at(&path))?;
            if kind.is_symlink() {
                let target = fs::metadata(&path);
                kind = match target {
                    Ok(target) if !(target.is_dir() && leads_up(&path, folder)) => {
                        target.file_type()
                    }
                    Ok(_) => {
                        listing.others.push(Orphan::new(path, Reason::LinkLoop));
                        continue;
                    }
                    Err(_) => {
                        listing.others.push(Orphan::new(path, Reason::BrokenLink));
                        continue;
                    }
                };
            }
            let entry = Entry { name, path };
            if kind.is_dir() {
                listing.folders.push(entry);
            } else if kind.is_file() && is_image(&entry.name) {
                listing.images.push(entry);
            } else {
                listing
                    .others
                    .push(Orphan::new(entry.path, Reason::NotAnImage));
            }
        }
        listing.folders.sort_by(|a, b| a.name.cmp(&b.name));
        listing.images.sort_by(|a, b| a.name.cmp(&b.name));
        listing.others.sort();
        Ok(listing)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.images.is_empty() && self.others.is_empty()
    }

    /// The sub-folder of this name in any case.
    pub(crate) fn folder(&self, name: &str) -> Option<&Entry> {
        self.folders
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(name))
    }

    /// The contents in words, for an error.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 6;
        let mut folders: Vec<_> = self
            .folders
            .iter()
            .take(SHOWN)
            .map(|f| format!("`{}/`", f.name))
            .collect();
        if self.folders.len() > SHOWN {
            folders.push(format!("{} more folders", self.folders.len() - SHOWN));
        } else if folders.is_empty() {
            folders.push("no folder".to_string());
        }
        let (images, others) = (self.images.len(), self.others.len());
        format!(
            "{}, {images} images, {others} other files",
            folders.join(", ")
        )
    }
}

/// Whether the link leads to the folder it lies in or to one above it.
fn leads_up(link: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(link), fs::canonicalize(folder)) {
        (Ok(target), Ok(folder)) => folder.starts_with(target),
        _ => false, // it can be listed all the same
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake::tree;

    fn names(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|e| e.name.as_str()).collect()
    }

    #[test]
    fn sorts_and_accepts_extensions_of_any_case() {
        let root = tree(&[
            "b.JPG", "a.png", "c d.Jpeg", "e.TIFF", "z/x.png", "y/x.png", "noext", "n.txt",
        ]);
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(
            names(&listing.images),
            ["a.png", "b.JPG", "c d.Jpeg", "e.TIFF"]
        );
        assert_eq!(names(&listing.folders), ["y", "z"]);
        let others: Vec<_> = listing
            .others
            .iter()
            .map(|o| o.path.file_name().unwrap())
            .collect();
        assert_eq!(others, ["n.txt", "noext"]);
    }

    #[test]
    fn passes_over_hidden_files_and_litter() {
        let root = tree(&[
            "._a.png",
            ".DS_Store",
            ".git/x.png",
            "thumbs.DB",
            "meta.json",
            "__MACOSX/a.png",
        ]);
        assert!(Listing::of(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_folder_called_like_an_image_is_a_folder() {
        let root = tree(&["a.png/b.png"]);
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(
            (names(&listing.folders), listing.images.len()),
            (vec!["a.png"], 0)
        );
    }

    #[cfg(target_os = "linux")] // elsewhere the file system refuses such a name
    #[test]
    fn lists_a_name_that_is_not_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let root = tree(&["a.png"]);
        let path = root.path().join(std::ffi::OsStr::from_bytes(b"\xff.png"));
        fs::write(&path, "x").unwrap();
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(names(&listing.images), ["a.png"]);
        assert_eq!(
            listing.others,
            [Orphan {
                path,
                reason: Reason::NameNotUtf8
            }]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let root = tree(&["a/x.png"]);
        let at = |name: &str| root.path().join(name);
        symlink(at("a/x.png"), at("l.png")).unwrap();
        symlink(at("a"), at("b")).unwrap();
        symlink(at("good"), at("good")).unwrap();
        symlink(at("nowhere"), at("gone.png")).unwrap();
        symlink(root.path(), at("up")).unwrap();
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(
            (names(&listing.images), names(&listing.folders)),
            (vec!["l.png"], vec!["a", "b"])
        );
        let orphan = |name, reason| Orphan::new(at(name), reason);
        assert_eq!(
            listing.others,
            [
                orphan("gone.png", Reason::BrokenLink),
                orphan("good", Reason::BrokenLink),
                orphan("up", Reason::LinkLoop),
            ]
        );
    }
}
