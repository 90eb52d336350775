#!/usr/bin/env bash
# setup.sh: makes sure that what the build needs is installed.
#
# Looks for every need by itself (a command, a pkg-config module, a header), so libraries built by
# hand count.  On Debian and its relatives it installs what is missing with apt-get (through sudo
# when not root), after saying what and why.  Elsewhere it names the missing pieces and stops.
# With nothing missing it changes nothing and prints nothing.
set -euo pipefail

# KIND:NAME        | Debian package     | what it is for
needs='
command:cc          | gcc                | C compiler
header:stdio.h      | libc6-dev          | headers of the C library
command:cmake       | cmake              | build system
command:pkg-config  | pkg-config         | finds the libraries below
command:ninja       | ninja-build        | runs the build on every core
module:libavformat  | libavformat-dev    | FFmpeg: reads and writes media containers
module:libavcodec   | libavcodec-dev     | FFmpeg: decodes and encodes picture and sound
module:libavutil    | libavutil-dev      | FFmpeg: frames, and the Fourier transform of the filterbank
module:libswscale   | libswscale-dev     | FFmpeg: pixel formats and sizes
module:libswresample| libswresample-dev  | FFmpeg: sound to mono 16 kHz
header:dnnl.h       | libdnnl-dev        | oneDNN: matrix products
module:jansson      | libjansson-dev     | JSON: manifests, configurations, results
module:cairo        | libcairo2-dev      | draws pictures: spectrograms, curves, overlays
header:libstemmer.h | libstemmer-dev     | word stems for METEOR
module:zlib         | zlib1g-dev         | reads the paraphrase table of METEOR
module:cmocka       | libcmocka-dev      | unit tests
data:/usr/share/wordnet/index.sense | wordnet-sense-index | METEOR and its tests: which words are synonyms
data:/usr/share/wordnet/noun.exc    | wordnet-base        | METEOR and its tests: irregular word forms
'

package_installed()
{
    [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# A need without the tool that could look for it is asked of dpkg.
is_there()
{
    case $1 in
    command:*) command -v "${1#*:}" >/dev/null ;;
    module:*) if command -v pkg-config >/dev/null; then pkg-config --exists "${1#*:}"; else package_installed "$2"; fi ;;
    data:*) [ -e "${SETUP_ROOT:-}${1#*:}" ] ;;
    header:*) if command -v cc >/dev/null; then cc -E -x c -include "${1#*:}" /dev/null >/dev/null 2>&1; else package_installed "$2"; fi ;;
    esac
}

missing=()
reasons=
while IFS='|' read -r need package reason; do
    need=$(tr -d ' ' <<<"$need")
    package=$(tr -d ' ' <<<"$package")
    if [ -n "$need" ] && ! is_there "$need" "$package"; then
        missing+=("$package")
        reasons+=$(printf '  %-18s %s' "$package" "${reason# }")$'\n'
    fi
done <<<"$needs"
[ ${#missing[@]} -eq 0 ] && exit 0

echo "setup: missing, with what each is for:" >&2
printf '%s' "$reasons" >&2
if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here, so install these yourself (Debian's names above), then run make again" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# --no-install-recommends keeps the list to what is named; each need has its own line above.
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends)
echo "setup: ${as_root[*]:+${as_root[*]} }apt-get install ${missing[*]}" >&2
# Fresh machines have no package lists, and old lists name files that are gone: both need an update.
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1 || ! "${install[@]}" "${missing[@]}" >&2; then
    "${as_root[@]}" apt-get update >&2
    "${install[@]}" "${missing[@]}" >&2
fi
echo "setup: done" >&2
