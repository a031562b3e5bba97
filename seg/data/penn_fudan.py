"""Penn-Fudan: 170 street images with masks that number the people; downloaded when asked for."""

import logging
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from seg.data.samples import Sample, instance_table
from seg.errors import ArtifactError, SpecMismatch
from seg.files.cache_folders import cache_folder
from seg.files.download import fetch
from seg.files.lock import open_locked

log = logging.getLogger("dinoseg")

FOLDER = "PennFudanPed"
URL = "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip"
SIZE = 53_723_336  # bytes, as public download logs of 2022 and later show; no hash is published
TERMS = (
    "Penn-Fudan Database for Pedestrian Detection and Segmentation: for research; not to be "
    "reposted without its authors' permission. Cite L. Wang, J. Shi, G. Song, I. Shen, Object "
    "Detection Combining Recognition and Segmentation, ACCV 2007."
)


def samples(masks: Path, images: Sequence[Path], classes: Sequence[str]) -> list[Sample]:
    """Pairs images with the official masks, where every numbered object is a person.

    Raises:
        SpecMismatch: `classes` has no person.
    """
    if "person" not in classes:
        raise SpecMismatch(f"Penn-Fudan labels 'person'; the classes are {', '.join(classes)}.")
    table = instance_table(list(classes).index("person"))
    return [Sample(path, masks / f"{path.stem}_mask.png", table) for path in images]


def download(cache: Path | None = None, url: str = URL, size: int | None = SIZE) -> Path:
    """Downloads and unpacks the data set unless it is there already; says its terms on stderr.

    Of several processes that want it, one does the work and the others wait for it.

    Args:
        cache: Folder to keep it in; None takes that of `seg.files.cache_folders`.
        url: Address of the zip.
        size: Its bytes; None takes any.

    Returns:
        The folder with `PNGImages/` and `PedMasks/`.

    Raises:
        ArtifactError: The address cannot be reached, or gives something else.
    """
    cache = cache or cache_folder("datasets")
    place, archive = cache / FOLDER, cache / f"{FOLDER}.zip"
    if is_official(place):
        return place
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open_locked(cache / f"{FOLDER}.lock"):
            if not is_official(place):  # another process may have brought it meanwhile
                log.info("%s", TERMS)
                _bring(archive, place, url, size)
    except (ArtifactError, OSError) as error:
        raise ArtifactError(
            f"{error} Or unpack {archive.name} anywhere and pass --data FOLDER, the folder that "
            "holds PNGImages and PedMasks."
        ) from error
    return place


def _bring(archive: Path, place: Path, url: str, size: int | None) -> None:
    if not archive.exists():
        fetch(url, archive, size=size)
    # Unpacked beside its last place, so that the move at the end is a rename.
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".part-") as part:
        unpack(archive, Path(part))
        Path(part, FOLDER).rename(place)
    archive.unlink()


def is_official(folder: Path) -> bool:
    """Says whether a folder has the official layout."""
    return (folder / "PNGImages").is_dir() and (folder / "PedMasks").is_dir()


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the official zip; raises ArtifactError where it is damaged or something else."""
    try:
        with zipfile.ZipFile(archive) as file:
            root = folder.resolve()
            for name in file.namelist():
                if not (root / name).resolve().is_relative_to(root):
                    raise ArtifactError(f"{archive} has a path that leaves its folder: {name}.")
            file.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise ArtifactError(f"{archive} is damaged ({error}); delete it and run again.") from error
    if not is_official(folder / FOLDER):
        raise ArtifactError(f"{archive} holds no {FOLDER}/PNGImages and {FOLDER}/PedMasks.")
