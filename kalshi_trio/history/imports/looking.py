"""The whole first look: what the files are, which of them the folder has already, and how they belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kalshi_trio.history.imports.survey import Source, Survey, hashed, look
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import sessions

Hash = Callable[[Source], str]


class Looking:
    """Blocking. When `steps` is over, `survey` is of the files that are to be imported: none, if the folder has them all.

    A file is known by its bytes, and by its text if it is packed in another way. With another `time_unit`
    a file says something else, so it is not the same.
    """

    def __init__(self, paths: list[Path], time_unit: str | None, data: Path) -> None:
        self.survey = Survey(paths, time_unit)
        self.left_out: list[tuple[str, str]] = []
        """Files that the folder has already, and the session that has each."""
        self.exports: list[str] = []
        """Sessions of this folder whose exports the files are."""
        self._data = data

    def steps(self) -> Iterator[int]:
        """How many bytes are read, now and then. Raises UsageError: nothing in the files is a frame, or one is no text."""
        yield from hashed(self.survey)
        known, here = _known(self._data, self.survey.time_unit), _sessions(self._data)
        self._leave_out(known, lambda one: one.sha256)
        if not self.survey.paths:
            return
        yield from look(self.survey)
        if self._leave_out(known, lambda one: one.text or one.sha256) and self.survey.paths:
            yield from look(self.survey)
        survey = self.survey
        self.exports = [here[one] for one in survey.exported if one in here]
        if survey.crossing:
            self.survey = survey.again(survey.paths, together=True)
            yield from look(self.survey)
            if self.survey.collided:
                self.survey = survey.again(survey.paths, together=True, apart=True)
                yield from look(self.survey)

    def _leave_out(self, known: dict[str, str], hash_of: Hash) -> bool:
        """Whether there are files that are not to be taken; the survey is of the others then."""
        left: list[Path] = []
        seen: dict[str, str] = {}
        for source in self.survey.sources:
            digest = hash_of(source)
            name = known.get(digest) or seen.get(digest)
            if name is None:
                left.append(source.path)
                seen[digest] = source.path.name
            else:
                self.left_out.append((source.path.name, name))
        if len(left) == len(self.survey.sources):
            return False
        self.survey = self.survey.again(left)
        return True


def _known(data: Path, time_unit: str | None) -> dict[str, str]:
    """SHA-256 of each file that was imported, and of its text → the session that was made of it."""
    found: dict[str, str] = {}
    for folder in sessions(data):
        manifest = manifests.read(folder)
        about = manifest.settings if manifest and manifest.source == "import" and manifest.verdict != "open" else {}
        files = about.get("files")
        if isinstance(files, list) and about.get("time_unit") == time_unit:
            for file in files:
                found |= {str(file[name]): folder.name for name in ("sha256", "text") if file.get(name)}
    return found


def _sessions(data: Path) -> dict[str, str]:
    """Id of each session of the folder → its folder's name."""
    found = ((folder, manifests.read(folder)) for folder in sessions(data))
    return {manifest.session: folder.name for folder, manifest in found if manifest}
