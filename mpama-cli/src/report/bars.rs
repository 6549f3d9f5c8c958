//! Bars as inline SVG: upright ones that are compared, and lying ones that are parts of a whole.

use std::fmt::Write;

use super::chart::{figure, grid, label, place, titles};
use super::text::{escaped, per_cent};

/// One upright bar.
pub(super) struct Bar {
    /// Below it.
    pub(super) name: String,
    /// Below the name.
    pub(super) note: String,
    /// What a pointer is told beside name and value.
    pub(super) more: String,
    /// Of 1; `None` leaves a gap that says so.
    pub(super) value: Option<f64>,
}

/// A whole and its parts.
pub(super) struct Row {
    pub(super) name: String,
    /// Name, colour as CSS has it, and share of each part.
    pub(super) parts: Vec<(String, String, f64)>,
    /// Set apart from the rows above it.
    pub(super) apart: bool,
}

/// Upright bars from 0 to 1, each with its value in per cent above it.
pub(super) fn upright(title: &str, x: &str, y: &str, bars: &[Bar]) -> String {
    let mut body = grid(&[], &[0.0, 0.25, 0.5, 0.75, 1.0]);
    for share in [0.0, 0.5, 1.0] {
        body += &label("y", 0.0, share, &format!("{:.0}", 100.0 * share));
    }
    let slot = 1.0 / bars.len().max(1) as f64;
    for (number, bar) in bars.iter().enumerate() {
        let middle = (number as f64 + 0.5) * slot;
        body += &label("x", middle, 0.0, &escaped(&bar.name));
        let (x, bottom) = place(middle, 0.0);
        let _ = write!(
            body,
            "<text class=\"tick x note\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 23.0,
            escaped(&bar.note)
        );
        let (left, top) = place(
            middle - 0.32 * slot,
            bar.value.unwrap_or(0.0).clamp(0.0, 1.0),
        );
        let (right, _) = place(middle + 0.32 * slot, 0.0);
        let text = per_cent(bar.value);
        if bar.value.is_some() {
            let _ = write!(
                body,
                "<rect class=\"bar upright\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{}: {text}, {}</title></rect>",
                right - left,
                bottom - top,
                escaped(&bar.name),
                escaped(&bar.more)
            );
        }
        let _ = write!(
            body,
            "<text class=\"tick x value\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
            top - 3.0
        );
    }
    body += &titles(x, y, 38.0);
    figure(title, "", [260.0, 224.0], &body)
}

/// Where the names of rows end, where bars begin and end.
const NAMES: f64 = 66.0;
const BAR: [f64; 2] = [72.0, 252.0];
/// From one row to the next, and how much of it a bar fills.
const STEP: f64 = 21.0;
const THICK: f64 = 15.0;
/// Characters of a name.
const NAME: usize = 13;

/// Lying bars of equal length; large parts have their share in per cent on them. `legend` is HTML.
pub(super) fn parts(title: &str, x: &str, legend: &str, rows: &[Row]) -> String {
    let [left, right] = BAR;
    let mut body = String::new();
    let mut top = 6.0;
    for row in rows {
        if row.apart {
            top += STEP / 3.0;
        }
        let name = escaped(&shortened(&row.name));
        let _ = write!(
            body,
            "<text class=\"tick y\" x=\"{NAMES}\" y=\"{:.1}\">{name}<title>{}</title></text>",
            top + THICK / 2.0 + 3.2,
            escaped(&row.name)
        );
        let mut from = left;
        for (part, colour, share) in row.parts.iter().filter(|(_, _, share)| *share > 0.0) {
            let width = share * (right - left);
            let _ = write!(
                body,
                "<rect class=\"part\" fill=\"{colour}\" x=\"{from:.2}\" y=\"{top:.1}\" \
                 width=\"{width:.2}\" height=\"{THICK}\"><title>{}: {part} {:.1} %</title></rect>",
                escaped(&row.name),
                100.0 * share
            );
            if width > 16.0 {
                let _ = write!(
                    body,
                    "<text class=\"tick x on {}\" x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
                    ink(colour),
                    from + width / 2.0,
                    top + THICK / 2.0 + 3.2,
                    100.0 * share
                );
            }
            from += width;
        }
        top += STEP;
    }
    let bottom = top - (STEP - THICK) + 4.0;
    let mut below = String::from("<path class=\"grid\" d=\"");
    for tenths in [0, 5, 10] {
        let at = left + f64::from(tenths) / 10.0 * (right - left);
        let _ = write!(below, "M{at:.1} 2V{bottom:.1}");
        let _ = write!(
            body,
            "<text class=\"tick x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 11.0,
            10 * tenths
        );
    }
    below += "\"/>";
    let _ = write!(
        body,
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{x}</text>",
        (left + right) / 2.0,
        bottom + 25.0
    );
    figure(title, legend, [260.0, bottom + 30.0], &(below + &body))
}

