"""The keys of the pages: one table, which the scripts, the buttons and the help read.

So a key cannot have two meanings on a page unnoticed, and a key is changed in one place. No script knows a letter; it
knows actions by their names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from diagnosis.models import Review


class Where(Enum):
    """What must have the focus for a key to work."""

    PAGE = "anything but a field"
    PICTURE = "the film"
    REGION = "a region"
    FIELD = "a field"
    ROW = "a row"


@dataclass(frozen=True)
class Row:
    """A line of the help: keys, as `KeyboardEvent.key` names them, with the action of each."""

    says: str
    keys: Mapping[str, str]
    where: Where = Where.PAGE
    shown: tuple[str, ...] = ()

    @property
    def caps(self) -> tuple[str, ...]:
        """What stands on the keys."""
        return self.shown or tuple(cap(key) for key in self.keys)


@dataclass(frozen=True)
class Group:
    """Lines of the help that belong together."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """All keys of a page."""

    title: str
    groups: tuple[Group, ...]

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows]

    @property
    def actions(self) -> dict[str, str]:
        """Key -> action, of the keys that work wherever the focus is."""
        everywhere = (row.keys for row in self.rows if row.where is Where.PAGE)
        return {key: action for keys in everywhere for key, action in keys.items()}

    @property
    def as_json(self) -> str:
        return json.dumps(self.actions)

    def key_of(self, action: str) -> str:
        """Return what stands on the first key of an action. Raises KeyError where it has none."""
        for key, name in self.actions.items():
            if name == action:
                return cap(key)
        raise KeyError(action)


def cap(key: str) -> str:
    """Return what is said of a key: a letter stands as a capital on it."""
    if len(key) == 1 and key.isalpha():
        return f"Shift {key}" if key.isupper() else key.upper()
    return "−" if key == "-" else key


VERDICT_KEYS = {
    Review.Verdict.NORMAL: "n",
    Review.Verdict.PNEUMONIA: "p",
    Review.Verdict.UNREADABLE: "u",
    Review.Verdict.NOT_FRONTAL: "f",
}
ARROWS = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown")
HELP = Row("These keys", {"?": "help"})
UNDO = Row("Take the last verdict back, within a minute", {"z": "undo"})

FILM = Group(
    "The film",
    (
        Row("Drag changes the window: right for less contrast, down for darker", {"w": "window"}),
        Row("Drag moves the film", {"g": "pan"}),
        Row("Drag measures, or click at each end", {"m": "measure"}),
        Row(
            "Window: own, all values, more contrast, lung, bone and mediastinum",
            {"1": "preset-own", "2": "preset-full", "3": "preset-contrast", "4": "preset-lung", "5": "preset-bone"},
            shown=("1", "…", "5"),
        ),
        Row("More, less contrast", {"[": "narrower", "]": "wider"}),
        Row("Darker, brighter", {"{": "darker", "}": "brighter"}),
        Row("Black for white", {"i": "invert"}),
        Row("Larger, smaller", {"+": "in", "=": "in", "-": "out"}, shown=("+", "−")),
        Row("Whole film, one to one", {"0": "fit", "o": "one"}),
        Row("Mirror left and right, top and bottom", {"x": "mirror", "y": "flip"}),
        Row("Turn right, turn left", {"r": "right", "R": "left"}),
        Row("As at first", {"d": "reset"}),
        Row("Heatmap on and off", {"h": "heat"}),
        Row("Heatmap weaker, stronger", {",": "fainter", ".": "stronger"}),
        Row("Lower limit of the heatmap down, up", {"<": "lower", ">": "higher"}),
        Row("Full screen", {"v": "whole"}),
        HELP,
        Row(
            "Move the film, or the cross while measuring or drawing; with Shift the window, or the cross finely",
            dict.fromkeys(ARROWS, "move"),
            Where.PICTURE,
            ("Arrows",),
        ),
        Row("Set an end of a distance, a corner or a point of a region", {"Enter": "set", " ": "set"}, Where.PICTURE,
            ("Enter",)),
        Row("Take the last line or point away", {"Delete": "back", "Backspace": "back"}, Where.PICTURE, ("Delete",)),
        Row("Take all distances away, or leave a region undrawn", {"Escape": "clear"}, Where.PICTURE, ("Esc",)),
    ),
    "Mouse: wheel zooms, the middle button moves, the right one zooms. Fingers: one uses the chosen tool, two zoom and "
    "move. The window acts on the film's own values. A radiograph has no fixed scale, so lung and bone are shares of "
    "this film's values. Arrows, Enter, Delete and Esc work while the film has the focus. Distances are not kept.",
)  # fmt: skip
VERDICT = Group(
    "Verdict",
    (
        *(Row(str(verdict.label), {key: f"verdict-{verdict}"}) for verdict, key in VERDICT_KEYS.items()),
        Row("Keep the verdict that was given blind, next film", {"k": "keep"}),
        Row("Write a remark", {"t": "remark"}),
        Row("Leave the remark", {"Escape": "leave"}, Where.FIELD, ("Esc",)),
        UNDO,
    ),
    "A verdict opens the next film; blind first, it shows the model's answer.",
)
REGIONS = Group(
    "Regions",
    (
        Row("Draw a box: drag, or click at two corners", {"b": "box"}),
        Row(
            "Draw a contour: drag around it, or click from point to point and end at the first",
            {"c": "outline"},
        ),
        Row("Put a box in the middle, to be moved by keys", {"B": "add"}),
        Row("Other readers' regions shown or hidden", {"a": "readers"}),
        Row("Go from region to region", {"Tab": "next"}, Where.REGION),
        Row("Move the region", dict.fromkeys(ARROWS, "move"), Where.REGION, ("Arrows",)),
        Row("Make it larger or smaller", {}, Where.REGION, ("Shift Arrows",)),
        Row("Take it away", {"Delete": "remove", "Backspace": "remove"}, Where.REGION, ("Delete",)),
    ),
    "A region is moved by its number or its line, a box sized by its corners; the list has buttons for both.",
)
LINKED = Group(
    "Side by side", (Row("Loosen or fasten the link", {"l": "link"}), Row("Swap the films", {"s": "swap"}))
)
ROWS = Group(
    "Films",
    (
        Row("Next film, previous film", {"j": "next", "k": "previous"}),
        Row("Open it", {"Enter": "open"}, Where.ROW),
        Row("Assign it to me, or free it", {"a": "assign"}),
        Row("Search", {"/": "search"}),
        Row("Leave the search", {"Escape": "leave"}, Where.FIELD, ("Esc",)),
        HELP,
    ),
)
VIEWER = Table("Keys of the viewer", (FILM,))
# By the name of the page's URL. Any other page that shows a film has the viewer's keys.
PAGES = {
    "film": Table("Keys of the viewer", (FILM, Group("Review", (UNDO,)))),
    "side_by_side": Table("Keys of the viewer", (FILM, LINKED)),
    "review_film": Table("Keys of the review", (VERDICT, REGIONS, FILM)),
    "review_queue": Table("Keys of the review", (Group("Review", (UNDO, HELP)),)),
    "worklist": Table("Keys of the worklist", (ROWS,)),
}


def of_page(name: str | None) -> Table:
    """Return the keys of a page by the name of its URL."""
    return PAGES.get(name or "", VIEWER)
