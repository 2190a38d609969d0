#!/usr/bin/env bash
# Build wheel and source distribution, install the wheel into a clean environment, and use it: version, one sealed
# sample, its verdict, the verdict on a changed copy; client and verifier alone likewise. Usage: scripts/release_check.sh [PYTHON]   (needs network or a cache)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '=== %s\n' "$1"; }

step "one version"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
grep -qx "__version__ = \"$version\"" gensafe/__init__.py || { echo "gensafe/__init__.py does not say $version"; exit 1; }

step "wheel and source distribution"
rm -rf dist
"$python" -m venv "$work/build"
"$work/build/bin/pip" install -q build
"$work/build/bin/python" -m build --outdir dist . >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }

step "the client and the verifier, each alone"
"$work/build/bin/python" scripts/check_roles.py
for part in client verifier; do "$work/build/bin/pip" wheel -q --no-deps -w dist "packages/$part"; done
(cd dist && sha256sum ./*.whl ./*.tar.gz >SHA256SUMS && cat SHA256SUMS)

step "the wheel in a clean environment"
"$python" -m venv "$work/clean"
"$work/clean/bin/pip" install -q -c constraints.txt "dist/gensafe-$version"-*.whl
cd "$work"  # nothing of the checkout may be found by chance
gensafe="$work/clean/bin/gensafe"
said=$("$gensafe" --version)
[ "$said" = "gensafe $version" ] || { echo "--version says: $said"; exit 1; }

step "a sample: made, verified, changed, verified"
"$gensafe" generate "a red circle" --modality image --output sample.png --data-dir data >/dev/null
"$gensafe" verify sample.png --data-dir data >/dev/null
"$work/clean/bin/python" - <<'PY'
data = bytearray(open("sample.png", "rb").read())
at = data.rindex(b"IDAT") + 40  # inside the picture's own data
data[at] ^= 1
open("changed.png", "wb").write(data)
PY
status=0
"$gensafe" verify changed.png --data-dir data >/dev/null 2>&1 || status=$?
[ "$status" -ne 0 ] || { echo "a changed file was verified"; exit 1; }
echo "released files are good: $said; the changed copy: exit $status"
