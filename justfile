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

# the portable kernels under Miri (rustup toolchain install nightly --component miri,rust-src): some minutes, once built
[group('check')]
miri:
    RAYON_NUM_THREADS=1 MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-permissive-provenance" cargo +nightly miri test -p mpama-core --lib --locked -- kernels::aligned kernels::packed::tests::every_width kernels::packed::tests::it_is_added kernels::heads::tests::what_is_no

# what the metrics cost (1,725 maps of 518×518, as many as MVTec AD's test set has) and the steps of training, or one: just bench steps
[group('check')]
bench what='*' *args:
    cargo bench -p mpama-train --bench '{{ what }}' -- {{ args }}

# the image tower beside PyTorch's, which has to be installed: tests/peer/tower.py says how
[group('check')]
bench-peer *args:
    cargo build --release -p mpama-cli --locked
    python3 tests/peer/tower.py {{ args }}

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

# train on VisA with the paper's settings, to be measured on MVTec AD: just train-visa VISA --clip CLIP
[group('paper')]
train-visa data *args:
    cargo run --release -- train --config configs/visa.toml --data {{ quote(data) }} --out runs/visa {{ args }}

# train on MVTec AD with the paper's settings, to be measured on all others: just train-mvtec MVTEC --clip CLIP
[group('paper')]
train-mvtec data *args:
    cargo run --release -- train --config configs/mvtec.toml --data {{ quote(data) }} --out runs/mvtec {{ args }}

# measure an adapter on every dataset in a folder: just eval-all DATASETS --clip CLIP --adapter runs/mvtec/adapter
[group('paper')]
eval-all DATA *args:
    cargo run --release -- eval --data {{ trim_start_match(DATA, "DATA=") }}/*/ --per-category --report runs/eval-all {{ args }}

# a table of the paper, from DATASETS/mvtec, DATASETS/visa, …: just table-1 --data DATASETS --clip CLIP [--dry-run]
[group('paper')]
table-1 *args: (experiment "table-1" args)
[group('paper')]
table-2 *args: (experiment "table-2" args)
[group('paper')]
table-3 *args: (experiment "table-3" args)
[group('paper')]
table-4 *args: (experiment "table-4" args)
[group('paper')]
table-5 *args: (experiment "table-5" args)

# Table 6, the datasets themselves: just table-6 DATASETS
[group('paper')]
table-6 DATA:
    for data in {{ DATA }}/*/; do cargo run --release -- datasets check "$data"; done

[group('paper')]
table-7 *args: (experiment "table-7" args)
[group('paper')]
table-8 *args: (experiment "table-8" args)

# a figure of the paper, as the tables
[group('paper')]
figure-4 *args: (experiment "figure-4" args)
[group('paper')]
figure-5 *args: (experiment "figure-5" args)
[group('paper')]
figure-6 *args: (experiment "figure-6" args)
[group('paper')]
figure-8 *args: (experiment "figure-8" args)

# a plan of configs/experiments: trained, measured and tabulated in runs/, going on where it stopped
[group('paper')]
experiment plan *args:
    cargo run --release -- experiment configs/experiments/{{ plan }}.toml --out runs/{{ plan }} {{ args }}

# make the demo's CLIP anew: first FIRST, then second SECOND FIRST, then third THIRD SECOND (folders; each stops and continues)
[group('write')]
pretrain-demo round out *from:
    RAYON_NUM_THREADS=1 CANDLE_NUM_THREADS=1 cargo run --release -p mpama-train --example pretrain_demo -- {{ round }} {{ out }} {{ from }}

# the demo's settings, on drawn categories that neither teach nor judge: just demo-selection runs/demo/clip
[group('check')]
demo-selection clip *args:
    cargo run --release -- datasets synth --out runs/demo-selection/data/training --size 128 --good 12 --defective 18 --seed 111 --categories battery,bearing,biscuit,blister_pack,bottle_mouth,brick,brushed_metal,button,cable_end,circuit_board,concrete,cork,corrugated_sheet,gear,knit,nut,terrazzo,wire_mesh,wood,woven_cloth
    cargo run --release -- datasets synth --out runs/demo-selection/data/selection --size 128 --good 24 --defective 48 --seed 5000 --categories denim,marble,perforated_plate,tablet,washer,zipper
    cargo run --release -- experiment configs/demo/selection.toml --out runs/demo-selection --data runs/demo-selection/data --clip {{ clip }} {{ args }}

# modules and perception sets on the drawn data of `mpama demo --out DEMO`
[group('check')]
demo-ablations demo *args:
    cargo run --release -- experiment configs/demo/ablations.toml --out runs/demo-ablations --data {{ demo }}/data --clip {{ demo }}/clip {{ args }}

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
