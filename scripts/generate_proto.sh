#!/usr/bin/env bash
# Regenerate gensafe/v1 from proto/ with the pinned tools; with --check, fail if that changes anything.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${GENSAFE_PROTO_VENV:-build/proto-tools}
if [ ! -x "$tools/bin/python" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install -q -r proto/requirements.txt
fi
out=.
if [ "${1:-}" = "--check" ]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
PATH="$PWD/$tools/bin:$PATH" "$tools/bin/python" -m grpc_tools.protoc -Iproto \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="$out" --mypy_grpc_out="$out" proto/gensafe/v1/*.proto
if [ "$out" != . ]; then
  diff -r -x __pycache__ -x __init__.py "$out/gensafe/v1" gensafe/v1 || { echo "gensafe/v1 is stale: run scripts/generate_proto.sh" >&2; exit 1; }
  echo "gensafe/v1 is current"
fi
