"""Connected components of named things."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Node = TypeVar("Node", bound=Hashable)


def component_of(links: Iterable[tuple[Node, Node]]) -> dict[Node, int]:
    """Return the number of its connected component for each node; link a node to itself where it may have no other."""
    pairs = list(links)
    number = {node: i for i, node in enumerate(dict.fromkeys(node for pair in pairs for node in pair))}
    rows, columns = [number[one] for one, _ in pairs], [number[other] for _, other in pairs]
    graph = coo_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(len(number), len(number)))
    labels = connected_components(graph, directed=False)[1] if pairs else []
    return {node: int(label) for node, label in zip(number, labels, strict=True)}
