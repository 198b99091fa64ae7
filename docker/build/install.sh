#!/bin/sh
# In the build stage of an image: /venv from docker/locks/NAME.lock, patched and byte-compiled, the same bytes each time.
# install.sh NAME [SERIES [SDIST …]]. Wheels come from /wheels where it holds any, and else from the package index.
# The packages SDIST are published without a wheel: they are built here, by the setuptools of the same list and by nothing else.
set -eu
: "${SOURCE_DATE_EPOCH:=1700000000}" # a build by hand may not name it
name=$1 series=${2:-}
shift $(($# > 2 ? 2 : $#))
lock=/docker/locks/$name.lock
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
if [ -n "$(ls /wheels)" ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi

install() { # VENV LIST [OPTION …]
    venv=$1 list=$2
    shift 2
    [ ! -s "$list" ] || "$venv/bin/python" -m pip install -q --require-hashes --no-deps --ignore-requires-python --no-compile --only-binary=:all: "$@" -r "$list"
}

python -m venv /venv
if [ $# -gt 0 ]; then
    sed -n '/^setuptools==/,/[^\\]$/p' "$lock" >/tmp/setuptools.lock
    install /venv /tmp/setuptools.lock
    for sdist; do
        set -- "$@" "--no-binary=$sdist"
        shift
    done
    set -- --no-build-isolation "$@"
fi
install /venv "$lock" "$@"
if [ -n "$series" ]; then
    python -m venv /tmp/patching
    install /tmp/patching /docker/locks/patching.lock
    /tmp/patching/bin/python /series.py "/patches/$series" "$(echo /venv/lib/python3.*/site-packages)"
fi
tools=pip
grep -q '^setuptools==' "$lock" || tools="$tools setuptools"
/venv/bin/python -m pip uninstall -q -y $tools
# What no stage needs: headers, and the tests that large packages bring (not h5py's, which it imports).
(cd /venv/lib/python3.*/site-packages && rm -rf tensorflow/include pandas/tests && find numpy matplotlib -name tests -prune -exec rm -rf {} + 2>/dev/null || true)
find /venv -name __pycache__ -prune -exec rm -rf {} +
# Checked by nobody, so that time stamps do not matter; files for other Python versions do not compile, and are not needed.
python -m compileall -q --invalidation-mode unchecked-hash /venv/lib >/dev/null || true
find /venv -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
