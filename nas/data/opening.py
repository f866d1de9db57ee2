"""``load``: from the name of some data to a data set."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from nas.data import cache, cifar_binary, idx
from nas.data.data_set import DataSet, data_sets
from nas.data.digits import NAME as DIGITS
from nas.data.image_folder import ImageFolder
from nas.data.images import Collection
from nas.data.listing import has_images, is_image, place, refuse_unread, refused, visible
from nas.data.metadata import DescribedFolder, is_metadata
from search_spaces.errors import InvalidInput

ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".7z")
TABLE_SUFFIXES = (".parquet", ".arrow")
PICKLE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz")
MAX_IMAGE_SIZE = 1024


def _silent(done: int, of: int) -> None:
    """Progress that nobody is told."""


def load(
    name: str,
    image_size: int | None = None,
    progress: cache.Progress = _silent,
    validation: float | None = None,
) -> DataSet:
    """A data set by its name here, by a path, or by its name on the hub (OWNER/NAME).

    Args:
        name: ``digits``; a folder of IDX files, of CIFAR's binary form, of parquet files, or with a folder of
            images for each class; a parquet file; a name on the hub.
        image_size: the side of the square that each image is brought to; None leaves them as they are.
        progress: is told how many images are decoded, the first time.
        validation: the share of the images that is held back to judge by (``DataSet.validation_share``);
            None for the data's own.

    Raises:
        InvalidInput: there is none of that name, or it cannot be read; one line says why.
    """
    return _split(_found(name, image_size, progress), validation)


def _split(found: DataSet, validation: float | None) -> DataSet:
    """A data set with a share for validation, if one is given."""
    return found if validation is None else replace(found, validation_share=validation)


def _found(name: str, image_size: int | None, progress: cache.Progress) -> DataSet:
    """A data set with a share for validation of its own."""
    if image_size is not None and not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise InvalidInput("image_size", f"{image_size} is out of range", f"give 1..{MAX_IMAGE_SIZE}")
    if not name:
        raise InvalidInput("data", "it is empty", f"give one of {', '.join(data_sets)}, or a path")
    path = Path(name).expanduser()
    if name in data_sets and image_size is None:
        return data_sets.get(name)
    if path.is_dir():
        return _of_folder(path, image_size, progress)
    if path.exists():
        _refuse_file(path)
        return _of_hub(str(path), path.stem, image_size, progress)
    if name in data_sets:
        raise InvalidInput("image_size", f"'{name}' has a size of its own", "leave it out")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _of_hub(name, name, image_size, progress)
    problem = f"'{name}' is neither a data set here ({', '.join(data_sets)}) nor a path"
    raise InvalidInput("data", problem, "give one of these, or OWNER/NAME on the hub")


def decoded(
    name: str, digest: str, image_size: int | None = None, validation: float | None = None
) -> DataSet | None:
    """A data set whose images this machine holds already, to look at them; nothing is fetched or decoded.

    Args:
        name: as ``load`` takes it.
        digest: of the data set (``DataSet.digest``), by which its decoded images are found; where that is
            empty, only what comes with bitnas can be found.
        image_size: as ``load`` takes it.
        validation: likewise.
    """
    if name == DIGITS:
        return _split(data_sets.get(name), validation)
    folder = cache.entry(cache.key_of(digest, image_size))
    found = cache.about(folder) if digest else None
    return None if found is None else _split(_data_set(Path(name).name, folder, found, digest), validation)


def canonical(name: str) -> str:
    """The name under which a search stores its data: paths are absolute, so that it goes on from anywhere."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in data_sets and path.exists() else name


