"""Drawings of what lessons talk about."""

import itertools

from ..extras import needs

with needs("matplotlib", extra="plot"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

FILLS = {"plain": "white", "block": "#cfe3f1", "middle": "#f6dfc4"}


def u_net() -> Figure:
    """Return a drawing of VDM's network: the way in, the middle, the way back, the skips."""
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    axes.set(xlim=(-1.6, 11.6), ylim=(-0.9, 6.9))
    axes.axis("off")

    def box(x: float, y: float, words: str, kind: str = "plain", width: float = 2.4) -> None:
        axes.text(x, y, words, ha="center", va="center", fontsize=9.5, zorder=3)
        spot = (x - width / 2, y - 0.3)
        axes.add_patch(
            FancyBboxPatch(spot, width, 0.6, "round,pad=0.02", fc=FILLS[kind], ec="0.3")
        )

    def arrow(start: tuple, end: tuple, **look: object) -> None:
        style = {"arrowstyle": "-|>", "color": "0.2", "shrinkA": 0, "shrinkB": 0, **look}
        axes.annotate("", end, start, arrowprops=style)

    rows = (5.4, 4.3, 3.2, 1.9)
    inward = ("entry", "block 1", "block 2", "block L")
    outward = ("block L + 1", "block L", "block L − 1", "block 1")
    box(0, 6.5, "z and its features")
    box(10, 6.5, "norm, silu, exit, + z  =  ε̂", width=3.1)
    for x, words, down in ((0, inward, True), (10, outward, False)):
        ends = (6.5, *rows)
        for high, low in itertools.pairwise(ends):
            above, below = (x, high - 0.3), (x, low + 0.32)
            arrow(*((above, below) if down else (below, above)))
        for y, word in zip(rows, words, strict=True):
            box(x, y, word, "plain" if word == "entry" else "block")
        axes.text(x, 2.55, "…", ha="center", va="center", fontsize=14, backgroundcolor="white")
    for y in rows:
        arrow((1.25, y), (8.75, y), ls="--", color="0.45")
    axes.text(
        5, 5.5, "kept, and joined on the way back: the last first", ha="center", va="bottom"
    )
    for x, words in ((2.0, "block"), (5.0, "attention"), (8.0, "block")):
        box(x, 0.1, words, "middle", width=1.9)
    axes.plot([0, 0, 1.0], [1.6, 0.1, 0.1], color="0.2", lw=1.2, ls="-")
    arrow((0.9, 0.1), (1.03, 0.1))
    arrow((2.97, 0.1), (4.03, 0.1))
    arrow((5.97, 0.1), (7.03, 0.1))
    axes.plot([8.97, 10], [0.1, 0.1], color="0.2", lw=1.2, ls="-")
    arrow((10, 0.1), (10, 1.58))
    axes.text(
        5,
        -0.6,
        "from the entry on, each arrow carries 32×32 positions with C channels",
        ha="center",
    )
    told = "γ  ─►  sines and cosines, with the flag  ─►  two layers  ─►  to every block"
    axes.text(
        5, 2.55, told, ha="center", va="center", fontsize=9.5, bbox={"fc": "0.95", "ec": "0.6"}
    )
    return figure
