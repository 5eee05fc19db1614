"""Lay out the folders that other tools take: a model of MLflow, and a repository of a model hub."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.export import run
from service.export.archive import zip_bytes
from service.export.card import yaml
from service.export.formats import FOLDER_SUFFIXES, FolderFormat
from store.registry.heads import HeadVersion

MLFLOW_VERSION: Final = "3.1.0"
"""The oldest release that is asked for."""

_PACKAGE: Final = "nmtune_head"
_REQUIREMENTS: Final = f"mlflow>={MLFLOW_VERSION}\nnumpy\npandas\n"
_RUNNER: Final = Path(run.__file__)


def hub(version: HeadVersion, head: bytes, onnx: bytes, about: Mapping[str, bytes]) -> bytes:
    """A zip of the folder of a hub's repository. about: the card and what else is for people."""
    files = {
        **about,
        "run.py": _RUNNER.read_bytes(),
        "head.safetensors": head,
        "model.onnx": onnx,
    }
    return _folder(files, version, "hf")


def mlflow(version: HeadVersion, head: bytes, about: Mapping[str, bytes]) -> bytes:
    """A zip of the folder of a model of MLflow's flavor `python_function`."""
    python = platform.python_version()
    environment = {
        "python": python,
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    files = {
        "MLmodel": yaml(_mlmodel(version, python)).encode(),
        "python_env.yaml": yaml(environment).encode(),
        "requirements.txt": _REQUIREMENTS.encode(),
        f"code/{_PACKAGE}/__init__.py": _RUNNER.with_name("mlflow_model.py").read_bytes(),
        f"code/{_PACKAGE}/run.py": _RUNNER.read_bytes(),
        "data/head.safetensors": head,
        **about,
    }
    return _folder(files, version, "mlflow")


def _mlmodel(version: HeadVersion, python: str) -> dict[str, Any]:
    return {
        "flavors": {
            "python_function": {
                "code": "code",
                "data": "data/head.safetensors",
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": _PACKAGE,
                "python_version": python,
            }
        },
        "metadata": {
            "classes": list(version.classes),
            "head": f"{version.name}@{version.version}",
            "head_sha256": version.sha256,
        },
        "mlflow_version": MLFLOW_VERSION,
        "model_uuid": version.sha256[:32],
        "signature": _signature(version),
        "utc_time_created": f"{version.created_at:%Y-%m-%d %H:%M:%S.%f}",
    }


def _signature(version: HeadVersion) -> dict[str, str | None]:
    """Inputs and outputs, each in MLflow's own JSON."""
    rows = {"dtype": "float32", "shape": [-1, version.n_columns]}
    answer = [
        {"type": "string", "name": "label", "required": True},
        {
            "type": "array",
            "items": {"type": "double"},
            "name": "probabilities",
            "required": True,
        },
    ]
    return {
        "inputs": json.dumps([{"type": "tensor", "tensor-spec": rows}]),
        "outputs": json.dumps(answer),
        "params": None,
    }


def _folder(files: Mapping[str, bytes], version: HeadVersion, form: FolderFormat) -> bytes:
    name = f"{version.name}-{version.version}{FOLDER_SUFFIXES[form]}"
    return zip_bytes({f"{name}/{path}": content for path, content in files.items()})
