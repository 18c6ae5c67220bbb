#!/usr/bin/env bash
# Makes the real input files of the examples, out of nothing but ffmpeg and the DejaVu fonts:
#   road_trip.mp4   60 s, 5 scenes, speech and captions; exactly one person wears a red dress
#   kitchen.mp4     40 s, 4 scenes, speech and captions; a cooking lesson
#   silent.mp4      10 s, 2 scenes, a caption in each, no audio stream
#   letter.png      one page, A4 at 150 dpi; letter.pdf is the same page as a scan inside a PDF
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: make.sh [OUT_DIR] [--name NAME] [--force] [--quiet]
  OUT_DIR       where the files go (default: the folder of this script)
  --name NAME   who wears the red dress in road_trip.mp4 (default Susan): a capital, then 2 to 11
                small letters. Tried, and found in speech and caption both: Maria, Susan, Emily, Helen,
                Rachel, Rebecca, Jennifer, Victoria, Amanda, Jessica, Daniel, Robert
  --force       make the files again even if they are up to date
  --quiet       say nothing unless something fails
TEXT
}
die() { printf 'make.sh: %s\n' "$1" >&2; exit "${2:-1}"; }
say() { [ -n "$quiet" ] || printf '%s\n' "$1"; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out='' name=Susan force='' quiet=''
while [ $# -gt 0 ]; do
    case $1 in
        -h|--help) usage; exit 0 ;;
        --name) [ $# -ge 2 ] || die "--name needs a name" 2; name=$2; shift ;;
        --name=*) name=${1#--name=} ;;
        --force) force=1 ;;
        --quiet) quiet=1 ;;
        -*) usage >&2; die "unknown option $1" 2 ;;
        *) [ -z "$out" ] || die "one OUT_DIR only, got '$out' and '$1'" 2; out=$1 ;;
    esac
    shift
done
out=${out:-$here}
LC_ALL=C
[[ $name =~ ^[A-Z][a-z]{2,11}$ ]] || die "the name '$name' is not a capital and 2 to 11 small letters" 2

# --- what is needed ------------------------------------------------------------------------------
command -v ffmpeg >/dev/null || die "ffmpeg is not installed (Debian: apt-get install ffmpeg)"
filters=$(ffmpeg -hide_banner -loglevel error -filters)
for f in flite drawtext drawbox; do
    grep -Eq "^ [A-Z.]{3} $f " <<<"$filters" ||
        die "this ffmpeg has no '$f' filter; Debian's package has it, a static build may not"
done
encoders=$(ffmpeg -hide_banner -loglevel error -encoders)
grep -q ' libx264 ' <<<"$encoders" || die "this ffmpeg has no libx264 encoder"
font=''
for d in /usr/share/fonts/truetype/dejavu /usr/share/fonts/TTF /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/dejavu; do
    if [ -r "$d/DejaVuSans.ttf" ]; then font=$d/DejaVuSans.ttf; break; fi
done
[ -n "$font" ] || die "DejaVuSans.ttf not found (Debian: apt-get install fonts-dejavu-core)"

mkdir -p "$out" || die "cannot make the folder $out"
out=$(cd "$out" && pwd)
[ -w "$out" ] || die "cannot write in $out"

# --- what is up to date --------------------------------------------------------------------------
stamp=$out/.made
# Whoever comes while files are made waits, and finds them.
if command -v flock >/dev/null; then
    exec 9>"$out/.made.lock"
    flock 9
fi
sum=$(cksum <"${BASH_SOURCE[0]}"); sum=${sum%% *}
fresh() { # FILE KEY
    [ -z "$force" ] && [ -s "$out/$1" ] && [ -r "$stamp" ] && grep -qxF "$1 $2" "$stamp"
}

