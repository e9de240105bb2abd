#!/usr/bin/env bash
# Builds the CPU image and starts it on a machine without a Docker daemon, by buildah, as root.
#
# The base image is bootstrapped from Debian (bookworm's Python is 3.11) and gets the name that the Dockerfile asks for, so
# nothing is pulled from a registry of images. Needs: apt-get install buildah debootstrap curl
#
#   docker/build-without-daemon.sh FOLDER
#
# FOLDER is a scratch folder outside the repository (1 GB). Variables that may be set:
#   PIP_CONFIG_FILE  a pip.conf to use while building; mounted, so it does not get into the image
#   BUILD_VOLUMES    more mounts while building, "from:to:ro" separated by blanks (folders of wheels, certificates)
#   DEBIAN_MIRROR    where debootstrap fetches from
#   SERVE            more arguments for `lockon serve` in that check
#
# What this cannot show: a read-only root file system, dropped capabilities and limits, which only a container engine applies.
set -euo pipefail

work="${1:?usage: docker/build-without-daemon.sh FOLDER}"
repository="$(cd "$(dirname "$0")/.." && pwd)"
base="docker.io/library/python:3.11-slim-bookworm"
image="localhost/lockon:cpu"
mkdir -p "$work"

build() { buildah --storage-driver vfs "$@"; }

for tool in buildah debootstrap curl; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install buildah debootstrap curl" >&2; exit 1; }
done

if ! build inspect --type image "$base" >/dev/null 2>&1; then
    if [ ! -e "$work/rootfs/usr/bin/python3.11" ]; then
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
            bookworm "$work/rootfs" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
        rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
    fi
    container="$(build from scratch)"
    build add "$container" "$work/rootfs" /
    build config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd /bin/bash "$container"
    build commit --rm "$container" "$base"
fi

mounts=()
if [ -n "${PIP_CONFIG_FILE:-}" ]; then
    mounts+=(--volume "$PIP_CONFIG_FILE:/etc/pip.conf:ro")
fi
for volume in ${BUILD_VOLUMES:-}; do
    mounts+=(--volume "$volume")
done

version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/pyproject.toml" | head -n 1)"
commit="$(git -C "$repository" rev-parse --short HEAD 2>/dev/null || echo unknown)"
# The format is Docker's, since OCI images have no health check.
build bud --isolation chroot --pull=never --network host --format docker --layers=false \
    --build-arg "BASE_IMAGE=$base" --build-arg "LOCKON_VERSION=$version" --build-arg "LOCKON_COMMIT=$commit" \
    "${mounts[@]}" --target cpu --tag "$image" --file "$repository/docker/Dockerfile" "$repository"
build images

container="$(build from --pull-never "$image")"
stop="$work/stop"
tidy() {
    exec 3>&- || true
    wait
    rm -f "$stop"
    build rm "$container" >/dev/null
}
in_image() { build run --isolation chroot --network host "$container" -- "$@"; }

# shellcheck disable=SC2016 # the shell inside expands it
in_image sh -c 'echo "in the image: user $(id -u), $(du -sm /opt/lockon | cut -f1) MB of Lockon, $(du -smx / 2>/dev/null | cut -f1) MB in all"'
port="$(in_image python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"

# The server runs until its standard input ends, which is when this script closes the pipe: a clean stop by SIGTERM.
rm -f "$stop"
mkfifo "$stop"
trap tidy EXIT
# shellcheck disable=SC2016,SC2086 # the shell inside expands it; SERVE is a list of arguments
in_image sh -c 'lockon serve --host 127.0.0.1 "$@" & read -r _; kill -TERM $!; wait $! || true' sh --port "$port" ${SERVE:-} <"$stop" &
exec 3>"$stop"
curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/livez"
for route in livez readyz version; do
    printf '%s: %s\n' "$route" "$(curl --fail --silent --show-error --max-time 10 "http://127.0.0.1:$port/$route")"
done
# The image's own health check, with its port replaced.
in_image python -c "import urllib.request; print('health check:', urllib.request.urlopen('http://127.0.0.1:$port/livez', timeout=2).status)"
