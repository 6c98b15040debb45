"""Few steps, chosen optimally: the best grid of γ's for the bound is a shortest path.

The bound of a K-step walk is a sum over its steps, and what a step costs depends on its two
ends alone (Watson, Ho, Norouzi and Chan 2021). So among all grids drawn from N candidates,
of which there are more than atoms, dynamic programming finds the best one exactly, for any
trained model, from N numbers that are measured once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from ..curve import ErrorCurve


def edge_costs(
    gammas: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n n"]:
    """Return ½ expm1(γ_j − γ_i) E‖ε − ε̂(z; γ_j)‖² in nats: the step from γ_j down to γ_i.

    `errors` are the expectations at each γ. There is no step where γ_i ≥ γ_j: it costs ∞.

    Raises:
        ValueError: the γ's don't rise from each to the next.
    """
    if not np.all(np.diff(gammas) > 0):
        raise ValueError("the values of γ must rise from each to the next")
    rise = gammas[None, :] - gammas[:, None]
    with np.errstate(over="ignore"):
        cost = 0.5 * np.expm1(rise) * errors[None, :]
    return np.where(rise > 0, cost, np.inf)


class ShortestPaths(NamedTuple):
    """The best path of k edges from the first node to each other, for k = 0 … K."""

    cost: Float[np.ndarray, "rows n"]
    """cost[k, j], of k edges from node 0 to node j; ∞ if there is no such path."""
    previous: Integer[np.ndarray, "rows n"]
    """The node before j on that path."""

    def path(self, edges: int) -> Integer[np.ndarray, " nodes"]:
        """Return the nodes of the best path with that many edges to the last node.

        Raises:
            ValueError: the table has no such path.
        """
        if not 0 <= edges < len(self.cost) or not np.isfinite(self.cost[edges, -1]):
            raise ValueError(
                f"there is no path of {edges} edges over {self.cost.shape[1]} nodes in a table "
                f"of up to {len(self.cost) - 1}"
            )
        nodes = [self.cost.shape[1] - 1]
        for k in range(edges, 0, -1):
            nodes.append(int(self.previous[k, nodes[-1]]))
        return np.array(nodes[::-1])


def shortest_paths(costs: Float[np.ndarray, "n n"], most: int) -> ShortestPaths:
    """Return the best paths of every number of edges up to `most`, by dynamic programming.

    C[0, 0] = 0 and C[k, j] = min_i C[k − 1, i] + costs[i, j]: `most` · n² additions, and all
    budgets from one table (Watson et al. 2021, algorithm 1).

    Raises:
        ValueError: `most` is not a positive number.
    """
    if most < 1:
        raise ValueError(f"a path has at least 1 edge, got most = {most}")
    n = len(costs)
    cost, previous = np.full((most + 1, n), np.inf), np.zeros((most + 1, n), np.int64)
    cost[0, 0] = 0.0
    for k in range(1, most + 1):
        through = cost[k - 1][:, None] + costs
        previous[k] = through.argmin(0)
        cost[k] = np.take_along_axis(through, previous[k][None], 0)[0]
    return ShortestPaths(cost, previous)


def best_grid(curve: ErrorCurve, steps: int) -> Float[np.ndarray, " nodes"]:
    """Return the γ's of the walk of `steps` steps with the least diffusion loss on a curve.

    From the curve's first γ to its last; `PiecewiseLinear` makes a schedule of them. For
    many numbers of steps, call `shortest_paths` once. It minimises an *estimate* of the
    bound: measure the bound on fresh noise and on other data.
    """
    paths = shortest_paths(edge_costs(curve.gammas, curve.mean), steps)
    return curve.gammas[paths.path(steps)]
