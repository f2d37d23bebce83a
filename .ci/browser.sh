#!/bin/sh
# browser.sh PYTHON: make sure that the browser tests find a Chromium.
set -eu
python=$1

for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests …"
    if apt-get update -qq; then
        # Older Debian has the browser in one piece only.
        package=chromium-headless-shell
        apt-cache show "$package" >/dev/null 2>&1 || package=chromium
        if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
            fonts-dejavu-core >/dev/null && command -v "$package" >/dev/null 2>&1; then
            exit 0
        fi
    fi
fi
if "$python" -m playwright install chromium; then
    exit 0
fi
echo "The browser tests need Chromium, and it could not be installed. Install the package chromium and try again." >&2
exit 1
