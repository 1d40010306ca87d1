"""Command that builds the CPU image and runs the Compose file's fleet from it, without Docker.

It needs root, and Debian's packages buildah, runc, iproute2, dnsmasq-base and tini.
"""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click

from deploy.try_images.compose import ComposeError, Service
from deploy.try_images.images import Sources, Store, base_of
from deploy.try_images.report import Report
from deploy.try_images.tools import PACKAGES, STAND_IN_PACKAGES, TrialError, require
from deploy.try_images.trial import ROOT, services

# The second half runs where it is alone: no process and no interface of it outlives it, or this.
ALONE = [
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
]


@click.command(help=__doc__)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/tmp/mulan-images"),
    show_default=True,
    help="Folder for the images, some GB; delete it afterwards.",
)
@click.option(
    "--stand-ins",
    is_flag=True,
    help="Make images of Debian's packages that bear the tags of the official ones, where no "
    "registry of images can be reached.",
)
@click.option("--base", help="Image to build from, in place of the Dockerfile's.")
@click.option("--index", help="URL of a package index, in place of the default ones.")
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Folder of wheels that are taken too; torch then comes from there or from the index.",
)
@click.option(
    "--certificates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="Bundle of the authorities that the build trusts.",
)
@click.option("--skip-build", is_flag=True, help="Take the images that the store has.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False, resolve_path=True),
    help="File for the image that the fleet draws, a PNG.",
)
def main(
    store: Path,
    stand_ins: bool,
    base: str | None,
    index: str | None,
    wheels: Path | None,
    certificates: Path | None,
    skip_build: bool,
    picture: Path | None,
) -> None:
    """Build, then run the trial in namespaces of its own."""
    try:
        require(PACKAGES | (STAND_IN_PACKAGES if stand_ins else {}))
        if not skip_build:
            sources = Sources(base, index, wheels, certificates)
            if not _built(Store(store), services(), sources, stand_ins):
                sys.exit(1)
    except (TrialError, ComposeError) as error:
        raise click.ClickException(str(error)) from error
    # Ctrl-C reaches the second half too, which then tidies up.
    signal.signal(signal.SIGINT, lambda *_: None)
    command = [sys.executable, "-m", "deploy.try_images.trial", str(store)]
    sys.exit(subprocess.call([*ALONE, *command, *([str(picture)] if picture else [])]))


def _built(store: Store, fleet: dict[str, Service], sources: Sources, stand_ins: bool) -> bool:
    """Make every image that the fleet needs, and tell whether they are there."""
    report, ours = Report(), fleet["api"].image
    foreign = [fleet["redis"].image, fleet["prometheus"].image]
    if sources.base is None:
        foreign.insert(0, base_of(ROOT / "Dockerfile"))
    for tag in foreign if stand_ins else ():
        if not store.has(tag):
            report.check(f"a stand-in for {tag}", partial(store.make_stand_in, tag))
    return report.succeeded and report.check(
        f"{ours} builds", lambda: store.build(ours, fleet["api"].target, ROOT, sources)
    )


if __name__ == "__main__":
    main()