def _of_folder(folder: Path, size: int | None, progress: cache.Progress) -> DataSet:
    for reader in (cifar_binary, idx):
        is_its = cifar_binary.is_cifar(folder) if reader is cifar_binary else idx.is_idx(folder)
        if is_its:
            files = {path.name: path for path in reader.files(folder)}
            return _cached(folder, files, partial(reader.read, folder), size, progress)
    if cifar_binary.is_pickled(folder):
        problem = f"'{folder}' is CIFAR's pickled form, and a pickle runs whatever is in it"
        raise InvalidInput("data", problem, "take the binary form")
    if not any(folder.iterdir()):
        raise InvalidInput("data", f"'{folder}' is empty", "name the folder that holds the images")
    images = _images(folder)
    if images is None:
        _refuse_script(folder)
        return _of_hub(str(folder), folder.resolve().name, size, progress)
    return _cached(folder, images.files, images.read, size, progress, str(list(images.class_names)))


def _images(folder: Path) -> ImageFolder | DescribedFolder | None:
    """The images in a folder; None where it holds tables of them instead, or nothing.

    Raises:
        InvalidInput: it holds both, or images of no class.
    """
    files = visible(folder)
    tables = [p for p in files if Path(p[-1]).suffix.lower() in TABLE_SUFFIXES and not is_metadata(p)]
    loose = [p for p in files if is_image(p)]
    if not tables:
        refuse_unread(folder, files)
        if loose and any(map(is_metadata, files)):
            return DescribedFolder(folder, files)
        if loose and not has_images(files):
            problem = f"{place(loose[0])} is in no folder of a class"
            raise refused(folder, problem, "put the images of each class into a folder of its own")
    elif has_images(files):
        image = next(p for p in loose if len(p) > 1)
        problem = f"it holds tables, as {place(tables[0])}, and images, as {place(image)}"
        raise refused(folder, problem, "take the ones or the others away")
    return ImageFolder(folder, files) if has_images(files) else None


def _refuse_script(folder: Path) -> None:
    """Refuse a data set with a script that reads its tables or downloads it, as the hub has them.

    Raises:
        InvalidInput: there is one.
    """
    script = f"{folder.resolve().name}.py"
    if (folder / script).is_file():
        problem = (
            f"'{folder}' holds no images by class, but a script that reads it, {script}, which is not run"
        )
        raise InvalidInput("data", problem, "remove the script and give parquet, or give images by class")


def _cached(
    folder: Path,
    files: Mapping[str, Path],
    read: Callable[[], Collection],
    size: int | None,
    progress: cache.Progress,
    told: str = "",
) -> DataSet:
    """A folder's images, from the cache where they are there."""
    digest = cache.digest_of(files, told)
    entry = cache.entry(cache.key_of(digest, size))
    found = cache.about(entry) or cache.write(entry, read(), size, progress)
    return _data_set(folder.resolve().name, entry, found, digest)


def _of_hub(name: str, title: str, size: int | None, progress: cache.Progress) -> DataSet:
    from nas.data.hub import Hub

    with tempfile.TemporaryDirectory(prefix="bitnas-") as aside:
        hub = Hub(name, Path(aside))
        digest = cache.digest_of(hub.files, hub.told)
        folder = cache.entry(cache.key_of(digest, size))
        found = cache.about(folder) or cache.write(folder, hub.read(), size, progress)
        is_here = all(Path(file).is_file() for file in hub.files.values())
    return _data_set(title, folder, found, digest if is_here else "")


def _data_set(name: str, folder: Path, found: cache.About, digest: str) -> DataSet:
    height, width, channels = found.shape
    return DataSet(
        name,
        found.classes,
        (channels, height, width),
        lambda: cache.read(folder, found),
        validation_share=0.1,
        class_names=tuple(found.class_names),
        digest=digest,
    )


def _refuse_file(path: Path) -> None:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        problem = f"'{path.name}' may hold a pickle, and a pickle runs whatever is in it"
        raise InvalidInput("data", problem, "give images, parquet, IDX, or CIFAR's binary form")
    if path.suffix.lower() in ARCHIVE_SUFFIXES:
        raise InvalidInput("data", f"'{path.name}' is an archive", "unpack it and give the folder")
