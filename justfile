# Recipes for people working on GenSafe.

bin := ".venv/bin/"

# Linters, import floors, types, fast unit tests: what to run while working.
check: lint
    {{bin}}python -m pytest -n auto tests/unit/core tests/unit/keys tests/unit/registry tests/unit/marking tests/unit/test_tree.py

# Linters, import floors and types only.
lint:
    {{bin}}ruff check .
    {{bin}}ruff format --check .
    {{bin}}lint-imports
    {{bin}}mypy

# Every test that this machine can run.
test:
    {{bin}}python -m pytest -n auto

# All fuzzers: the checker of exports, its parsers, the readers of files, the request surface.
fuzz count="20000":
    {{bin}}python -m tests.fuzz --count {{count}}

# The attack scripts of ../shared/security against this code, and why each of them fails.
attacks:
    {{bin}}python -m tests.attacks

# Generated code and documents: Python from proto/, and the pages that are made from the code.
generate:
    scripts/generate_proto.sh
    {{bin}}python scripts/generate_cli_docs.py
    {{bin}}python scripts/generate_config_docs.py
    {{bin}}python scripts/generate_client_docs.py

# Build, install into a clean environment, and use what would be released.
release-check:
    scripts/release_check.sh

# Client and verifier: build, install each alone, weigh, use.
roles:
    {{bin}}python scripts/check_roles.py

# Train the model from nothing on one CPU core (about an hour); the bundle lands in build/nano/symphony-nano.
train-nano minutes="75":
    python -m gensafe_backends.symphony.train --config nano --minutes {{minutes}} --out build/nano --resume

# Second stage: go on from a bundle's weights with a fresh optimiser (about an hour and a quarter).
train-nano-more from="build/nano/symphony-nano" minutes="73":
    python -m gensafe_backends.symphony.train --config nano --from {{from}} --peak 0.002 --minutes {{minutes}} --seed 2 --out build/nano-more --resume

# Third stage: edits, charts, several media at once, and media read back from files (about two hours).
train-nano-changes from="build/nano-more/symphony-nano" minutes="112":
    python -m gensafe_backends.symphony.train --config nano --from {{from}} --peak 0.0016 --minutes {{minutes}} --seed 3 --stage changes --heard benchmarks/results/symphony/heard.json --out build/nano-changes --resume
