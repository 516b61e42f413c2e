"""Draw the benchmark's figure from its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3366aa", "#dd7733", "#888888"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw three panels: ratios with their spread, cost against size, memory of loading."""
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    ratios, cost, memory = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
    _ratios(ratios, results)
    _cost(cost, results["sizes"])
    _memory(memory, results["memory"])
    figure.suptitle(
        f"{results['backbone']} at 224 px, {results['photos']:,} photos ({results['dataset']}), {results['device']}",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)


def _ratios(axes, results: dict[str, Any]) -> None:
    names = {
        "published_throughput_ratio": "training throughput,\npublished / baseline",
        "published_cpu_seconds_ratio": "CPU time per photo,\nbaseline / published",
        "augment_ratio": "augmentation,\ntorchvision on PIL / ours",
        "fast_time_ratio": "25 epochs of the baseline /\nfast",
    }
    for row, (name, label) in enumerate(names.items()):
        value, low, high = (results[key] for key in (name, f"{name}_min", f"{name}_max"))
        axes.barh(row, value, color=BLUE, xerr=[[value - low], [high - value]], error_kw={"ecolor": GREY, "capsize": 3})
        axes.annotate(f"{value:.3g}×", (max(high, 1.05), row), (6, 0), textcoords="offset points", va="center")
        names[name] = label
    axes.set_yticks(range(len(names)), names.values(), fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, 5 * max(results[f"{name}_max"] for name in names))
    axes.set_xlabel("times as fast (log scale)")
    axes.set_title("Against the literal baseline", fontsize=10)


def _cost(axes, sizes: list[dict[str, Any]]) -> None:
    photos = [row["photos"] for row in sizes]
    axes.plot(photos, [1e3 * row["seconds_per_photo"] for row in sizes], "o-", color=BLUE)
    axes.set_ylim(0, 1.5e3 * max(row["seconds_per_photo"] for row in sizes))
    axes.set_xscale("log", base=2)
    axes.set_xticks(photos, photos)
    axes.minorticks_off()
    axes.set_xlabel("training photos")
    axes.set_ylabel("ms per photo, decoding included", color=BLUE)
    other = axes.twinx()
    other.plot(photos, [row["peak_memory_mb"] for row in sizes], "s--", color=ORANGE)
    other.set_ylim(0, 1.2 * max(row["peak_memory_mb"] for row in sizes))
    other.set_ylabel("peak memory (MB)", color=ORANGE)
    axes.set_title("Cost against size, published", fontsize=10)


def _memory(axes, memory: dict[str, Any]) -> None:
    rows, limit = memory["rows"], memory["limit_megabytes"]
    photos = [row["photos"] for row in rows]
    for name, label, style in (
        ("no_limit", "no limit: all in memory", "o-"),
        ("limit", f"limit {limit:.0f} MB", "s--"),
    ):
        axes.plot(
            photos,
            [row[name]["peak_megabytes"] for row in rows],
            style,
            color=ORANGE if name == "limit" else BLUE,
            label=label,
        )
    for row in rows:
        at = (row["photos"], row["limit"]["peak_megabytes"])
        axes.annotate(
            row["limit"]["kind"], at, (0, 6), textcoords="offset points", ha="center", fontsize=7, color=ORANGE
        )
    axes.plot(photos, [row["decoded_megabytes"] for row in rows], ":", color=GREY, label="decoded photos alone")
    axes.set_xlim(0, 1.12 * photos[-1])
    axes.set_ylim(0, 1.5 * max(row["no_limit"]["peak_megabytes"] for row in rows))
    axes.set_xlabel("training photos")
    axes.set_ylabel("memory above the start (MB)")
    axes.set_title("Memory of decoding and loading", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
