//! Measuring: metrics on plain slices, and an adapter measured on a dataset.
//!
//! Every metric is exact, ranks equal scores together, and is `None` where its definition has no
//! value: one class only, no sample, no region. Values are fractions, not percentages. Scores that
//! are not finite are an error, as they are to scikit-learn.
//!
//! [`auroc`], [`average_precision`] and [`f1_max`] take the scores and labels of images;
//! [`PixelMetrics`] collects anomaly maps one by one and gives the same three over pixels, together
//! with [`aupro`] and [`aupro_200`]. These last two are different measures with one name in the
//! literature and must not share a table column.
//!
//! [`roc_curve`], [`precision_recall_curve`] and [`pro_curve`] are what these areas lie under, thinned to
//! what a picture shows.
//!
//! [`evaluate`] measures a detector on a dataset with all of them.

mod ap;
mod auroc;
mod binned;
mod category;
mod cost;
mod curve;
mod error;
mod evaluate;
mod f1;
mod key;
mod pixels;
mod pro;
mod pro_200;
mod radix;
mod ranking;
mod regions;
mod report;
mod runs;
mod saved_maps;
mod scales;
mod state;
mod usage;

pub use ap::average_precision;
pub use auroc::auroc;
pub use binned::{BinnedMetrics, Bounds, PixelBounds};
pub use cost::{Cost, peak_memory};
pub use curve::{Curve, Curves, precision_recall_curve, pro_curve, roc_curve};
pub use error::MetricError;
pub use evaluate::{EvalConfig, Seen, evaluate, evaluate_with};
pub use f1::{F1, f1_max};
pub use pixels::{PIXEL_MEMORY, PixelMap, PixelMetrics, PixelScores};
pub use pro::{AUPRO_LIMIT, aupro};
pub use pro_200::aupro_200;
pub use regions::{Regions, label_regions};
pub use report::{CategoryFigures, CategoryReport, Failure, Figures, ImageResult, Report, Scores};
pub use saved_maps::{MAP_INDEX, SavedMaps};
pub use scales::ScaleScores;
pub use state::{DoneCategory, EvalState};
pub use usage::{ExpertUse, PerceptionUse};
