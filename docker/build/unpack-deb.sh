#!/bin/sh
# In a build stage: /edgetpu from the package DEB (NAME_VERSION_ARCH.deb) of sha256 DEB_SHA256, which is in /deb or comes from APT_REPOSITORY.
set -eu
: "${SOURCE_DATE_EPOCH:=1700000000}" # a build by hand may not name it
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
[ -n "${DEB_SHA256:-}" ] || fail "the sha256 of ${DEB:-the package} is not pinned: ./mill images.lock --deb FILE records it"
file=/deb/$DEB
if [ ! -f "$file" ]; then
    [ -n "${APT_REPOSITORY:-}" ] || fail "there is neither $DEB (--build-context deb=FOLDER) nor the vendor's repository (--build-arg APT_REPOSITORY=\"URL SUITE COMPONENT\")"
    package=${DEB%%_*} rest=${DEB#*_}
    # What is installed is what its sha256 says; the repository's signature adds nothing to that.
    echo "deb [trusted=yes] $APT_REPOSITORY" >/etc/apt/sources.list.d/vendor.list
    set -- -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/vendor.list -o Dir::Etc::sourceparts=- # and no other repository
    cd /tmp && apt-get "$@" update && apt-get "$@" download "$package=${rest%%_*}" || fail "$APT_REPOSITORY has no $package ${rest%%_*}"
    set -- /tmp/"$package"_*.deb
    file=$1
fi
echo "$DEB_SHA256  $file" | sha256sum -c - >/dev/null || fail "$DEB has another sha256 than the pinned one, $DEB_SHA256"
dpkg-deb -x "$file" /edgetpu
find /edgetpu -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
