//! Curves and histograms as inline SVG. Colours are the page's; every line also differs in dashes.

use std::fmt::Write;

use mpama_train::eval::Curve;

use super::text::per_cent;

/// Width and height of a chart.
const VIEW: [f64; 2] = [260.0, 214.0];
/// The plot's place in it: left, top, right and bottom.
const FRAME: [f64; 4] = [34.0, 8.0, 246.0, 178.0];
/// Bars of a histogram.
const BINS: usize = 40;

/// One line of a chart; without a curve it is in the legend only, as n/a.
pub(super) struct Line<'a> {
    /// Name in the legend, and class for the style.
    pub(super) name: &'static str,
    /// What the legend gives as the area.
    pub(super) value: Option<f64>,
    pub(super) curve: Option<&'a Curve>,
}

/// What a chart of curves shows.
pub(super) struct Axes {
    pub(super) title: &'static str,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// The axis of x ends here; that of y ends at 1.
    pub(super) end: f64,
    /// Draw the line of chance.
    pub(super) chance: bool,
}

/// A place in the view.
pub(super) fn place(x: f64, y: f64) -> (f64, f64) {
    let [left, top, right, bottom] = FRAME;
    (left + x * (right - left), bottom - y * (bottom - top))
}

/// A chart of curves with its legend.
pub(super) fn curves(axes: &Axes, lines: &[Line<'_>]) -> String {
    let mut legend = String::new();
    let mut paths = String::new();
    for Line { name, value, curve } in lines {
        let _ = write!(
            legend,
            "<span class=\"key {name}\">{name} {}</span>",
            per_cent(*value)
        );
        let Some(curve) = curve else { continue };
        let _ = write!(paths, "<path class=\"line {name}\" d=\"");
        for (i, [x, y]) in curve.iter().enumerate() {
            let (x, y) = place(x / axes.end, *y);
            let _ = write!(paths, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        }
        paths += "\"/>";
    }
    let mut below = grid(&[0.0, 0.25, 0.5, 0.75, 1.0], &[0.0, 0.5, 1.0]);
    if axes.chance {
        let ((x1, y1), (x2, y2)) = (place(0.0, 0.0), place(1.0, 1.0));
        let _ = write!(below, "<path class=\"chance\" d=\"M{x1} {y1}L{x2} {y2}\"/>");
    }
    for share in [0.0, 0.5, 1.0] {
        below += &label("x", share, 0.0, &tick(share * axes.end));
        below += &label("y", 0.0, share, &tick(share));
    }
    below += &titles(axes.x, axes.y, 29.0);
    figure(axes.title, &legend, VIEW, &(below + &paths))
}

/// Where a threshold lies among the scores, and what it is called.
pub(super) struct Mark {
    /// Class for the style.
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) value: f32,
}

/// How the scores of normal images (upwards) and anomalous ones (downwards) lie, each as shares of
/// its own number: the two can be told apart without colour.
pub(super) fn histogram(normal: &[f32], anomalous: &[f32], marks: &[Mark]) -> String {
    let values = || {
        let marked = marks.iter().map(|mark| mark.value);
        normal.iter().chain(anomalous).copied().chain(marked)
    };
    let lowest = f64::from(values().fold(f32::INFINITY, f32::min));
    let highest = f64::from(values().fold(f32::NEG_INFINITY, f32::max));
    let step = nice_step((highest - lowest).max(1e-3) / 4.0);
    // the scale ends at round numbers, outside of every score
    let first = (lowest / step - 0.05).floor() * step;
    let last = (highest / step + 0.05).ceil() * step;
    let along = |value: f64| (value - first) / (last - first);

    let counts = |scores: &[f32]| {
        let mut counts = [0_usize; BINS];
        for score in scores {
            let bin = (along(f64::from(*score)) * BINS as f64) as usize;
            counts[bin.min(BINS - 1)] += 1;
        }
        counts
    };
    let sides = [("normal", normal, 1.0), ("anomalous", anomalous, -1.0)];
    let counted = sides.map(|(_, scores, _)| counts(scores));
    let share =
        |side: usize, bin: usize| counted[side][bin] as f64 / sides[side].1.len().max(1) as f64;
    let tallest = (0..2)
        .flat_map(|side| (0..BINS).map(move |bin| (side, bin)))
        .map(|(side, bin)| share(side, bin))
        .fold(f64::MIN_POSITIVE, f64::max);

    let mut body = String::new();
    let mut ticks = Vec::new();
    let steps = ((last - first) / step).round() as usize;
    for number in 0..=steps {
        let value = first + number as f64 * step;
        ticks.push(along(value));
        body += &label("x", along(value), 0.0, &tick(value));
    }
    body = grid(&ticks, &[0.5]) + &body;
    let mut legend = String::new();
    for (side, (name, scores, up)) in sides.into_iter().enumerate() {
        let _ = write!(
            legend,
            "<span class=\"key {name}\">{name} {}</span>",
            scores.len()
        );
        for (bin, count) in counted[side].iter().enumerate().filter(|(_, n)| **n > 0) {
            let height = up * 0.48 * share(side, bin) / tallest;
            let (left, middle) = place(bin as f64 / BINS as f64, 0.5);
            let (right, end) = place((bin + 1) as f64 / BINS as f64, 0.5 + height);
            let from = first + bin as f64 / BINS as f64 * (last - first);
            let to = from + (last - first) / BINS as f64;
            let _ = write!(
                body,
                "<rect class=\"bar {name}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{from:.3} to {to:.3}: {count} {name}</title></rect>",
                left + 0.4,
                middle.min(end),
                right - left - 0.8,
                (middle - end).abs(),
            );
        }
    }
    for Mark { class, name, value } in marks {
        let ((x, low), (_, high)) = (
            place(along(f64::from(*value)), 0.0),
            place(along(f64::from(*value)), 1.0),
        );
        let _ = write!(
            body,
            "<path class=\"mark {class}\" d=\"M{x:.1} {low}V{high}\"><title>{name}: \
             {value}</title></path>"
        );
        let _ = write!(
            legend,
            "<span class=\"key mark {class}\">{name} {value:.3}</span>"
        );
    }
    body += &titles("image score", "share of images", 29.0);
    figure("Scores", &legend, VIEW, &body)
}

/// 1, 2 or 5 times a power of ten, `rough` or the next above.
fn nice_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|s| s * power >= rough * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// A number of the scale, without noise in the last digits.
fn tick(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

pub(super) fn grid(columns: &[f64], rows: &[f64]) -> String {
    let [left, top, right, bottom] = FRAME;
    let mut path = String::new();
    for x in columns {
        let _ = write!(path, "M{:.1} {top}V{bottom}", place(*x, 0.0).0);
    }
    for y in rows {
        let _ = write!(path, "M{left} {:.1}H{right}", place(0.0, *y).1);
    }
    format!("<path class=\"grid\" d=\"{path}\"/>")
}

pub(super) fn label(axis: &str, x: f64, y: f64, text: &str) -> String {
    let (x, y) = place(x, y);
    match axis {
        "x" => format!(
            "<text class=\"tick x\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
            y + 13.0
        ),
        _ => format!(
            "<text class=\"tick y\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            x - 5.0,
            y + 3.0
        ),
    }
}

/// The names of the axes, that of x so far below the plot.
pub(super) fn titles(x: &str, y: &str, below: f64) -> String {
    let [left, top, right, bottom] = FRAME;
    let (middle, centre) = ((left + right) / 2.0, (top + bottom) / 2.0);
    format!(
        "<text class=\"axis\" x=\"{middle}\" y=\"{}\">{x}</text>\
         <text class=\"axis\" transform=\"translate(9 {centre}) rotate(-90)\">{y}</text>",
        bottom + below
    )
}

/// A chart in a view of so many units; `legend` is HTML, `body` SVG.
pub(super) fn figure(title: &str, legend: &str, [width, height]: [f64; 2], body: &str) -> String {
    format!(
        "<figure class=\"chart\"><figcaption><b>{title}</b>{legend}</figcaption>\
         <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{body}</svg></figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_steps() {
        let steps = [0.011, 0.02, 0.3, 1.0, 7.0].map(nice_step);
        assert_eq!(steps.map(tick), ["0.02", "0.02", "0.5", "1", "10"]);
        assert_eq!([0.15, 1.0, -0.00001].map(tick), ["0.15", "1", "0"]);
    }

    #[test]
    fn every_score_is_in_a_bar() {
        let chart = histogram(&[0.0, 0.5, 1.0], &[0.5, 0.5], &[]);
        let counted: usize = chart
            .split("<title>")
            .skip(1)
            .filter_map(|bar| {
                bar.split(": ")
                    .nth(1)?
                    .split(' ')
                    .next()?
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        assert_eq!(counted, 5);
        for scores in [&[][..], &[0.25]] {
            let chart = histogram(&[0.25, 0.25], scores, &[]);
            assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
        }
    }

    #[test]
    fn a_curve_begins_and_ends_at_the_corners() {
        let axes = Axes {
            title: "ROC",
            x: "x",
            y: "y",
            end: 0.3,
            chance: false,
        };
        let curve = vec![[0.0, 0.0], [0.3, 1.0]];
        let line = |curve| Line {
            name: "image",
            value: Some(0.5),
            curve,
        };
        let chart = curves(&axes, &[line(Some(&curve))]);
        assert!(chart.contains("d=\"M34.0 178.0L246.0 8.0\""), "{chart}");
        assert!(chart.contains(">image 50.0<") && chart.contains(">0.3<"));
        assert!(!curves(&axes, &[line(None)]).contains("line image"));
    }
}
