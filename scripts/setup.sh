# What the scripts share: finding or installing the tools, and building. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

say() { printf '%s\n' "$*" >&2; }

# as_root COMMAND...: runs it as root if that is possible without asking for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

has_dotnet() { command -v dotnet >/dev/null && dotnet --list-sdks 2>/dev/null | grep -q '^1[0-9]\.'; }

# The packages that this machine lacks, one a line. "test" asks for what only the tests need as well.
missing_packages() {
    command -v g++ >/dev/null || echo g++
    command -v cmake >/dev/null || echo cmake
    command -v make >/dev/null || echo make
    has_dotnet || echo dotnet-sdk-10.0
    if [ "${1:-}" = test ]; then
        [ -e /usr/include/gtest/gtest.h ] || echo libgtest-dev
        command -v node >/dev/null || echo nodejs
        command -v npm >/dev/null || echo npm
    fi
}

# require_tools [test]: installs what is missing, or says exactly what to install and stops.
require_tools() {
    local missing
    missing=$(missing_packages "${1:-}" | tr '\n' ' ')
    if [ -z "${missing// /}" ]; then
        want_clang
        return 0
    fi

    say "Installing: $missing"
    if ! command -v apt-get >/dev/null; then
        say "This machine has no apt-get. Install these with its package manager, then run this again:"
        say "    $missing"
        exit 1
    fi
    # shellcheck disable=SC2086
    if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing; } >/dev/null; then
        say ""
        say "That did not work (not root, or a package that the configured sources lack). As root, run:"
        say "    apt-get update && apt-get install -y $missing"
        if ! has_dotnet; then
            say "If dotnet-sdk-10.0 is not found: add the .NET package source for your distribution, or unpack the"
            say ".NET SDK 10 archive into ~/.dotnet and put that folder on PATH."
        fi
        exit 1
    fi
    want_clang
}

# want_clang: installs the compiler of the GPU kernels, once, where this distribution has it. Without it everything but
# --device cuda is built.
want_clang() {
    local tried="$root/artifacts/no-clang.stamp"
    "$root/scripts/find-clang" >/dev/null && return 0
    if [ ! -e "$tried" ] && command -v apt-get >/dev/null; then
        say "Installing: clang-19"
        as_root apt-get update -qq >/dev/null 2>&1 || true
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends clang-19 libclang-rt-19-dev >/dev/null 2>&1 && return 0
    fi
    mkdir -p "$root/artifacts" && touch "$tried"
    say "clang 19 is not here and could not be installed: building without GPU kernels (--device cuda will say so)."
}

# build_log COMMAND...: runs it quietly; shows the end of its output if it fails.
build_log() {
    mkdir -p "$root/artifacts"
    if ! "$@" >"$root/artifacts/build.log" 2>&1; then
        grep -E 'error|Error' "$root/artifacts/build.log" | sort -u | head -20 >&2 || true
        say "The build failed; the whole log is artifacts/build.log."
        exit 1
    fi
}

# build_product: builds src/Api (and with it native/lk_moe) unless nothing has changed since the last time.
build_product() {
    local stamp="$root/artifacts/product.stamp" changed=yes
    if [ -e "$stamp" ] && [ -x "$root/artifacts/bin/Api/release/lsglang" ]; then
        changed=$(cd "$root" && find src native models ./*.props global.json -newer "$stamp" -type f -print -quit)
    fi
    [ -n "$changed" ] || return 0

    say "Building (Release) ..."
    local started
    started=$(mktemp)
    build_log dotnet build "$root/src/Api/Api.csproj" -c Release -v quiet
    mkdir -p "$root/artifacts"
    touch -r "$started" "$stamp"
    rm -f "$started"
}
