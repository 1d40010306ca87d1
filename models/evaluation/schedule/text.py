"""The paragraph of a card about the learned schedule."""

from models.evaluation.schedule.learned import ScheduleSpread
from models.schema.architectures import require_mulan
from models.schema.manifest import Manifest

# Below the first, a KL in nats, a latent counts as collapsed; below the second, a share of the
# spread between pixels, the spread between latents counts as none.
COLLAPSED, FLAT = 0.05, 0.1


def schedule_text(manifest: Manifest, spread: ScheduleSpread) -> str:
    """Describe how far gamma is from one curve for all pixels and latents."""
    if not manifest.config.latent_size:
        return "Gamma is fixed: linear in t, the same for all pixels and images."
    if not manifest.config.encodes:
        return (
            f"Gamma is the same for all images. At t = ½, where it is {spread.mean:.2f} on "
            f"average, it differs by {spread.over_pixels:.3f} between pixels (a standard "
            f"deviation).{_patches(manifest, spread)}"
        )
    return (
        f"At t = ½, where gamma is {spread.mean:.2f} on average, it differs by "
        f"{spread.over_pixels:.3f} between the pixels of one schedule and by "
        f"{spread.over_latents:.3f} between the latents of one pixel (standard deviations)."
        f"{_patches(manifest, spread)} {spread.images} test images choose {spread.latents_used} "
        f"latents, with an entropy of {spread.entropy:.2f} nats, of at most "
        f"{manifest.config.log_latents:.2f}."
        f"{_latent(manifest, spread)}"
    )


def _patches(manifest: Manifest, spread: ScheduleSpread) -> str:
    """Describe the share of the spread between pixels that comes from the network's patches."""
    patch = require_mulan(manifest.config, "a card").patch
    if patch == 1:
        return ""
    if spread.by_patch is None:
        return (
            f" Where gamma repeats every {patch} pixels, that goes with the {patch}x{patch} "
            "patches in which the network sees an image: do not read it as structure of the images."
        )
    return (
        f" {100 * spread.by_patch:.0f} % of the variance between pixels goes with a pixel's place "
        f"in the {patch}x{patch} patches in which the network sees an image: do not read it as "
        "structure of the images."
    )


def _latent(manifest: Manifest, spread: ScheduleSpread) -> str:
    """Describe whether the latent carries information and whether the schedule depends on it."""
    if manifest.training is None:
        return ""
    kl = manifest.training.history[-1]["latent"]
    if kl < COLLAPSED:
        return (
            f" Yet the latent collapsed: at the end of training its KL was {kl:.2f} nats, so that "
            "it tells next to nothing of an image, and the code with the largest logit is chosen "
            "from near-ties."
        )
    alive = f" The latent is alive: at the end of training its KL was {kl:.2f} nats."
    flat = spread.over_latents < FLAT * spread.over_pixels
    return alive + (" The schedule hardly heeds it." if flat else "")
