#!/bin/sh
# Unpacks Helix of Debian 13 into a folder, with the C library that it needs, beside what is installed; nothing of the system is changed. Prints the
# program that starts it: HX_PROGRAM=$(tests/editors/get_helix.sh DIR) cargo test --test editors helix
# Takes Debian's mirror and keys from this machine's own sources.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
hx=$folder/hx
if [ ! -x "$hx" ]; then
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$folder/sources.list"
    debian() {
        tool=$1
        shift
        "$tool" -qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
            -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" "$@" >&2
    }
    debian apt-get update
    (cd "$folder" && debian apt-get download hx libc6)
    for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
    own=$folder/root/usr/lib/$(uname -m)-linux-gnu
    cat >"$hx" <<SCRIPT
#!/bin/sh
exec "$own"/ld-linux*.so.2 --library-path "$own:/usr/lib/$(uname -m)-linux-gnu:/lib/$(uname -m)-linux-gnu" "$folder/root/usr/lib/hx/hx" "\$@"
SCRIPT
    chmod +x "$hx"
fi
"$hx" --version >&2
echo "$hx"
