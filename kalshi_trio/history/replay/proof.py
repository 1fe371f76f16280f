"""What a replay proves, table by table, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_trio.history.replay.retelling import Proof, Replayed


def lines(done: Replayed) -> Iterator[str]:
    """A line a table: rows, digest, and whether they are the recording's."""
    for proof in done.proofs:
        yield f"{proof.table:<12} {proof.now.made:>12,} rows  {proof.now.digest or '-':<64}  {_said(proof)}"


def _said(proof: Proof) -> str:
    if proof.then is None:
        return "(a choice: no digest to compare with)"
    if proof.equal:
        return "equal to the recording's"
    return f"NOT EQUAL: the recording made {proof.then.made:,} rows, digest {proof.then.digest or '-'}"


def plain(done: Replayed) -> dict[str, object]:
    """The same for `--json`."""
    choice = done.story.choice
    return {
        "session": done.story.session,
        "of": done.story.manifest.session,
        "frames": [choice.first, choice.last],
        "markets": list(choice.markets),
        "seconds": round(done.seconds, 3),
        "equal": done.equal if done.story.whole else None,
        "tables": {
            proof.table: {
                "rows": proof.now.made,
                "digest": proof.now.digest,
                "equal": proof.equal if proof.then else None,
            }
            for proof in done.proofs
        },
    }
