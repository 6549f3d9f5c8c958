//! A frozen CLIP in the Hugging Face layout, and nothing specific to anomalies.
