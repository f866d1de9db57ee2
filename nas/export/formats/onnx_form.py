"""ONNX in standard operators, for onnxruntime and other runtimes; the file holds no code."""

from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.formats.base import ExportFormat, Run, formats

if TYPE_CHECKING:
    from nas.export.card import Card
    from nas.export.finished import Finished

NETWORK = "network.onnx"


class Onnx(ExportFormat):
    """One file for any number of images, with class names and scaling in its metadata."""

    name, title, holds_code, library_name = "onnx", "ONNX", False, "onnxruntime"

    def write(self, finished: "Finished", folder: Path) -> None:
        """``network.onnx``."""
        import runtime

        scaling = finished.data.test.scaling
        runtime.write_onnx(
            finished.module,
            (1, *finished.data.input_shape),
            folder / NETWORK,
            class_names=finished.data.class_names,
            mean=scaling.mean,
            deviation=scaling.deviation,
        )

    def opened(self, folder: Path) -> Run | None:
        """The network in onnxruntime, on one thread; a file that may hold more than a network is refused."""
        from runtime.formats.onnx.running import opened

        return None if self.missing(folder) else opened(folder / NETWORK)

    def missing(self, folder: Path) -> str:
        """The packages ``onnx`` and ``onnxruntime``."""
        from runtime.formats.onnx.running import missing_packages

        missing = missing_packages()
        return f"not installed: {', '.join(missing)}" if missing else ""

    def usage(self, card: "Card") -> str:
        """The call that runs it."""
        return "\n".join(
            [
                "Needs numpy and `onnxruntime`, or another runtime of ONNX, opset 20.",
                "",
                "    import onnxruntime",
                f'    session = onnxruntime.InferenceSession("{NETWORK}")',
                '    logits, = session.run(None, {"input": images})  # float32 (n, C, H, W), scaled as above',
            ]
        )


formats.add("onnx", Onnx())
