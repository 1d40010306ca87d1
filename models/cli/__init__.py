"""`mulan models`: the commands that list, make and measure checkpoints."""

from models.cli.lazy import LazyGroup

export = LazyGroup(
    name="export",
    help="Write a checkpoint for other programs.",
    commands_at={
        "safetensors": "models.cli.exporting:safetensors",
        "onnx": "models.cli.exporting:onnx",
    },
)
evaluate = LazyGroup(
    name="evaluate",
    help="Measure a checkpoint, or the samplers.",
    commands_at={
        "likelihood": "models.cli.evaluate_checkpoint:likelihood",
        "recognition": "models.cli.evaluate_checkpoint:recognition",
        "card": "models.cli.evaluate_checkpoint:card",
        "ablation": "models.cli.evaluate_checkpoint:ablation",
        "anomalies": "models.cli.evaluate_anomalies:anomalies",
        "defects": "models.cli.evaluate_defects:defects",
        "mog": "models.cli.evaluate_mixtures:mog",
        "ode": "models.cli.evaluate_ode:ode",
        "ode-error": "models.cli.evaluate_ode_error:ode_error",
        "trace": "models.cli.evaluate_trace:trace",
        "precision": "models.cli.evaluate_precision:precision",
        "samples": "models.cli.evaluate_samples:samples",
    },
)
models = LazyGroup(
    name="models",
    help="List, show, make, import, export, train, tune, calibrate, evaluate and push checkpoints.",
    commands_at={
        "list": "models.cli.shelf:list_checkpoints",
        "show": "models.cli.shelf:show_checkpoint",
        "new": "models.cli.new:new",
        "import": "models.cli.importing:import_checkpoint",
        "prepare": "models.cli.prepare:prepare",
        "export": "models.cli:export",
        "graphs": "models.cli.exporting:graphs",
        "train": "models.cli.train:train",
        "tune": "models.cli.tune:tune",
        "tune-steps": "models.cli.tune_steps:tune_steps",
        "calibrate": "models.cli.calibrate:calibrate",
        "evaluate": "models.cli:evaluate",
        "push": "models.cli.push:push",
    },
)