# Everything is made in here and moved into place whole; ffmpeg sees short relative names only.
tmp=$(mktemp -d "$out/.make.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
cd "$tmp"
ff() {
    ffmpeg -nostdin -hide_banner -loglevel error -y "$@" 2>ffmpeg.log && return 0
    cat ffmpeg.log >&2
    die "ffmpeg failed (its messages are above)"
}
publish() { # FILE KEY
    chmod 644 "$1"
    mv -f "$1" "$out/$1"
    { if [ -r "$stamp" ]; then grep -v "^$1 " "$stamp" || true; fi; printf '%s %s\n' "$1" "$2"; } >made
    mv -f made "$stamp"
    say "$out/$1"
}

# --- scenes --------------------------------------------------------------------------------------
box() { picture+=",drawbox=x=$1:y=$2:w=$3:h=$4:color=$5:t=fill"; }
# A standing figure at X: head, body and legs; a dress is a body that widens.
person() { # X COLOUR_OF_BODY COLOUR_OF_LEGS
    box $(($1 - 15)) 90 30 34 0xd9a77c; box $(($1 - 28)) 126 56 80 "$2"
    box $(($1 - 22)) 206 18 60 "$3"; box $(($1 + 4)) 206 18 60 "$3"
}
dressed() { # X COLOUR_OF_DRESS
    local i
    box $(($1 - 15)) 90 30 34 0xd9a77c
    for i in 0 1 2 3 4 5; do box $(($1 - 22 - 7 * i)) $((126 + 20 * i)) $((44 + 14 * i)) 20 "$2"; done
    box $(($1 - 12)) 246 8 22 0xd9a77c; box $(($1 + 4)) 246 8 22 0xd9a77c
}
hat() { box $(($1 - 24)) 84 48 8 "$2"; box $(($1 - 14)) 68 28 16 "$2"; }
car() { # X COLOUR
    box $(($1 - 50)) 180 110 36 "$2"; box $(($1 - 90)) 214 190 42 "$2"
    box $(($1 - 38)) 188 38 24 0xbfe3ef; box $(($1 + 10)) 188 38 24 0xbfe3ef
    box $(($1 - 66)) 246 34 26 0x202020; box $(($1 + 44)) 246 34 26 0x202020
}
caption() { # FROM TO TEXT   (seconds inside the scene)
    ncap=$((ncap + 1))
    printf '%s' "$3" >"cap$ncap.txt"
    titles+=",drawtext=fontfile=$font:textfile=cap$ncap.txt:expansion=none:fontsize=28:fontcolor=white"
    titles+=":box=1:boxcolor=black@0.75:boxborderw=10:x=(w-tw)/2:y=h-64:enable='between(t,$1,$2)'"
}
begin() { # SECONDS BACKGROUND GROUND [VOICE]   (no VOICE: no audio)
    secs=$1 back=$2 voice=${4:-} picture='' titles='' lines=()
    box 0 262 640 98 "$3"
}
speak() { lines+=("$1"); }
# Each sentence is spoken by itself and followed by 0.8 s of silence, which is what parts one
# recognised segment from the next. A speech longer than its scene is an error, not a cut sentence.
end() {
    local args=() graph='' n=0 pieces='' length
    scene=$((scene + 1))
    args=(-f lavfi -i "color=c=$back:s=640x360:r=24:d=$secs")
    graph="[0:v]format=yuv444p$picture$titles,format=yuv420p[v]"
    if [ -n "$voice" ]; then
        local line
        for line in "${lines[@]}"; do
            n=$((n + 1))
            printf '%s\n' "$line" >"say$scene.$n.txt"
            args+=(-f lavfi -i "flite=textfile=say$scene.$n.txt:voice=$voice")
            graph+=";[$n:a]aresample=16000,apad=pad_dur=0.8[s$n]"
            pieces+="[s$n]"
        done
        graph+=";${pieces}concat=n=$n:v=0:a=1,adelay=400[speech]"
        # The speech alone first, to know that it fits.
        ff "${args[@]}" -filter_complex "${graph#*;}" -map '[speech]' -c:a pcm_s16le "speech$scene.wav"
        length=$(($(wc -c <"speech$scene.wav") / 32)) # 16 bit, 16 kHz, mono: 32 bytes a millisecond
        [ "$length" -le $((secs * 1000)) ] ||
            die "scene $scene: $length ms of speech do not fit into $secs s"
        ff "${args[@]:0:4}" -i "speech$scene.wav" -filter_complex \
            "${graph%%;*};[1:a]apad=whole_dur=$secs,atrim=0:$secs[a]" \
            -map '[v]' -map '[a]' -c:v libx264 -preset ultrafast -qp 0 -c:a pcm_s16le "scene$scene.mkv"
    else
        ff "${args[@]}" -filter_complex "$graph" -map '[v]' -c:v libx264 -preset ultrafast -qp 0 "scene$scene.mkv"
    fi
    printf "file 'scene%s.mkv'\n" "$scene" >>list.txt
}
film() { scene=0 ncap=0; rm -f list.txt; }
develop() { # FILE TITLE
    ff -f concat -safe 0 -i list.txt -map 0:v -map '0:a?' -c:v libx264 -preset fast -crf 24 \
        -pix_fmt yuv420p -threads 2 -c:a aac -b:a 96k -ar 44100 -metadata title="$2" \
        -movflags +faststart "$1"
}

# --- road_trip.mp4 -------------------------------------------------------------------------------
if fresh road_trip.mp4 "$sum $name"; then
    say "$out/road_trip.mp4 is up to date"
else
    # The other people; one who has the chosen name is called something else.
    blue=Helen driver=David white=Emily umbrella=Robert
    [ "$name" != "$blue" ] || blue=Susan
    [ "$name" != "$driver" ] || driver=Peter
    [ "$name" != "$white" ] || white=Nancy
    [ "$name" != "$umbrella" ] || umbrella=Peter
    film
    begin 12 0x5c7fa8 0x6b6b6b rms # at home: a blue coat, a red car
    person 150 0x1f3fb0 0x303030; car 430 0xc01818
    caption 0.5 3.5 "Five friends on a road trip"
    caption 5 10 "$blue - blue coat"
    speak "The friends begin the long road trip."
    speak "$blue is the woman in the blue coat."
    speak "The car is red and the bags are brown."
    end
    begin 12 0x3f7d3a 0x6b5a3a rms # the forest: a green jacket and a red hat
    person 200 0x7ed957 0x203060; hat 200 0xd01515; car 450 0xc01818
    caption 4 9 "$driver - red hat"
    speak "$driver is driving the car."
    speak "$driver has a green jacket and a red hat."
    speak "The road goes through the forest."
    end
    begin 12 0x8a6fb0 0x4d4d4d rms # in the back of the car: the red dress
    dressed 240 0xd81e1e; box 380 130 150 120 0x3d2f66
    caption 4 8 "$name - red dress"
    speak "$name is the woman in the red dress."
    speak "$name is singing a song."
    speak "The friends listen to the music."
    end
    begin 12 0xe0b040 0xc89858 rms # the beach: a white dress, a yellow hat, a red chair
    dressed 180 0xf4f4f4; hat 180 0xf0e040; box 400 190 80 14 0xd01515; box 400 204 12 60 0xd01515
    box 468 140 12 124 0xd01515
    caption 3 9 "$white - white dress"
    speak "$white is the woman in the white dress."
    speak "$white is reading the map."
    speak "There is a red chair on the beach."
    end
    begin 12 0x14203c 0x202020 rms # the night: a black coat, a red umbrella
    person 320 0x050505 0x101010; box 250 60 140 20 0xd01515; box 280 44 80 16 0xd01515
    box 362 80 5 120 0x808080; box 540 40 36 36 0xf0f0d0
    caption 4 10 "$umbrella - red umbrella"
    speak "It is raining in the night."
    speak "$umbrella is the man with the red umbrella."
    speak "The friends are tired and happy."
    end
    develop road_trip.mp4 "Road trip"
    publish road_trip.mp4 "$sum $name"
fi

# --- kitchen.mp4 ---------------------------------------------------------------------------------
if fresh kitchen.mp4 "$sum"; then
    say "$out/kitchen.mp4 is up to date"
else
    film
    begin 10 0xd8d0c0 0x8a6a4a rms # the table
    box 120 200 90 62 0xe8e8e8; box 260 220 60 42 0xc8a060; box 380 226 26 36 0xf5e6c8; box 416 226 26 36 0xf5e6c8
    caption 1 4 "Tomato soup in 30 minutes"
    caption 5.5 9 "4 tomatoes, 1 onion, 2 potatoes"
    speak "Today we are cooking tomato soup."
    speak "We need four tomatoes and one onion."
    end
    begin 10 0x2f6f4f 0x7a5230 rms # the board
    box 160 210 280 52 0xc8a878; box 220 190 40 22 0xd83020; box 300 184 34 28 0xf0e0b0; box 400 170 10 60 0xd0d0d0
    caption 3 7 "Cut the onion"
    speak "Cut the onion into small pieces."
    speak "Wash the tomatoes with cold water."
    end
    begin 10 0xb05a2a 0x303030 rms # the pot
    box 220 150 200 100 0x505860; box 232 140 176 16 0xd04020; box 240 250 160 12 0x3060e0
    caption 4 8.5 "Cook for 20 minutes"
    speak "Put the tomatoes into the pot."
    speak "Cook the soup for twenty minutes."
    end
    begin 10 0x4a3a6a 0x9a8a7a rms # the bowl
    box 220 190 200 60 0xf0f0f0; box 236 180 168 18 0xd84a20; box 300 172 30 10 0x30a040
    caption 3 8 "Serve with bread and basil"
    speak "Add a little salt and pepper."
    speak "Serve the hot soup with white bread."
    end
    develop kitchen.mp4 "Tomato soup"
    publish kitchen.mp4 "$sum"
fi

# --- silent.mp4 ----------------------------------------------------------------------------------
if fresh silent.mp4 "$sum"; then
    say "$out/silent.mp4 is up to date"
else
    film
    begin 5 0x2a5a7a 0x3a3a3a
    box 200 120 240 142 0xb08050; box 290 180 60 82 0x503018
    caption 1 4.5 "The museum opens at nine"
    end
    begin 5 0x8a2a3a 0x3a3a3a
    box 200 120 240 142 0x606060; box 290 180 60 82 0x202020
    caption 1 4.5 "The museum closes at five"
    end
    develop silent.mp4 "Museum"
    publish silent.mp4 "$sum"
fi

# --- letter.png, letter.pdf ----------------------------------------------------------------------
if fresh letter.png "$sum" && fresh letter.pdf "$sum"; then
    say "$out/letter.png and $out/letter.pdf are up to date"
else
    cat >letter.txt <<'TEXT'
Harbour Street Bakery
14 Harbour Street, Easton

                                        12 March 2026

Mrs Clara Jensen
8 Mill Lane, Easton

Invoice number: 2047
Customer number: 318

Dear Mrs Jensen,

thank you for your order of 2 March. We delivered the
wedding cake and the bread on Saturday, 7 March 2026.

    Wedding cake, three layers      240.00 euros
    Bread, 30 loaves                 75.00 euros
    Delivery                         15.00 euros

    Total                           330.00 euros

Please pay the total amount by 31 March 2026. If you pay
before 20 March 2026, you may take off 10.00 euros.

If you have a question, please ask Thomas Berg in our
office. The telephone number is 555 0142.

With kind regards,

Rosa Lindholm
Owner
TEXT
    ff -f lavfi -i color=c=white:s=1240x1754 -frames:v 1 -vf \
        "drawtext=fontfile=${font%.ttf}Mono.ttf:textfile=letter.txt:expansion=none:fontsize=29:line_spacing=14:fontcolor=0x101010:x=110:y=150,format=gray" \
        letter.png
    # The PDF holds the page as one JPEG picture and no text, as a scanner makes it.
    ff -i letter.png -pix_fmt yuvj420p -q:v 3 page.jpg
    bytes=$(($(wc -c <page.jpg)))
    at=()
    object() { at+=("$(($(wc -c <letter.pdf)))"); printf '%s 0 obj\n' "${#at[@]}" >>letter.pdf; }
    printf '%%PDF-1.4\n' >letter.pdf
    object; printf '<< /Type /Catalog /Pages 2 0 R >>\nendobj\n' >>letter.pdf
    object; printf '<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n' >>letter.pdf
    object; printf '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595.2 841.92] /Contents 4 0 R /Resources << /XObject << /P 5 0 R >> >> >>\nendobj\n' >>letter.pdf
    draw='q 595.2 0 0 841.92 0 0 cm /P Do Q'
    object; printf '<< /Length %s >>\nstream\n%s\nendstream\nendobj\n' "${#draw}" "$draw" >>letter.pdf
    object; printf '<< /Type /XObject /Subtype /Image /Width 1240 /Height 1754 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode /Length %s >>\nstream\n' "$bytes" >>letter.pdf
    cat page.jpg >>letter.pdf
    printf '\nendstream\nendobj\n' >>letter.pdf
    xref=$(($(wc -c <letter.pdf)))
    { printf 'xref\n0 6\n0000000000 65535 f \n'; printf '%010d 00000 n \n' "${at[@]}"
      printf 'trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%s\n%%%%EOF\n' "$xref"; } >>letter.pdf
    publish letter.png "$sum"
    publish letter.pdf "$sum"
fi
