#!/usr/bin/env bash
# Regenerate gensafe/v1 and gensafe/extproc from proto/ with the pinned tools; with --check, fail if that changes anything.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${TEST_PROTO_VENV:-build/proto-tools}
if [ ! -x "$tools/bin/python" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install -q -r proto/requirements.txt
fi
out=.
if [ "${1:-}" = "--check" ]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
PATH="$PWD/$tools/bin:$PATH" "$tools/bin/python" -m grpc_tools.protoc -Iproto \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="$out" --mypy_grpc_out="$out" proto/gensafe/v1/*.proto
PATH="$PWD/$tools/bin:$PATH" "$tools/bin/python" -m grpc_tools.protoc -Iproto \
  --python_out="$out" --mypy_out="$out" proto/gensafe/extproc/v3/*.proto  # messages only
if [ "$out" != . ]; then
  for package in v1 extproc; do
    diff -r -x __pycache__ -x __init__.py "$out/gensafe/$package" "gensafe/$package" || { echo "gensafe/$package is stale: run scripts/generate_proto.sh" >&2; exit 1; }
  done
  echo "the generated code is current"
fi
