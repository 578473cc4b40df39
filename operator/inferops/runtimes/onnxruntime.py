"""ONNX Runtime, as a backend of Triton: a model repository of ONNX models. Facts as of Triton 2.51.

The repository is Triton's, `NAME/VERSION/model.onnx`; a config.pbtxt may be left out, its inputs and outputs are then
read from the model. Execution providers, optimization and threads are set in config.pbtxt or by
`--backend-config=onnxruntime,KEY=VALUE`.
"""

from __future__ import annotations

from inferops.runtimes.triton import Triton


class OnnxRuntime(Triton):
    """Triton with ONNX models, each whole on one accelerator."""

    name = "onnxruntime"
    parallel = False
