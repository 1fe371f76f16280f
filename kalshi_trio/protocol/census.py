"""What nobody has seen before: types, fields and precisions, counted, so that schema drift is seen at once."""

from __future__ import annotations

from msgspec import Raw, Struct, field

UNUSED = Raw(b"null")
"""What a field is that a frame does not have, or that nobody looks at."""

LIMIT = 200
"""A hostile peer may invent names for ever: so many are kept, the rest only counted."""


class Census(Struct):
    """Counts of the unknown. Names ending in a dot stand for a frame's own fields, others for those of its `msg`."""

    types: dict[str, int] = field(default_factory=dict)
    fields: dict[str, dict[str, int]] = field(default_factory=dict)
    precisions: dict[str, int] = field(default_factory=dict)
    beyond: int = 0
    size: int = 0

    def type(self, name: str) -> None:
        """A frame of an unknown type came."""
        self._count(self.types, name[:100])

    def precision(self, name: str) -> None:
        """A number came with an unusual number of decimals."""
        self._count(self.precisions, name)

    def field(self, place: str, names: set[str]) -> set[str]:
        """Fields that `place` has and should not; returns those that are worth learning (identifiers, bounded)."""
        known = self.fields.get(place, {})
        new = names - known.keys()
        fit = {name for name in new if name.isidentifier() and len(name) <= 100}
        if self.size + len(fit) > LIMIT:
            fit = set()
        self.beyond += len(new) - len(fit)
        if fit:
            self.fields[place] = known | dict.fromkeys(sorted(fit), 0)
            self.size += len(fit)
        return fit

    def fields_of(self, place: str) -> list[str]:
        """The learnt fields of `place`, in the order they appeared."""
        return list(self.fields.get(place, ()))

    def seen(self, name: str, frame: Struct) -> None:
        """Counts the learnt fields that a decoded frame of type `name` has."""
        for place, thing in ((f"{name}.", frame), (name, getattr(frame, "msg", None))):
            for learnt in self.fields.get(place, ()):
                if getattr(thing, learnt, UNUSED) is not UNUSED:
                    self.fields[place][learnt] += 1

    def lines(self) -> list[str]:
        """All of it as short texts, for people and the manifest."""
        said = [f"type {name}" for name in self.types]
        for place, names in self.fields.items():
            said += [f"field {place if place[-1] == '.' else place + '.msg.'}{name}" for name in names]
        return said + [f"precision {name}" for name in self.precisions]

    def _count(self, counts: dict[str, int], name: str) -> None:
        if name not in counts:
            if self.size >= LIMIT:
                self.beyond += 1
                return
            self.size += 1
        counts[name] = counts.get(name, 0) + 1
