# list recipes
default:
    @just --list --unsorted

# everything that has to pass
[group('check')]
ci:
    .ci/run

# formatting
[group('check')]
fmt:
    cargo fmt --all --check

# warnings are errors
[group('check')]
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# all tests, or those whose names contain the arguments
[group('check')]
test *args:
    cargo test --workspace --locked {{ args }}

# what the metrics cost: 1,725 maps of 518×518, as many as MVTec AD's test set has
[group('check')]
bench *args:
    cargo bench -p mpama-train --bench metrics -- {{ args }}

# documentation of every public item
[group('check')]
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# licences and who may depend on what (cargo install cargo-deny)
[group('check')]
deny:
    cargo deny check bans licenses sources

# spelling (cargo install typos-cli)
[group('check')]
typos:
    typos

# train an adapter
[group('use')]
train *args:
    cargo run --release -- train {{ args }}

# measure an adapter
[group('use')]
eval *args:
    cargo run --release -- eval {{ args }}

# score images
[group('use')]
predict *args:
    cargo run --release -- predict {{ args }}

# make the demo's CLIP anew in a folder (stops and continues; see mpama-train/src/pretrain)
[group('write')]
pretrain-demo out:
    RAYON_NUM_THREADS=1 CANDLE_NUM_THREADS=1 cargo run --release -p mpama-train --example pretrain_demo -- {{ out }}

# measure a CLIP for the demo on categories it has not seen: selection, or test at the very end
[group('check')]
measure-demo clip work split *args:
    cargo run --release -p mpama-train --example measure_demo -- {{ clip }} {{ work }} {{ split }} {{ args }}

# rewrite the documents that are generated from the code
[group('write')]
docs:
    MPAMA_UPDATE=1 cargo test -p mpama-cli reference

# rewrite the test fixtures (needs tests/fixtures/requirements.txt)
[group('write')]
fixtures *recipes:
    python3 tests/fixtures/generate.py {{ recipes }}
