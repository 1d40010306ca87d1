"""Settings of a model so small that a test can train it."""

TINY = {
    "name": "tiny",
    "data": {
        "source": "digits",
        "licence": "CC BY 4.0",
        "split": {"train": 100, "density": 40, "calibration": 20, "test": 30},
    },
    "model": {
        "image_shape": [8, 8, 1],
        "vocabulary": 17,
        "width": 8,
        "depth": 1,
        "encoder_depth": 1,
        "dropout": 0.2,
        "groups": 4,
        "fourier": [1],
        "latent_size": 6,
        "latent_k": 2,
        "schedule_width": 8,
        "gamma_min": -7.9,
        "patch": 2,
    },
    "optimisation": {
        "steps": 11,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "warmup_steps": 3,
        "held_out_every": 4,
    },
}
