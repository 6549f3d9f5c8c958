//! Text and bytes as HTML takes them.

use std::path::Path;

use crate::output::shown;

/// A name as it may stand in HTML, between tags and in quoted attributes alike: nothing in it is
/// markup, and control characters are visible.
pub(super) fn escaped(name: &str) -> String {
    let name = shown(Path::new(name));
    let mut safe = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

/// A fraction in per cent, `n/a` where it is undefined.
pub(super) fn per_cent(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{:.1}", 100.0 * value))
}

/// A file's bytes as an address that needs no request (RFC 2397).
pub(super) fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", base64(bytes))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            match place <= chunk.len() {
                true => text.push(char::from(
                    ALPHABET[(bits >> (18 - 6 * place)) as usize & 63],
                )),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_equals_the_rfcs_examples() {
        let examples = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        assert_eq!(
            examples.map(|text| base64(text.as_bytes())),
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
        assert_eq!(base64(&[0xff, 0xef, 0xfe]), "/+/+");
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(
            escaped("<img src=x onerror='a&b'>\"\u{7}"),
            "&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;&quot;\\u{7}"
        );
    }
}
