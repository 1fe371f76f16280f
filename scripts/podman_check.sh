#!/usr/bin/env bash
# Builds the image and runs it once under Podman, as root on a Debian machine: the demo must end well, a running recorder
# must become healthy, SIGTERM must end it with code 0. Installs what it needs. Prints one line a step.
set -euo pipefail
cd "$(dirname "$0")/.."
work="${WORK:-$(mktemp -d)}"
run=(--runtime runc --network=host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

say() { printf '%s\n' "== $*"; }

if ! command -v podman >/dev/null || ! command -v runc >/dev/null || ! command -v debootstrap >/dev/null; then
    say "installing podman, runc and debootstrap"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y podman runc debootstrap >/dev/null
fi
if ! podman image exists localhost/kalshi-trio-base; then
    say "making a base image by debootstrap"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/root" >"$work/debootstrap.log"
    tar -C "$work/root" -c . | podman import - localhost/kalshi-trio-base >/dev/null
    rm -rf "$work/root"
fi
# What the host's pip is configured with (files that it names) is needed inside the build, and stays out of the image.
mounts=()
while read -r file; do mounts+=(--volume "$file:$file:ro"); done < <(
    python3 -m pip config debug 2>/dev/null | grep -oE '/[^ :,'"'"']+' | sed 's,^/*,/,' | sort -u | while read -r file; do
        case "$file" in /etc/* | /opt/* | /usr/local/*) [ -e "$file" ] && echo "$file" ;; esac
    done
)
environment=()
while IFS='=' read -r name value; do environment+=(--env "$name=$value"); done < <(env | grep -E '^(PIP_|SSL_CERT)' || true)
say "building the image"
podman build --quiet --format docker --isolation=chroot --network=host "${mounts[@]}" "${environment[@]}" \
    --build-arg BASE=localhost/kalshi-trio-base -t kalshi-trio . >/dev/null

say "running the demo in it, read-only, without capabilities"
podman run --rm "${run[@]}" --read-only --tmpfs /tmp --cap-drop=all --volume kalshi-data:/app/data --volume kalshi-logs:/app/logs \
    kalshi-trio demo --seconds 5 2>&1 | grep -E 'Tally|SESSION ENDED'

say "running it for longer, until it is healthy, then stopping it"
podman run --detach --name kalshi-check "${run[@]}" --read-only --tmpfs /tmp --cap-drop=all \
    --env DATA_DIR=/app/data/demo --volume kalshi-data:/app/data --volume kalshi-logs:/app/logs kalshi-trio demo --seconds 600 >/dev/null
trap 'podman rm --force kalshi-check >/dev/null 2>&1 || true' EXIT
health=""
for _ in $(seq 30); do
    health="$(podman exec kalshi-check python3 -m kalshi_trio health || true)"
    if grep -q "^well: .*, [1-9]" <<<"$health"; then break; fi
    sleep 1
done
say "health: $health"
podman healthcheck run kalshi-check
podman stop kalshi-check >/dev/null
code="$(podman inspect --format '{{.State.ExitCode}}' kalshi-check)"
say "stopped with exit code $code"
podman logs kalshi-check 2>&1 | grep -E 'Stopping|Tally|SESSION ENDED'
[ "$code" = 0 ]