/// A name that fits beside a bar.
fn shortened(name: &str) -> String {
    match name.chars().count() > NAME {
        true => name.chars().take(NAME - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// Whether text on a colour `#rrggbb` is dark or pale.
fn ink(colour: &str) -> &'static str {
    let channel = |at: usize| {
        let digits = colour.get(at..at + 2).unwrap_or("00");
        f64::from(u8::from_str_radix(digits, 16).unwrap_or(0))
    };
    match 0.299 * channel(1) + 0.587 * channel(3) + 0.114 * channel(5) > 130.0 {
        true => "dark",
        false => "pale",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: Option<f64>) -> Bar {
        Bar {
            name: name.to_owned(),
            note: String::new(),
            more: "3 images".to_owned(),
            value,
        }
    }

    /// The values of an attribute of all elements of a class.
    fn of(chart: &str, class: &str, attribute: &str) -> Vec<f64> {
        let opening = format!("class=\"{class}\"");
        let value = |element: &str| -> Option<f64> {
            let rest = element.split_once(&format!(" {attribute}=\""))?.1;
            rest.split('"').next()?.parse().ok()
        };
        chart.split(&opening).skip(1).filter_map(value).collect()
    }

    #[test]
    fn bars_are_as_tall_as_their_values() {
        let bars = [
            bar("tiny", Some(0.5)),
            bar("large", Some(1.0)),
            bar("none", None),
        ];
        let chart = upright("AUPRO", "size", "AUPRO", &bars);
        let heights = of(&chart, "bar upright", "height");
        assert_eq!(heights, [85.0, 170.0]);
        assert!(chart.contains(">n/a<") && chart.contains("<title>tiny: 50.0, 3 images</title>"));
    }

    #[test]
    fn parts_fill_their_bar_one_after_the_other() {
        let part = |share| ("a".to_owned(), "#000000".to_owned(), share);
        let rows = [Row {
            name: "a very long name <of> a thing".to_owned(),
            parts: vec![part(0.25), part(0.0), part(0.7), part(0.05)],
            apart: false,
        }];
        let chart = parts("Experts", "share", "", &rows);
        let (from, width) = (of(&chart, "part", "x"), of(&chart, "part", "width"));
        assert_eq!(width, [45.0, 126.0, 9.0]);
        assert_eq!(from, [72.0, 117.0, 243.0]);
        // a number only where there is room for it
        assert_eq!(chart.matches("class=\"tick x on pale\"").count(), 2);
        assert!(chart.contains(">a very long …<"), "{chart}");
        assert!(chart.contains("&lt;of&gt;") && !chart.contains("<of>"));
    }

    #[test]
    fn text_stands_out_from_its_bar() {
        assert_eq!(
            ["#24262b", "#0072b2", "#c9ccd2", "#f0e442"].map(ink),
            ["pale", "pale", "dark", "dark"]
        );
    }
}
