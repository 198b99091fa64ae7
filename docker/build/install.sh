#!/bin/sh
# In the build stage of an image: /opt/venv from docker/locks/NAME.lock, patched and byte-compiled, the same bytes each time.
# install.sh NAME [SERIES]. Wheels come from /wheels where it holds any, and else from the package index.
set -eu
name=$1 series=${2:-}
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
if [ -n "$(ls /wheels)" ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi

make_venv() { # FOLDER LOCK
    python -m venv "$1"
    [ ! -s "$2" ] || "$1/bin/python" -m pip install -q --require-hashes --no-deps --ignore-requires-python --no-compile --only-binary=:all: -r "$2"
}

make_venv /opt/venv "/docker/locks/$name.lock"
if [ -n "$series" ]; then
    make_venv /tmp/patching /docker/locks/patching.lock
    /tmp/patching/bin/python /series.py "/patches/$series" "$(echo /opt/venv/lib/python3.*/site-packages)"
fi
/opt/venv/bin/python -m pip uninstall -q -y pip setuptools
find /opt/venv -name __pycache__ -prune -exec rm -rf {} +
# Checked by nobody, so that time stamps do not matter; files for other Python versions do not compile, and are not needed.
python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib >/dev/null || true
find /opt/venv -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
