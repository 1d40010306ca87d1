"""`mulan models`: the checkpoint workshop."""

from models.cli.lazy import LazyGroup

models = LazyGroup(
    name="models",
    help="List, show, import, train and evaluate checkpoints.",
    commands_at={
        "list": "models.cli.shelf:list_checkpoints",
        "show": "models.cli.shelf:show_checkpoint",
        "import": "models.cli.importing:import_checkpoint",
        "train": "models.cli.train:train",
        "evaluate": "models.cli.evaluate:evaluate",
    },
)
