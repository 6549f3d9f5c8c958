#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use mpama_train::eval::{CategoryReport, Scores};

use super::*;

fn report(dataset: &str, categories: &[(&str, usize, usize)]) -> Report {
    let category = |&(name, normal, anomalous): &(&str, usize, usize)| {
        let category = serde_json::json!({
            "category": name, "normal": normal, "anomalous": anomalous, "without_mask": 0, "regions": 0,
            "scores": Scores::default(), "image_f1_threshold": null, "seconds": 0.0,
        });
        serde_json::from_value::<CategoryReport>(category).unwrap()
    };
    let categories: Vec<CategoryReport> = categories.iter().map(category).collect();
    serde_json::from_value(serde_json::json!({
        "dataset": dataset, "index_hash": "", "map_size": [518, 518], "sigma": 4.0,
        "categories": categories, "mean": Scores::default(), "failures": [], "seconds": 0.0,
    }))
    .unwrap()
}

const MPDD: [(&str, usize, usize); 6] = [
    ("bracket_black", 32, 47),
    ("bracket_brown", 26, 51),
    ("bracket_white", 30, 30),
    ("connector", 30, 14),
    ("metal_plate", 26, 71),
    ("tubes", 32, 69),
];

#[test]
fn every_row_is_read_and_every_dataset_has_the_papers_systems() {
    let text = include_str!("figures.csv");
    assert_eq!(ROWS.len(), text.lines().count() - 1);
    let datasets: BTreeSet<&str> = ROWS.iter().map(|row| row.dataset.as_str()).collect();
    assert_eq!(datasets.len(), 15);
    for dataset in datasets {
        let systems: Vec<&str> = rows(dataset, None).map(|row| row.system.as_str()).collect();
        for system in ["AnomalyCLIP", "MPA", "MPAMA"] {
            assert!(systems.contains(&system), "{dataset}: {system}");
        }
        let figures = rows(dataset, None).flat_map(Row::figures).flatten();
        assert!(figures.into_iter().all(|v| (10.0..=100.0).contains(&v)));
    }
}

#[test]
fn categories_give_the_means_but_where_the_paper_errs() {
    // a wrong digit in the file would show here
    let odd: Vec<String> = ["MVTec AD", "VisA", "MPDD"]
        .iter()
        .flat_map(|dataset| odd_means(dataset))
        .collect();
    assert_eq!(
        odd,
        [
            "VAND image AUROC, said 86.1, is 86.15",
            "MPA image AUROC, said 94.1, is 94.15",
            "MPA image AP, said 96.9, is 97.51",
            "MPA pixel AUROC, said 92.5, is 92.42",
            "MPAMA image AUROC, said 94.5, is 94.44",
            "MPAMA pixel AUROC, said 93.2, is 93.31",
            "WinCLIP image AP, said 81.2, is 81.00",
            "MPAMA AUPRO-200, said 89.2, is 89.12",
        ]
    );
    assert!(odd_means("BTAD").is_empty());
}

#[test]
fn a_dataset_is_told_by_its_categories() {
    let known = |report: &Report| recognise(report).map(|known| known.name);
    assert_eq!(known(&report("whatever", &MPDD)), Some("MPDD"));
    assert_eq!(known(&report("MPDD", &MPDD[..5])), None, "a part");
    let loud: Vec<_> = MPDD
        .iter()
        .map(|c| (c.0.to_uppercase().replace('_', " "), c.1, c.2))
        .collect();
    let loud: Vec<_> = loud.iter().map(|c| (c.0.as_str(), c.1, c.2)).collect();
    assert_eq!(known(&report("x", &loud)), Some("MPDD"));
    // of one category: name and number of images
    assert_eq!(
        known(&report("data", &[("brain", 98, 155)])),
        Some("BrainMRI")
    );
    assert_eq!(
        known(&report("data", &[("brain", 100, 100)])),
        Some("HeadCT")
    );
    assert_eq!(known(&report("data", &[("bolt", 100, 100)])), None);
    assert_eq!(known(&report("brain", &[("brain", 97, 155)])), None);
    assert_eq!(
        known(&report("Kvasir-SEG", &[("images", 0, 1000)])),
        Some("Kvasir")
    );
}

#[test]
fn what_the_demo_draws_is_none_of_the_fifteen() {
    use mpama_datasets::synth::Split;
    for split in [Split::Training, Split::Selection, Split::Test] {
        let categories = split.categories();
        let names: Vec<_> = categories.iter().map(|c| (c.name, 15, 25)).collect();
        assert!(recognise(&report("mvtec", &names)).is_none());
        for one in names {
            assert!(recognise(&report("mvtec", &[one])).is_none());
        }
    }
}

#[test]
fn the_papers_figures_stand_beside_ours() {
    let report = report("MPDD", &MPDD);
    let page = html(&report);
    for words in [
        "Beside the paper: MPDD",
        "<th scope=\"row\">MPAMA</th><td>81.2</td><td>82.1</td><td>96.8</td><td>89.2</td>",
        "<th scope=\"row\">tubes</th><td>95.5</td><td>96.5</td><td>99.2</td>",
        "<li>Where the paper",
    ] {
        assert!(page.contains(words), "`{words}` in {page}");
    }
    assert!(
        !page.contains("Measured here on"),
        "the counts are the paper's"
    );
    let beside = Beside::of(&report).unwrap();
    assert_eq!(beside.systems.len(), 7 + 6 * 5);
    let lines = lines(&report, &METRICS).unwrap();
    assert_eq!(lines[2].0, "paper MPAMA");
    assert_eq!(
        lines[2].1,
        ["81.2", "82.1", "–", "96.8", "–", "–", "–", "89.2"]
    );
}
