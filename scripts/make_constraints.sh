#!/usr/bin/env bash
# Write constraints.txt from a fresh environment that holds every extra: the versions that CI and README install.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
python3 -m venv "$fresh/venv"
"$fresh/venv/bin/pip" install -q torch==2.13.0
"$fresh/venv/bin/pip" install -q -e '.[cuda,dev,guards,mlx,torch]'
{
  echo "# Versions that were tested together; made by scripts/make_constraints.sh."
  echo "# torch 2.13.0 resolves to a CPU build where the test machines install it from."
  "$fresh/venv/bin/pip" freeze --exclude-editable | sed 's/+cpu//' | grep -v -i '^gensafe'
} > constraints.txt
