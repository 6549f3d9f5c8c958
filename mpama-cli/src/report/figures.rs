//! What the paper's figures 4 and 5 and its table 7 show, measured here: pixel metrics by the size of the
//! defect, how often each expert was used, and what predicting cost. What is undefined is left out.

use mpama_core::config::ExpertsConfig;
use mpama_train::eval::{Cost, ExpertUse, Figures, Report, ScaleScores};

use super::bars::{Bar, Row, parts, upright};
use super::experts::{colour, css, legend};
use super::paper::{COSTS, recognise};
use super::text::per_cent;
use crate::output::count;

/// A metric of a quarter.
type Metric = (&'static str, fn(&ScaleScores) -> Option<f64>);

const METRICS: [Metric; 2] = [
    ("Pixel AUROC", |scale| scale.pixel_auroc),
    ("AUPRO", |scale| scale.aupro),
];

/// The section of a dataset; empty if there is nothing to show.
pub(super) fn html(report: &Report, pool: &ExpertsConfig) -> String {
    let Some(figures) = &report.figures else {
        return String::new();
    };
    let mut charts = String::new();
    let mut about = Vec::new();
    if has_sizes(figures) {
        charts += &sizes(&figures.scales);
        about.push("by size of the defect");
    }
    if !figures.experts.is_empty() {
        charts += &experts(report, figures, pool);
        about.push("by expert");
    }
    let mut html = String::new();
    if !charts.is_empty() {
        html += &format!("<div class=\"charts\">\n{charts}</div>\n");
    }
    if let Some(cost) = &figures.cost {
        html += &self::cost(cost, recognise(report).is_some());
        about.push("cost");
    }
    if html.is_empty() {
        return html;
    }
    let heading = about.join(", ");
    let (first, rest) = heading.split_at(1);
    format!(
        "<section class=\"figures\">\n<h3>{}{rest}</h3>\n{html}</section>\n",
        first.to_uppercase()
    )
}

/// Whether there is a metric by the size of the defect.
pub(super) fn has_sizes(figures: &Figures) -> bool {
    let scales = &figures.scales;
    METRICS
        .iter()
        .any(|(_, of)| scales.iter().any(|scale| of(scale).is_some()))
}

/// Figure 4: a chart for each metric that is defined.
fn sizes(scales: &[ScaleScores]) -> String {
    let chart = |(name, of): &Metric| {
        let bars: Vec<Bar> = scales
            .iter()
            .map(|scale| Bar {
                name: scale.scale.clone(),
                note: scale.images.to_string(),
                more: format!("{}, {}", count(scale.images, "image"), limit(scale)),
                value: of(scale),
            })
            .collect();
        let defined = bars.iter().any(|bar| bar.value.is_some());
        let chart = || {
            let title = format!("{name} by size of the defect");
            upright(&title, "quarter of sizes, images in it", "mean, %", &bars)
        };
        defined.then(chart)
    };
    METRICS.iter().filter_map(chart).collect()
}

/// Up to where a quarter goes.
fn limit(scale: &ScaleScores) -> String {
    match scale.most_pixels {
        Some(most) => format!("up to {most:.0} anomalous pixels"),
        None => "more anomalous pixels".to_owned(),
    }
}

/// Figure 5: over the dataset with each perception level, and each category if there are several.
fn experts(report: &Report, figures: &Figures, pool: &ExpertsConfig) -> String {
    let row = |name: String, used: &[ExpertUse], apart| Row {
        name,
        parts: used
            .iter()
            .enumerate()
            .map(|(place, used)| (used.expert.clone(), css(colour(place, pool)), used.share))
            .collect(),
        apart,
    };
    let of_pool = |place: usize| {
        let share = figures.experts.get(place).map(|used| used.share);
        format!(": {}", per_cent(share))
    };
    let mut rows = vec![row("all".to_owned(), &figures.experts, false)];
    for (number, perception) in figures.perceptions.iter().enumerate() {
        let name = format!("p = {}", perception.level);
        rows.push(row(name, &perception.experts, number == 0));
    }
    let x = "share of choices, %";
    let mut html = parts("Experts by perception", x, &legend(pool, of_pool), &rows);
    let rows: Vec<Row> = report
        .categories
        .iter()
        .filter_map(|category| {
            let used = &category.figures.as_ref()?.experts;
            (!used.is_empty()).then(|| row(category.category.clone(), used, false))
        })
        .collect();
    if rows.len() > 1 {
        let colours = legend(pool, |_| String::new());
        html += &parts("Experts by category", x, &colours, &rows);
    }
    html
}

/// Table 7, as far as it is measured here; the paper's lines above it where the dataset is one of the paper's.
fn cost(cost: &Cost, beside_the_paper: bool) -> String {
    let number = |value: f64, digits: usize| format!("{value:.digits$}");
    let mut columns = vec!["images at a time", "time per image, s", "images per s"];
    let mut ours = vec![
        cost.batch_size.to_string(),
        number(cost.seconds_per_image, 3),
        number(cost.images_per_second, 2),
    ];
    if beside_the_paper || cost.peak_memory.is_some() {
        columns.push("peak memory, MB");
        let memory = cost.peak_memory.map(|bytes| number(bytes as f64 / 1e6, 0));
        ours.push(memory.unwrap_or_else(|| "–".to_owned()));
    }
    let row = |name: &str, cells: &[String]| {
        let cells: String = cells
            .iter()
            .map(|text| format!("<td>{text}</td>"))
            .collect();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>")
    };
    let head: String = columns
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let (mut rows, mut note) = (String::new(), "");
    if beside_the_paper {
        for theirs in COSTS {
            let cells = [
                "1".to_owned(),
                number(theirs.seconds, 3),
                number(theirs.images_per_second, 2),
                theirs.memory.to_string(),
            ];
            rows += &row(&format!("paper {}", theirs.system), &cells);
        }
        note = "<p class=\"notes\">The paper's: on an idle NVIDIA A100, memory of the GPU. Ours: memory of the process.</p>";
    }
    rows += &row(
        &format!("here, over {}", count(cost.images, "image")),
        &ours,
    );
    format!(
        "<div class=\"wide cost\"><table class=\"narrow\"><thead><tr><th></th>{head}</tr></thead>\
         <tbody>{rows}</tbody></table>{note}</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use mpama_train::eval::{PerceptionUse, Scores};

    use super::*;

    fn scale(scale: &str, pixel_auroc: Option<f64>, aupro: Option<f64>) -> ScaleScores {
        ScaleScores {
            scale: scale.to_owned(),
            images: 3,
            most_pixels: Some(41.5),
            pixel_auroc,
            aupro,
        }
    }

    fn used(pool: &ExpertsConfig, share: f64) -> Vec<ExpertUse> {
        let one = |place: usize| ExpertUse {
            expert: pool.name(place),
            chosen: 1,
            share,
            first: 1,
            first_share: share,
        };
        (0..pool.pool()).map(one).collect()
    }

    fn report(figures: Option<Figures>) -> Report {
        Report {
            dataset: "d".to_owned(),
            index_hash: String::new(),
            mask_threshold: 0,
            map_size: (1, 1),
            original_size: false,
            sigma: 0.0,
            categories: Vec::new(),
            mean: Scores::default(),
            failures: Vec::new(),
            seconds: 0.0,
            images: None,
            figures,
            bounds: None,
        }
    }

    fn nothing() -> Figures {
        Figures {
            scales: Vec::new(),
            experts: Vec::new(),
            perceptions: Vec::new(),
            cost: None,
        }
    }

    #[test]
    fn what_is_undefined_is_not_there() {
        let pool = ExpertsConfig::default();
        assert_eq!(html(&report(None), &pool), "");
        assert_eq!(html(&report(Some(nothing())), &pool), "");
        // sizes without a metric
        let figures = Figures {
            scales: vec![scale("tiny", None, None)],
            ..nothing()
        };
        assert_eq!(html(&report(Some(figures)), &pool), "");
        // one metric of two, and no experts
        let figures = Figures {
            scales: vec![scale("tiny", Some(0.5), None), scale("small", None, None)],
            ..nothing()
        };
        let html = html(&report(Some(figures)), &pool);
        assert!(html.contains("Pixel AUROC by size") && !html.contains("AUPRO"));
        assert!(html.contains("tiny: 50.0, 3 images, up to 42 anomalous pixels"));
        assert!(html.contains("<h3>By size of the defect</h3>") && html.contains(">n/a<"));
        assert!(!html.contains("xperts") && !html.contains("table"));
    }

    #[test]
    fn experts_are_shown_over_all_and_by_perception() {
        let pool = ExpertsConfig::default();
        let level = |level| PerceptionUse {
            level,
            experts: used(&pool, 0.2),
        };
        let figures = Figures {
            experts: used(&pool, 0.2),
            perceptions: vec![level(1), level(3)],
            ..nothing()
        };
        let html = html(&report(Some(figures)), &pool);
        assert_eq!(html.matches("class=\"part\"").count(), 3 * pool.pool());
        assert!(html.contains(">all<") && html.contains(">p = 3<"));
        assert!(html.contains("learnable 2: 20.0<"), "{html}");
        assert!(html.contains("<title>p = 1: zero 20.0 %</title>"));
        assert!(!html.contains("by category") && !html.contains("by size"));
    }

    #[test]
    fn cost_has_memory_only_where_the_system_tells() {
        let cost = |peak_memory| Cost {
            batch_size: 8,
            images: 20,
            seconds_per_image: 0.125,
            images_per_second: 8.0,
            peak_memory,
        };
        let of = |cost| {
            let figures = Figures {
                cost: Some(cost),
                ..nothing()
            };
            html(&report(Some(figures)), &ExpertsConfig::default())
        };
        let known = of(cost(Some(2_500_000_000)));
        assert!(
            known.contains("<td>0.125</td><td>8.00</td><td>2500</td>"),
            "{known}"
        );
        assert!(!of(cost(None)).contains("memory"));
        assert!(!known.contains("paper"), "{known}");
        let beside = super::cost(&cost(None), true);
        assert!(
            beside.contains("<th scope=\"row\">paper MPAMA</th><td>1</td><td>0.152</td><td>6.56</td><td>3275</td>"),
            "{beside}"
        );
        assert!(
            beside.contains("<td>0.125</td><td>8.00</td><td>–</td>"),
            "{beside}"
        );
    }
}
