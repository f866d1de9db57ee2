"""An artifact made with the writer of artifacts, of files that stand for a compiled network."""

import json
from pathlib import Path

import numpy as np

from nas.export.card import CARD, CARD_TEXT, Card
from nas.export.readme import readme
from nas.ledger import Ledger
from nas.ledger.artifacts import every_artifact
from runtime.formats.artifact import MANIFEST, checksum, own_digest
from runtime.formats.saving import save
from runtime.network_info import NetworkInfo

INFO = NetworkInfo((1, 1, 8, 8), (1, 10), "x86_64", "x86-64-v3", (), 0, 64, 64, ())
FIGURES = Card(
    search="demo", trial=6, digest="06" * 32, data="digits", data_digest="0", epochs=3, seed=0,
    validation_accuracy=0.974, test_accuracy=0.971, test_images=360, size_kb=11.3, artifact_kb=40.1,
    predicted_ms=0.152, measured_ms=0.149, measured_iqr_ms=0.001, measured_at="2026-01-01", batch=1,
    device={"name": "<b>local</b>", "features": ["avx2"]}, precisions={"binary": 3},
)  # fmt: skip


def write(folder: Path) -> Path:
    """Write an artifact into a new folder."""
    library = folder.parent / "library.so"
    library.write_bytes(b"machine code" * 100)
    sample = {"input": np.zeros((1, 1, 8, 8), np.float32), "output": np.zeros((1, 10), np.float32)}
    card = {CARD: FIGURES.to_json().encode(), CARD_TEXT: readme(FIGURES).encode()}
    save(INFO, (), library, sample, folder, card)
    return folder


def record(storage: str, folder: str | Path, digest: str | None = None) -> int:
    """Note an artifact of a trial in a ledger, by default with the sum of its manifest; its number there."""
    found = digest or checksum(Path(folder) / MANIFEST)
    with Ledger.open(storage) as ledger:
        ledger.record_artifact("demo", 6, path=str(folder), target="x86-64-v3", digest=found)
        return every_artifact(ledger)[0].number


def forge(folder: Path, **files: str) -> None:
    """Have a manifest list other files as well, with a digest that fits, as a forger would."""
    path = folder / MANIFEST
    fields = json.loads(path.read_text())
    fields["files"] |= files
    path.write_text(json.dumps(fields | {"digest": own_digest(fields)}))
