"""`mulan models`: the checkpoint workshop."""

from models.cli.lazy import LazyGroup

export = LazyGroup(
    name="export",
    help="Write a checkpoint for other programs.",
    extra="onnx",
    commands_at={
        "safetensors": "models.cli.exporting:safetensors",
        "onnx": "models.cli.exporting_onnx:onnx",
    },
)
models = LazyGroup(
    name="models",
    help="List, show, import, export, train, tune, calibrate and evaluate checkpoints.",
    commands_at={
        "list": "models.cli.shelf:list_checkpoints",
        "show": "models.cli.shelf:show_checkpoint",
        "import": "models.cli.importing:import_checkpoint",
        "export": "models.cli:export",
        "train": "models.cli.train:train",
        "tune": "models.cli.tune:tune",
        "calibrate": "models.cli.calibrate:calibrate",
        "evaluate": "models.cli.evaluate:evaluate",
    },
)
