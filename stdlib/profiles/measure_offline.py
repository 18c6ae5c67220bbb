#!/usr/bin/env python3
"""Measures the profiles of the offline tools on this machine and writes them as CSV.

usage: measure_offline.py [--out DIR] [--work DIR] [--runs N] [--only NAME[,NAME...]]
  NAME: ffmpeg_scenes, even_frames, pocketsphinx, tesseract_frames, tesseract_pages, python_tests

Needs ffmpeg (with flite, drawtext, libx264), pocketsphinx, tesseract, poppler-utils, DejaVu fonts
and GNU bash; nothing but the standard library of Python. Every test file is generated here from a
fixed seed, so the truth about each is known. What is measured, and how, is said in each function.
"""
import argparse, csv, datetime, os, random, re, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
FPS = {1: 1, 5: 1, 10: 2, 15: 2, 30: 4, 60: 8}  # frames per scene -> frames taken per second
MORE_UNITS = (4, 8, 16)  # core counts that are estimated, not measured
WATTS_PER_CORE, WATTS_LOW = 125 / 12, 400 / 96  # see POWER_SOURCE


def run(argv, cores=1, cwd=None):
    """Seconds, peak memory in GB and standard output of one command on `cores` cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    env = dict(os.environ, OMP_THREAD_LIMIT="1", LC_ALL="C.UTF-8")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        p = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                             preexec_fn=lambda: os.sched_setaffinity(0, allowed))
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.monotonic() - start
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if p.returncode:
            sys.exit("%s\nfailed with %s: %s" % (" ".join(argv), p.returncode, err.read().decode()[-2000:]))
        return seconds, usage.ru_maxrss * 1024 / 1e9, out.read().decode("utf-8", "replace")


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def words(s):
    return [w for w in (re.sub(r"[^a-z0-9]", "", w) for w in s.lower().split()) if w]


def spread(xs):
    return statistics.median(xs), min(xs), max(xs)


class Table:
    def __init__(self, knobs):
        self.knobs, self.rows = knobs, []

    def add(self, knobs, units, figure, unit, values, source, evidence="measured"):
        value, low, high = values
        digits = {"s": 3, "%": 1, "GB": 3, "W": 2}.get(unit, 5)
        self.rows.append([str(knobs.get(k, "")) for k in self.knobs] + ["cpu", units, figure]
                         + ["%.*f" % (digits, value), unit, "%.*f" % (digits, low), "%.*f" % (digits, high)]
                         + [evidence, source])

    def power(self, cores):
        for n in cores:
            self.add({}, n, "power", "W", (WATTS_PER_CORE * n, WATTS_LOW * n, WATTS_PER_CORE * n),
                     POWER_SOURCE, "estimated")

    def more_units(self, per, cores=MORE_UNITS):
        """Estimated rows for core counts this machine lacks, from the rows measured with 1 and 2 cores.
        Times by Amdahl's law: p = 2 (t1 - t2) / t1, held within 0..1 (noise can put it outside), then
        t(n) = t2 (1 - p + p/n) / (1 - p + p/2). The range runs from a perfect to no gain over 2 cores.
        Memory: what the second thread added, for each further one."""
        k = len(self.knobs)
        rows = {(tuple(r[:k]), r[k + 2], str(r[k + 1])): r[k + 3:k + 7] for r in self.rows if r[-2] == "measured"}
        for knobs, figure in dict.fromkeys((key[0], key[1]) for key in rows if key[2] == "2"):
            v1, v2 = rows[knobs, figure, "1"], rows[knobs, figure, "2"]
            t1, t2, low, high = float(v1[0]), float(v2[0]), float(v2[2]), float(v2[3])
            for n in cores:
                if figure == "memory":
                    t = t2 + max(0.0, t2 - t1) * (n - 2)
                    values, how = (t, t2, t), "m2 + (m2 - m1) x (n - 2)"
                elif figure in ("latency", per):
                    p = min(1.0, max(0.0, 2 * (t1 - t2) / t1)) if t1 else 0.0
                    t = t2 * (1 - p + p / n) / (1 - p + p / 2)
                    values = t, min(t, low * 2 / n), max(t, high)
                    how = ("Amdahl: t2 x (1 - p + p/n) / (1 - p + p/2), p = 2 (t1 - t2) / t1 within 0..1 = %.3f; "
                           "low = low2 x 2/n, high = high2" % p)
                else:
                    continue
                self.add(dict(zip(self.knobs, knobs)), n, figure, v1[1], values, "%s; n = %d; 1 and 2 cores measured: %s and %s %s"
                         % (how, n, v1[0], v2[0], v1[1]), "estimated")

    def write(self, path):
        with open(path + ".tmp", "w", newline="") as f:
            w = csv.writer(f, lineterminator="\n")
            w.writerow(self.knobs + "device,units,figure,value,unit,low,high,evidence,source".split(","))
            w.writerows(self.rows)
        os.replace(path + ".tmp", path)
        print(path)


def fit(small, large, size_small, size_large):
    """Fixed part and part per unit, from runs at two sizes: the figure is that of the fastest run at
    each size (the machine may be shared), the range is that over the pairs of runs."""
    def line(a, b):
        per = max(0.0, (b - a) / (size_large - size_small))
        return max(0.0, a - per * size_small), per
    fixed, per = line(min(small), min(large))
    pairs = [line(a, b) for a, b in zip(small, large)] + [(fixed, per)]
    return ((fixed, min(p[0] for p in pairs), max(p[0] for p in pairs)),
            (per, min(p[1] for p in pairs), max(p[1] for p in pairs)))


# --- the videos ----------------------------------------------------------------------------------
def videos(work):
    """4 videos of 5 scenes (6 to 10 s, 640x360, 24/s, grain); two captions a scene, each for 0.5 to
    3 s at a random time; 2 in 4 white on a dark box, 1 in 4 black on a light box, 1 in 4 white with a
    black rim. Neighbouring scenes differ in colour; one cut in each video is of equal luma."""
    rnd = random.Random(7)
    nouns = "ticket garden window bridge market station concert kitchen library museum harbour village".split()
    verbs = "opens closes starts ends".split()
    colours = ["0x5c7fa8", "0x2f6f4f", "0xb05a2a", "0x8a6fb0", "0xe0b040", "0x14203c", "0xd8d0c0", "0x7a2430"]
    made = []
    for v in range(4):
        path = os.path.join(work, "video%d.mp4" % v)
        scenes, captions, at = [], [], 0.0
        picked = rnd.sample(colours, 5)
        picked[1], picked[2] = "0x4c8a20", "0x9a5ba0"  # equal luma, another colour
        graph, names = [], []
        for s in range(5):
            secs = rnd.randint(6, 10)
            g = "color=c=%s:s=640x360:r=24:d=%d,format=yuv444p" % (picked[s], secs)
            g += ",drawbox=x=0:y=262:w=640:h=98:color=0x%06x:t=fill" % rnd.choice([0x6b6b6b, 0x3a3a3a, 0x8a6a4a])
            for _ in range(4):
                g += ",drawbox=x=%d:y=%d:w=%d:h=%d:color=0x%06x:t=fill" % (
                    rnd.randint(0, 560), rnd.randint(60, 200), rnd.randint(20, 80), rnd.randint(20, 80), rnd.randint(0, 0xffffff))
            g += ",noise=alls=4:allf=t"
            for half in range(2):
                text = "The %s %s at %d" % (rnd.choice(nouns), rnd.choice(verbs), rnd.randint(10, 99))
                long = rnd.uniform(0.5, min(3.0, secs / 2 - 0.4))
                begin = half * secs / 2 + rnd.uniform(0.1, secs / 2 - long - 0.1)
                style = ["fontcolor=white:box=1:boxcolor=black@0.75:boxborderw=10"] * 2 + [
                    "fontcolor=black:box=1:boxcolor=white@0.8:boxborderw=10", "fontcolor=white:borderw=2:bordercolor=black"]
                g += (",drawtext=fontfile=%s:text='%s':fontsize=28:%s:x=(w-tw)/2:y=h-64:enable='between(t,%.3f,%.3f)'"
                      % (FONT, text, rnd.choice(style), begin, begin + long))
                captions.append((at + begin, at + begin + long, text))
            graph.append(g + ",format=yuv420p[s%d]" % s)
            names.append("[s%d]" % s)
            scenes.append(at)
            at += secs
        if not os.path.exists(path):
            run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "anoisesrc=a=0.001:d=%d" % at,
                 "-filter_complex", ";".join(graph) + ";" + "".join(names) + "concat=n=5[v]", "-map", "[v]", "-map", "0:a",
                 "-c:v", "libx264", "-preset", "veryfast", "-crf", "24", "-c:a", "aac", "-b:a", "64k", path + ".part.mp4"], 2)
            os.replace(path + ".part.mp4", path)
        made.append((path, at, scenes, captions))
    whole = os.path.join(work, "whole.mp4")
    with open(os.path.join(work, "whole.txt"), "w") as f:
        f.writelines("file '%s'\n" % m[0] for m in made)
    run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "concat", "-safe", "0", "-i", os.path.join(work, "whole.txt"),
         "-c", "copy", whole], 2)
    return made, whole


def scenes_argv(video, out, fps, threads):
    """The one ffmpeg call: cuts to cuts.txt, frames to NNNNNN.png (frame N shows second N/fps), audio to audio.wav."""
    return ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y", "-threads", str(threads),
            "-filter_complex_threads", str(threads), "-i", video, "-filter_complex",
            "[0:v:0]split=2[s][f];[s]scale='min(320,iw)':-2,format=gbrp,select='gt(scene,0.2)',"
            "metadata=mode=print:file=cuts.txt[cuts];"
            "[f]fps=%d:start_time=0:round=up,scale='min(640,iw)':-2[frames]" % fps,
            "-map", "[cuts]", "-f", "null", "-", "-map", "[frames]", "-c:v", "png", "-threads", str(threads), "-f", "image2",
            "-start_number", "0", "%06d.png", "-map", "0:a:0", "-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "audio.wav"]


def detect(video, work, fps, threads, cores):
    out = os.path.join(work, "scenes")
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    seconds, memory, _ = run(scenes_argv(video, out, fps, threads), cores, out)
    with open(os.path.join(out, "cuts.txt")) as f:
        cuts = [float(x) for x in re.findall(r"pts_time:([0-9.]+)", f.read())]
    return seconds, memory, cuts, [n / fps for n in range(sum(x.endswith(".png") for x in os.listdir(out)))]


def thin(times, start, end, frames):
    """At most `frames` of the times in [start, end): the nearest to the middle of each of `frames` equal parts."""
    inside = [t for t in times if start <= t < end]
    if len(inside) <= frames:
        return inside
    return sorted({min(inside, key=lambda t: abs(t - (start + (i + 0.5) * (end - start) / frames))) for i in range(frames)})


def ffmpeg_scenes(work, runs, out):
    made, whole = videos(work)
    total = sum(m[1] for m in made)
    table = Table(["frames"])
    seen = {}
    for frames, fps in FPS.items():
        for cores in (1, 2):
            if (fps, cores) not in seen:
                a, b = [], []
                for _ in range(runs):
                    a.append(detect(made[0][0], work, fps, cores, cores)[0])
                    s, memory, _, _ = detect(whole, work, fps, cores, cores)
                    b.append(s)
                seen[fps, cores] = fit(a, b, made[0][1], total) + (memory,)
            fixed, per, memory = seen[fps, cores]
            how = source(runs, "ffmpeg 640x360 24/s with grain, %d frames/s as PNG, -threads %d, %d and %d s of video"
                         % (fps, cores, made[0][1], total))
            table.add({"frames": frames}, cores, "latency", "s", fixed, how)
            table.add({"frames": frames}, cores, "latency.per.duration", "s/s", per, how)
            table.add({"frames": frames}, cores, "memory", "GB", (memory,) * 3, how)
        per_video, caught, asked = [], 0, 0
        for path, length, scenes, captions in made:
            _, _, cuts, times = detect(path, work, fps, 2, 2)
            bounds = [0.0] + cuts + [length]
            ok = 0
            for begin, end, _text in captions:
                true = max(s for s in scenes if s <= begin)
                for a, b in zip(bounds, bounds[1:]):
                    if abs(a - true) <= 0.25 and any(begin <= t < end for t in thin(times, a, b, frames)):
                        ok += 1
            per_video.append(100 * ok / len(captions))
            caught, asked = caught + ok, asked + len(captions)
        table.add({"frames": frames}, "", "quality", "%", (100 * caught / asked, min(per_video), max(per_video)),
                  source(1, "share of %d captions (shown 0.5 to 3 s, two in each scene of 6 to 10 s) with a kept frame inside "
                            "the caption's time and in a scene whose start is found within 0.25 s; range over 4 videos" % asked))
    table.more_units("latency.per.duration")
    table.power((1, 2) + MORE_UNITS)
    table.write(os.path.join(out, "ffmpeg_scenes.csv"))


def even_argv(video, frames, threads):
    """The cheaper call, without looking for scenes: `frames` frames in each 15 s (frame N shows second N*15/frames), audio to audio.wav."""
    return ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y", "-threads", str(threads),
            "-filter_complex_threads", str(threads), "-i", video, "-filter_complex",
            "[0:v:0]fps=%d/15:start_time=0:round=up,scale='min(640,iw)':-2[frames]" % frames,
            "-map", "[frames]", "-c:v", "png", "-compression_level", "1", "-threads", str(threads), "-f", "image2",
            "-start_number", "0", "%06d.png", "-map", "0:a:0", "-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "audio.wav"]


def even_frames(work, runs, out):
    made, whole = videos(work)
    total = sum(m[1] for m in made)
    folder = os.path.join(work, "even")
    table = Table(["frames"])

    def take(video, frames, cores):
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        seconds, memory, _ = run(even_argv(video, frames, cores), cores, folder)
        return seconds, memory, [n * 15 / frames for n in range(sum(x.endswith(".png") for x in os.listdir(folder)))]

    for frames in FPS:
        got = {n: ([], []) for n in (1, 2)}
        memory = {}
        for _ in range(runs):
            for cores, (a, b) in got.items():  # in turn, so that a busy moment of the machine meets both
                a.append(take(made[0][0], frames, cores)[0])
                s, memory[cores], _ = take(whole, frames, cores)
                b.append(s)
        for cores, (a, b) in got.items():
            fixed, per = fit(a, b, made[0][1], total)
            how = source(runs, "ffmpeg 640x360 24/s with grain, no scene detection, %d/15 frames/s as PNG, -threads %d, %d and %d s of video"
                         % (frames, cores, made[0][1], total))
            table.add({"frames": frames}, cores, "latency", "s", fixed, how)
            table.add({"frames": frames}, cores, "latency.per.duration", "s/s", per, how)
            table.add({"frames": frames}, cores, "memory", "GB", (memory[cores],) * 3, how)
        per_video, caught, strict, asked = [], 0, 0, 0
        for path, _length, scenes, captions in made:
            times = take(path, frames, 2)[2]
            hits = [begin for begin, end, _ in captions if any(begin <= t < end for t in times)]
            per_video.append(100 * len(hits) / len(captions))
            caught, asked = caught + len(hits), asked + len(captions)
            strict += sum(begin < scenes[1] for begin in hits)
        table.add({"frames": frames}, "", "quality", "%", (100 * caught / asked, min(per_video), max(per_video)),
                  source(1, "share of %d captions (shown 0.5 to 3 s, two in each scene of 6 to 10 s) with a frame inside the caption's time; "
                            "range over 4 videos; scenes are not found (one scene), so the scene half of the test in ffmpeg_scenes.csv "
                            "is left out: with it %.1f" % (asked, 100 * strict / asked)))
    table.more_units("latency.per.duration")
    table.power((1, 2) + MORE_UNITS)
    table.write(os.path.join(out, "even_frames.csv"))


# --- speech --------------------------------------------------------------------------------------
HARVARD = """The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.
It's easy to tell the depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls.
The juice of lemons makes fine punch. The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage.
Four hours of steady work faced us. A large size in stockings is hard to sell. The boy was there when the sun rose.
A rod is used to catch pink salmon. The source of the huge river is the clear spring. Kick the ball straight and follow through.
Help the woman get back to her feet. A pot of tea helps to pass the evening. Smoky fires lack flame and heat.
The soft cushion broke the man's fall. The salt breeze came across from the sea. The girl at the booth sold fifty bonds.
The small pup gnawed a hole in the sock. The fish twisted and turned on the bent hook. Press the pants and sew a button on the vest.
The swan dive was far short of perfect."""
SEARCH = {"full": [], "fast": ["-fwdflat", "no", "-bestpath", "no"],
          "fastest": ["-fwdflat", "no", "-bestpath", "no", "-ds", "2", "-topn", "2", "-maxwpf", "5", "-maxhmmpf", "3000"]}


def pocketsphinx(work, runs, out):
    sentences = re.findall(r"[^.]+\.", HARVARD.replace("\n", " "))
    sets = {}
    for voice in ("rms", "slt"):
        argv, graph = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"], ""
        for i, s in enumerate(sentences):
            name = os.path.join(work, "say%d.txt" % i)
            with open(name, "w") as f:
                f.write(s.strip() + "\n")
            argv += ["-f", "lavfi", "-i", "flite=textfile=%s:voice=%s" % (name, voice)]
            graph += "[%d:a]apad=pad_dur=0.8[s%d];" % (i, i)
        n = len(sentences)
        graph += "".join("[s%d]" % i for i in range(n)) + "concat=n=%d:v=0:a=1[a]" % n
        m4a, wav = os.path.join(work, voice + ".m4a"), os.path.join(work, voice + ".wav")
        run(argv + ["-filter_complex", graph, "-map", "[a]", "-c:a", "aac", "-b:a", "96k", m4a])
        run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", m4a, "-ac", "1", "-ar", "16000", wav])
        sets[voice] = (wav, (os.path.getsize(wav) - 78) / 32000)
    short = os.path.join(work, "short.wav")
    run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", sets["rms"][0], "-t", "10", "-c", "copy", short])
    truth = words(" ".join(sentences))
    table = Table(["search"])
    for name, extra in SEARCH.items():
        a, b, wrong = [], [], []
        for r in range(runs):
            a.append(run(["pocketsphinx_continuous", "-infile", short, "-time", "yes", "-logfn", "/dev/null"] + extra)[0])
            total = 0
            for voice, (wav, length) in sets.items():
                if r and voice != "rms":
                    continue
                s, memory, text = run(["pocketsphinx_continuous", "-infile", wav, "-time", "yes", "-logfn", "/dev/null"] + extra)
                if voice == "rms":
                    b.append(s)
                if not r:
                    heard = [l for l in text.splitlines() if not re.search(r" \d+\.\d+ \d+\.\d+ \d+\.\d+$", l)]
                    wrong.append(edits(truth, words(" ".join(heard))))
        fixed, per = fit(a, b, 10, sets["rms"][1])
        how = source(runs, "pocketsphinx_continuous -infile WAV -time yes " + " ".join(extra) + " on 10 and %d s of speech" % sets["rms"][1])
        table.add({"search": name}, 1, "latency", "s", fixed, how)
        table.add({"search": name}, 1, "latency.per.duration", "s/s", per, how)
        table.add({"search": name}, "", "memory", "GB", (memory,) * 3, how)
        rates = [max(0.0, 100 - 100 * w / len(truth)) for w in wrong]
        table.add({"search": name}, "", "quality", "%", (sum(rates) / len(rates), min(rates), max(rates)),
                  source(1, "1 - word error rate over %d Harvard sentences in the flite voices rms and slt through AAC 96 kb/s; "
                            "range over the voices; synthetic speech, a real speaker may be much worse" % n))
    table.power((1,))
    table.write(os.path.join(out, "pocketsphinx.csv"))


# --- text ----------------------------------------------------------------------------------------
def tsv_words(text, least=60):
    pages = {}
    for line in text.splitlines():
        f = line.split("\t")
        if f[0] == "5" and float(f[10]) >= least:
            pages.setdefault(int(f[1]), []).append((float(f[10]), f[11]))
    return pages


def tesseract_frames(work, runs, out):
    made, _ = videos(work)
    frames = []
    folder = os.path.join(work, "ocr")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for v, (path, length, scenes, captions) in enumerate(made):
        detect(path, work, 2, 2, 2)
        for png in sorted(x for x in os.listdir(os.path.join(work, "scenes")) if x.endswith(".png")):
            t = int(png[:6]) / 2
            near = [c for c in captions if c[0] - 0.06 < t < c[1] + 0.06]
            if near and not near[0][0] + 0.06 < t < near[0][1] - 0.06:
                continue  # at the edge of a caption: not a fair question
            if not near and int(png[:6]) % 4:
                continue
            frames.append((os.path.join(folder, "%05d.png" % len(frames)), words(near[0][2]) if near else []))
            os.replace(os.path.join(work, "scenes", png), frames[-1][0])
    table = Table(["passes", "psm"])
    asked = sum(len(t) for _, t in frames)
    few = frames[::4]

    def read(some, passes, psm):
        """One tesseract process over a list: the frames, then (passes 2) their negatives."""
        names, seconds = [f for f, _ in some], 0.0
        if passes == 2:
            lst = os.path.join(work, "negate.txt")
            with open(lst, "w") as f:
                f.writelines("file '%s'\nduration 1\n" % x for x in names)
            seconds = run(["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y", "-threads", "1", "-f", "concat", "-safe", "0",
                           "-i", lst, "-vf", "negate", "-vsync", "passthrough", "-start_number", "0", "-c:v", "pgm", os.path.join(work, "ocr", "n%05d.pgm")])[0]
            names = names + [os.path.join(work, "ocr", "n%05d.pgm" % i) for i in range(len(some))]
        lst = os.path.join(work, "list.txt")
        with open(lst, "w") as f:
            f.writelines(x + "\n" for x in names)
        s, memory, text = run(["tesseract", lst, "stdout", "--psm", str(psm), "-c", "thresholding_method=2", "tsv"])
        return seconds + s, memory, tsv_words(text)

    for passes in (1, 2):
        for psm in (6, 11):
            a, b = [], []
            for _ in range(runs):
                a.append(read(few, passes, psm)[0])
                s, memory, pages = read(frames, passes, psm)
                b.append(s)
            fixed, per = fit(a, b, len(few), len(frames))
            how = source(runs, "tesseract LIST stdout --psm %d -c thresholding_method=2 tsv, %s, %d and %d frames 640x360, 1 thread"
                         % (psm, ["the frame", "the frame and its negative (made by ffmpeg, counted)"][passes - 1], len(few), len(frames)))
            knobs = {"passes": passes, "psm": psm}
            table.add(knobs, 1, "latency", "s", fixed, how)
            table.add(knobs, 1, "latency.per.frames", "s/item", per, how)
            table.add(knobs, "", "memory", "GB", (memory,) * 3, how)
            wrong = 0
            for i, (_, truth) in enumerate(frames, 1):
                best = max((pages.get(i + k * len(frames), []) for k in range(passes)),
                           key=lambda ws: sum(c * len("".join(words(w))) for c, w in ws))
                wrong += edits(truth, words(" ".join(w for _, w in best)))
            q = max(0.0, 100 - 100 * wrong / asked)
            table.add(knobs, "", "quality", "%", (q, q, q),
                      source(1, "1 - word error rate over %d words of captions in %d frames (%d without a caption, where every word read "
                                "is an error), words of confidence >= 60" % (asked, len(frames), sum(not t for _, t in frames))))
    table.power((1,))
    table.write(os.path.join(out, "tesseract_frames.csv"))


def tesseract_pages(work, runs, out):
    make = os.path.join(HERE, "..", "..", "examples", "media", "make.sh")
    run(["bash", make, os.path.join(work, "media"), "--quiet"], 2)
    with open(make) as f:
        truth = re.search(r"cat >letter.txt <<'TEXT'\n(.*?)\nTEXT\n", f.read(), re.S).group(1)
    truth = " ".join(truth.split())
    pdf = os.path.join(work, "media", "letter.pdf")
    table = Table(["dpi", "psm"])
    for dpi in (60, 100, 150, 300):
        for psm in (3, 6):
            a, b = [], []
            for _ in range(runs):
                for pages, to in ((1, a), (4, b)):
                    lst, seconds = os.path.join(work, "pages.txt"), 0.0
                    with open(lst, "w") as f:
                        for p in range(pages):
                            root = os.path.join(work, "page%d" % p)
                            seconds += run(["pdftoppm", "-r", str(dpi), "-gray", "-png", "-singlefile", pdf, root])[0]
                            f.write(root + ".png\n")
                    s, memory, text = run(["tesseract", lst, "stdout", "--psm", str(psm), "tsv"])
                    to.append(seconds + s)
            # The same page as a poor scan: 1 degree askew, out of focus, grainy.
            poor = os.path.join(work, "poor.png")
            run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", os.path.join(work, "media", "letter.png"), "-vf",
                 "format=gray,rotate=PI/180:fillcolor=white,gblur=1.2,scale=iw*%d/150:-1,noise=alls=12:all_seed=1" % dpi, poor])
            both = [text, run(["tesseract", poor, "stdout", "--psm", str(psm), "--dpi", str(dpi), "tsv"])[2]]
            rates = [max(0.0, 100 - 100 * edits(truth, " ".join(w for _, w in tsv_words(t, 0).get(1, []))) / len(truth)) for t in both]
            fixed, per = fit(a, b, 1, 4)
            knobs = {"dpi": dpi, "psm": psm}
            how = source(runs, "pdftoppm -r %d -gray -png then tesseract LIST stdout --psm %d tsv, 1 and 4 A4 pages, 1 thread" % (dpi, psm))
            table.add(knobs, 1, "latency", "s", fixed, how)
            table.add(knobs, 1, "latency.per.pages", "s/item", per, how)
            table.add(knobs, "", "memory", "GB", (memory,) * 3, how)
            table.add(knobs, "", "quality", "%", (sum(rates) / 2, min(rates), max(rates)),
                      source(1, "1 - character error rate over one typewritten A4 page of %d characters, mean of a clean scan "
                                "(examples/media letter.pdf, %.1f) and a poor one (1 degree askew, blurred, grainy: %.1f)"
                                % (len(truth), rates[0], rates[1])))
    table.power((1,))
    table.write(os.path.join(out, "tesseract_pages.csv"))


def python_tests(work, runs, out):
    test = os.path.join(work, "test_code.py")
    with open(test, "w") as f:
        f.write("import unittest\ndef add(a, b):\n    return a + b\nclass T(unittest.TestCase):\n" + "".join(
            "    def test_%d(self):\n        self.assertEqual(add(%d, 1), %d)\n" % (i, i, i + 1) for i in range(10)))
    got = [run([sys.executable, "-I", "-B", "-c", PYRUN, test], cwd=work) for _ in range(max(runs, 5))]
    table = Table([])
    how = source(len(got), "python3 -I -B -c <loads FILE and runs its unittest cases>, 10 trivial cases; the tests' own time comes on top")
    table.add({}, 1, "latency", "s", spread([g[0] for g in got]), how)
    table.add({}, "", "memory", "GB", spread([g[1] for g in got]), how)
    table.power((1,))
    table.add({}, "", "quality", "%", (100, 100, 100), "by definition: the verdict is what the tests say of the code; how good the tests are is not counted", "estimated")
    table.write(os.path.join(out, "python_tests.csv"))


PYRUN = ("import sys,unittest,importlib.util as u;s=u.spec_from_file_location('candidate',sys.argv[1]);m=u.module_from_spec(s);"
         "s.loader.exec_module(m);r=unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromModule(m));"
         "sys.exit(not r.wasSuccessful())")
POWER_SOURCE = ("units x TDP per core: Xeon Gold 6226 125 W / 12 cores = 10.4 W/core (en.wikichip.org intel/xeon_gold/6226, as in "
                "clip.csv); low EPYC 9655 400 W / 96 cores = 4.17 W/core (tweaktown.com/news/97071, a leak); package TDP only, "
                "no DRAM; this VM has no power counter")


def source(runs, what):
    return "%d-core %s VM; %s; %d runs; %s; by stdlib/profiles/%s" % (
        os.cpu_count(), os.uname().machine.replace("_", "-"), datetime.date.today().isoformat(), runs, what,
        os.path.basename(sys.argv[0]))


def main():
    every = {f.__name__: f for f in (ffmpeg_scenes, even_frames, pocketsphinx, tesseract_frames, tesseract_pages, python_tests)}
    ap = argparse.ArgumentParser(description="Measures the offline tools' profiles.")
    ap.add_argument("--out", default=HERE)
    ap.add_argument("--work", help="folder for the test files (kept); default: a temporary one")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--only", default=",".join(every))
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        work = os.path.abspath(args.work or tmp)
        os.makedirs(work, exist_ok=True)
        for name in args.only.split(","):
            if name not in every:
                ap.error("unknown profile %s" % name)
            every[name](work, args.runs, os.path.abspath(args.out))


if __name__ == "__main__":
    main()
