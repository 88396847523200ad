"""The tables: medians over rounds, ratios of medians to the best of the others, resident memory over time."""

import statistics

MEMORY = ["mean MiB", "peak MiB", "after MiB", "idle MiB"]
TITLES = {"mean MiB": "mean", "peak MiB": "peak", "after MiB": "after", "idle MiB": "after 5 s idle"}


def median(rounds, name, *path):
    def value(run):
        for step in path:
            run = run[step]
        return run

    return statistics.median(value(one[name]) for one in rounds)


def table(title, columns, rows):
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")


def compare(title, mallocs, rounds, columns, is_best):
    """A table of medians, and below it each of ours in relation to the best other. `columns`: title, path, format."""
    rows, ratios = [], []
    others = [malloc.name for malloc in mallocs if not malloc.ours]
    for malloc in mallocs:
        rows.append((malloc.name, [text.format(median(rounds, malloc.name, *path)) for _, path, text in columns]))
        if malloc.ours and others:
            cells = []
            for _, path, _ in columns:
                best = is_best(median(rounds, other, *path) for other in others)
                cells.append(f"{median(rounds, malloc.name, *path) / best:.2f}")
            ratios.append((f"{malloc.name} / best other", cells))
    table(title, [column[0] for column in columns], rows + ratios)


def spread(mallocs, rounds, phases):
    """How far rounds lie apart, in the middle of all figures: what ratios nearer to 1 than this say nothing about."""
    found = {"requests/s": [], "MiB": []}
    for malloc in mallocs:
        runs = [one[malloc.name] for one in rounds]
        for phase in phases:
            values = [run["phases"][phase]["requests per second"] for run in runs]
            found["requests/s"].append((max(values) - min(values)) / statistics.median(values))
        for name in MEMORY:
            values = [run[name] for run in runs]
            found["MiB"].append((max(values) - min(values)) / statistics.median(values))
    return ", ".join(f"{name} {statistics.median(values) * 100:.0f} %" for name, values in found.items())


def over_time(mallocs, rounds, step=2):
    """Resident MiB at the end of each phase's every `step` seconds, medians over rounds."""
    phases = []
    for sample in rounds[0][mallocs[0].name]["samples"]:
        if sample["phase"] not in phases:
            phases.append(sample["phase"])
    places = {}
    for malloc in mallocs:
        for one in rounds:
            starts = {}
            seen = {}
            for sample in one[malloc.name]["samples"]:
                start = starts.setdefault(sample["phase"], sample["seconds"])
                seen[(sample["phase"], int((sample["seconds"] - start) // step))] = sample["rss"] / (1 << 20)
            for place, value in seen.items():
                places.setdefault(place, {}).setdefault(malloc.name, []).append(value)
    rows = []
    # A phase that took a moment longer in one run than in the others has a place there that they don't have.
    full = {place: values for place, values in places.items() if len(values) == len(mallocs)}
    for place in sorted(full, key=lambda place: (phases.index(place[0]), place[1])):
        cells = [f"{statistics.median(full[place][malloc.name]):.1f}" for malloc in mallocs]
        rows.append((f"{place[0]}, {place[1] * step} to {(place[1] + 1) * step} s", cells))
    table("resident MiB at the end of", [malloc.name for malloc in mallocs], rows)


def report(mallocs, rounds, phases):
    def columns(what, text):
        return [(phase, ("phases", phase, what), text) for phase in phases]

    compare("requests a second", mallocs, rounds, columns("requests per second", "{:,.0f}"), max)
    compare("99th percentile, ms", mallocs, rounds, columns("p99 ms", "{:.1f}"), min)
    compare(
        "processor µs of the server, a request", mallocs, rounds, columns("processor us per request", "{:.1f}"), min)
    compare(
        "resident MiB", mallocs, rounds, [(TITLES[name], (name,), "{:.1f}") for name in MEMORY], min)
    over_time(mallocs, rounds)
    if len(rounds) > 1:
        print(f"\nBetween the least and the most of all rounds, in the middle: {spread(mallocs, rounds, phases)}.")
    else:
        print("\nOne round: a look, nothing to conclude from.")
