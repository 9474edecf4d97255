#!/bin/sh
# Make .venv, or bring it up to date. Chooses a Python 3.11, 3.12 or 3.13: PYTHON where that is set,
# else the one that .venv has, python3, or the newest that there is.
set -eu

suits='import sys, venv, ensurepip
(3, 11) <= sys.version_info[:2] < (3, 14) or sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)'

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- .venv/bin/python python3 python3.13 python3.12 python3.11 python
fi
for candidate in "$@"; do
    if python=$("$candidate" -I -c "$suits" 2>/dev/null); then
        exec "$python" -I tools/make_venv.py
    fi
done

if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON is '$PYTHON', which is no working Python 3.11, 3.12 or 3.13 with venv." >&2
else
    echo "No Python 3.11, 3.12 or 3.13 with venv was found." >&2
fi
echo "Install one (on Debian and Ubuntu python3-venv too), or name it: make PYTHON=/path/to/python3.13 ..." >&2
exit 1
