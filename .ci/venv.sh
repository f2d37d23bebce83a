#!/bin/sh
# venv.sh FOLDER REQUIREMENTS: make the virtual environment if it is missing or broken, and install the
# requirements if they have changed since they were installed last.
set -eu
venv=$1 requirements=$2
python=$venv/bin/python
stamp=$venv/installed-$requirements

usable() {
    # pyenv and others put commands on the PATH that only say "not installed", so it is run, not looked up.
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    # 3.12 and 3.11 come first: for them there is a wheel that brings an embedded Redis.
    for name in python3.12 python3.11 python3.13 python3 python; do
        if usable "$name"; then
            echo "$name"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 was found. Install one of them and try again." >&2
    exit 1
}

if ! usable "$python" || ! "$python" -c 'import pip' >/dev/null 2>&1; then
    base=$(find_python)
    if ! "$base" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        # Debian and Ubuntu keep this part of Python in a package of its own.
        package="python$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
        else
            echo "This Python cannot make virtual environments. Install $package and try again." >&2
            exit 1
        fi
    fi
    echo "Making $venv with $("$base" --version) …"
    "$base" -m venv --clear "$venv"
fi

if ! cmp -s "$requirements" "$stamp"; then
    echo "Installing $requirements (a few minutes the first time) …"
    rm -f "$stamp"
    "$python" -m pip --disable-pip-version-check install --quiet --requirement "$requirements"
    cp "$requirements" "$stamp"
fi
