"""What nobody has seen before: types, fields and precisions, counted, so that schema drift is seen at once."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from msgspec import Raw, Struct, field

UNUSED = Raw(b"null")
"""What a field is that a frame does not have, or that nobody looks at."""

LIMIT = 200
"""A hostile peer may invent names for ever: so many are kept, the rest only counted."""
_LONGEST = 100


def learnt(place: int) -> str:
    """The attribute, in a decoded frame, of the learnt field number `place`: the wire's name may be none for Python."""
    return f"learnt_{place}"


def _can_be_learnt(name: str) -> bool:
    """What msgspec takes for the name of a field, and no longer than a name is."""
    return len(name) <= _LONGEST and name.isprintable() and not {'"', "\\"} & set(name)


def _where(place: str) -> str:
    return place if place[-1] == "." else f"{place}.msg."


class Census(Struct):
    """Counts of the unknown. Names ending in a dot stand for a frame's own fields, others for those of its `msg`."""

    types: dict[str, int] = field(default_factory=dict)
    fields: dict[str, dict[str, int]] = field(default_factory=dict)
    precisions: dict[str, int] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    """Known fields that came in another form than usual, or say nothing that a row may hold."""
    beyond: int = 0
    size: int = 0

    def type(self, name: str) -> None:
        """A frame of an unknown type came."""
        self._count(self.types, name[:_LONGEST], 1)

    def precision(self, what: str, decimals: int, times: int) -> None:
        """Numbers came with an unusual number of decimals."""
        self._count(self.precisions, f"{what} with {decimals} decimals", times)

    def field(self, place: str, names: AbstractSet[str]) -> bool:
        """`place` has fields that it should not have; says whether any of them was new, and is now learnt."""
        known = self.fields.get(place, {})
        new = sorted(name for name in names - known.keys() if _can_be_learnt(name))[: LIMIT - self.size]
        self.beyond += len(names - known.keys()) - len(new)
        if new:
            self.fields[place] = known | dict.fromkeys(new, 0)
            self.size += len(new)
        return bool(new)

    def form(self, place: str, name: str, form: str) -> None:
        """A known field came in that form."""
        self._count(self.forms, f"{_where(place)}{name} as {form}", 1)

    def again(self, place: str, names: AbstractSet[str]) -> None:
        """Counts the learnt fields among `names`, of a frame that was not decoded with them."""
        known = self.fields.get(place, {})
        for name in names & known.keys():
            known[name] += 1

    def seen(self, place: str, thing: Struct) -> None:
        """Counts the learnt fields that a decoded frame, or its `msg`, has."""
        names = self.fields.get(place, {})
        for number, name in enumerate(names):
            if getattr(thing, learnt(number), UNUSED) is not UNUSED:
                names[name] += 1

    def counts(self) -> dict[str, int]:
        """All of it, as short texts with how often each was seen, for people and the manifest."""
        said = {f"type {name}": times for name, times in self.types.items()}
        for place, names in self.fields.items():
            said |= {f"field {_where(place)}{name}": times for name, times in names.items()}
        said |= {f"form {name}": times for name, times in self.forms.items()}
        return said | {f"precision {name}": times for name, times in self.precisions.items()}

    def lines(self) -> list[str]:
        """The short texts alone."""
        return list(self.counts())

    def _count(self, counts: dict[str, int], name: str, times: int) -> None:
        if name not in counts:
            if self.size >= LIMIT:
                self.beyond += times
                return
            self.size += 1
        counts[name] = counts.get(name, 0) + times
