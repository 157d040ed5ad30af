"""Ray clusters, an optional extra: the connection, what every node must have, how tasks share nodes, a map over them.

Each node has the same sources and environment as the driver, the process that was started with `--cluster`. Tasks run
on nodes with a results folder of their own; the driver alone writes results.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from common.config import is_whole_number
from common.errors import RelicError, one_line
from common.files import atomic_file, results_dir
from common.stack import installed

_INSTALL = "`make setup-cluster` in a checkout, else `pip install relic-compression[cluster]`"
HELP = "train and measure networks on a Ray cluster: auto, the one that this machine is part of, or HOST:PORT"
SOURCES = ("common", "papers")
PLACES = ("RELIC_CACHE", "RELIC_DATA")  # where a node has its own folders
REACH_SECONDS = 10
NODE_SECONDS = 120  # in which a node has to say what it has
RETRIES = 3

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Files = dict[str, bytes]  # by path, relative to some folder
Cores = tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """What one task takes of a node."""

    cores: int
    gpus: int

    def places(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many such tasks fit into nodes, each given by its resources as Ray names them."""
        kinds = [("CPU", self.cores), ("GPU", self.gpus)]
        return sum(min(int(node.get(kind, 0)) // taken for kind, taken in kinds if taken) for node in nodes)


def share_of(nodes: Sequence[Mapping[str, float]], tasks: int | None = None) -> Share:
    """Return what each of so many tasks at a time takes: a GPU where any node has one, and the most cores that fit.

    tasks: by default one for each GPU, else for each core; no more than that fit.
    """
    gpus = int(any(node.get("GPU", 0) >= 1 for node in nodes))
    most = Share(1, gpus).places(nodes)
    wanted = min(tasks or most, most)
    cores = max((int(node.get("CPU", 0)) for node in nodes), default=1)
    return next(
        (share for n in range(cores, 1, -1) if (share := Share(n, gpus)).places(nodes) >= wanted), Share(1, gpus)
    )


class Cluster:
    """A connection to a Ray cluster; `ray` is the package, for what runs tasks there."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.devices: set[str] = set()  # that measured something for `map`

    @property
    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of every node that is alive."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def share(self, tasks: int | None = None) -> Share:
        """Return what each of so many tasks at a time takes, see `share_of`."""
        return share_of(self.nodes, tasks)

    def submit(self, function: Callable[..., Any], share: Share, *arguments: Any, retries: int = 0) -> Any:
        """Start a task and return the reference of what it will return."""
        # A process that had a GPU keeps its memory: with one call a process, the next task finds the GPU free.
        options = {"num_cpus": share.cores, "num_gpus": share.gpus, "max_retries": retries, "max_calls": share.gpus}
        return self.ray.remote(**options)(function).remote(*arguments)

    def map(self, paper: str, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield `function(item)` of every item, in order; each is a task, which runs again where its worker is killed.

        Function and items are pickled; the paper's networks that are here are put into the results folder of each task.
        Raises RelicError that a task raised, and where its worker was killed again and again.
        """
        items = list(items)
        share = self.share(len(items))
        networks = contents(results_dir(), *(f"{base}models/*/{paper}/*/seed*/*" for base in ("", "smoke/")))
        sent = self.ray.put((networks, function))
        references = [
            self.submit(_value, share, [sent], item, share.cores, environment(), retries=RETRIES) for item in items
        ]
        try:
            for reference in references:
                value, device = self._value(reference)
                self.devices.add(device)
                yield value
        finally:
            for reference in references:
                self.ray.cancel(reference)

    def _value(self, reference: Any) -> tuple[Any, str]:
        try:
            returned = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError:  # a defect, with its traceback
            raise
        except self.ray.exceptions.RayError as error:
            raise RelicError(f"a task was lost {RETRIES + 1} times on the cluster ({type(error).__name__})") from None
        if isinstance(returned, RelicError):
            raise returned
        return returned

    @property
    def about(self) -> dict[str, str]:
        """Return what a table says of where it was measured, empty where that was not on the cluster."""
        nodes = len(self.nodes)
        where = f"a Ray cluster of {nodes} node{'s' if nodes > 1 else ''}"
        return {"device": " and ".join(sorted(self.devices)), "measured on": where} if self.devices else {}


@contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """Connect to a cluster whose nodes have what tasks need, None without an address.

    Raises RelicError where Ray is not installed or does not run there, and that names a node which lacks something.
    """
    if address is None:
        yield None
        return
    ray = _ray()
    try:
        if address != "auto":
            _check_reached(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, RuntimeError) as error:
        raise RelicError(
            f"--cluster {address}: no Ray cluster that this machine is part of ({one_line(error)}): `ray start --head` "
            "starts one, and `ray start --address HOST:PORT` lets another machine join it"
        ) from None
    try:
        _check_nodes(ray)
        there = Cluster(ray)
        if not there.share().places(there.nodes):
            raise RelicError(
                f"--cluster {address}: none of its nodes has a core for tasks: let another machine join it"
            )
        yield there
    finally:
        ray.shutdown()


def _ray() -> Any:
    """Return the package, or raise RelicError that says how to install it."""
    if not installed("ray"):
        raise RelicError(f"--cluster needs Ray: {_INSTALL}")
    try:
        import_module("pyarrow")  # which Ray takes where it is there, and fails late where it cannot be imported
        return import_module("ray")
    except ImportError as error:
        raise RelicError(f"--cluster needs Ray, which cannot be imported ({one_line(error)}): {_INSTALL}") from None


def _check_reached(address: str) -> None:
    """Raise RelicError for what is no address, OSError where nothing listens there: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not is_whole_number(port):
        raise RelicError(f"--cluster {address}: neither auto nor HOST:PORT")
    with socket.create_connection((host, int(port)), timeout=REACH_SECONDS):
        pass


# --- what nodes must have ------------------------------------------------------------------------------------------


def _check_nodes(ray: Any) -> None:
    """Raise RelicError that names a node without these very sources, or without the folder of data sets."""
    affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    task = ray.remote(num_cpus=0, max_retries=0)(lacking)
    asked = {
        node["NodeManagerAddress"]: task.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote(
            sources_digest(), environment()
        )
        for node in ray.nodes()
        if node["Alive"]
    }
    for name, reference in asked.items():
        try:
            said = ray.get(reference, timeout=NODE_SECONDS)
        except (ray.exceptions.RayError, ImportError) as error:
            reason = "no package `common`" if isinstance(error, ImportError) else type(error).__name__
            said = f"cannot run a task ({reason}): start Ray there in the environment of the same checkout"
        if said:
            raise RelicError(f"node {name} of the cluster {said}")


def lacking(digest: str, settings: Mapping[str, str]) -> str:
    """Return what this node lacks, with how to mend it; empty where it has all."""
    take_over(settings)
    if sources_digest() != digest:
        return "has other sources than this machine: check out the same commit, and start Ray in its environment"
    data = os.environ.get("RELIC_DATA")
    if data and not Path(data).expanduser().is_dir():
        return f"has no folder {data}: put the data sets there, or start Ray there with RELIC_DATA naming their folder"
    return ""


def sources_digest() -> str:
    """Return the sha256 of all sources that tasks run."""
    root, whole = sources_root(), hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (root / name).rglob("*.py")):
        whole.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return whole.hexdigest()


def sources_root() -> Path:
    """Return the folder that holds this package."""
    return Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """Return the driver's settings that tasks take over: stack and backend, limits, folders where a node names none."""
    names = [name for name in os.environ if name.startswith("RELIC_") or name == "KERAS_BACKEND"]
    settings = {name: os.environ[name] for name in names if name != "RELIC_RESULTS"}
    return {name: os.path.abspath(os.path.expanduser(v)) if name in PLACES else v for name, v in settings.items()}


def take_over(settings: Mapping[str, str]) -> None:
    """Take over the driver's settings in a task, before anything of a stack is imported."""
    os.environ.update({name: os.environ.get(name, v) if name in PLACES else v for name, v in settings.items()})


# --- on a node -----------------------------------------------------------------------------------------------------


@contextmanager
def task_folder(settings: Mapping[str, str]) -> Iterator[None]:
    """Take over settings, and have a results folder that ends with the task; remove those of tasks that were killed."""
    take_over(settings)
    base = _own_folder("tasks")
    for folder in base.iterdir():
        with suppress(FileNotFoundError), _lock(folder) as is_left:  # another task may be removing it
            if is_left:
                shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=base) as results, _lock(Path(results)):
        os.environ["RELIC_RESULTS"] = results
        yield


@contextmanager
def own_cores(count: int) -> Iterator[Cores]:
    """Keep to so many cores that no other task of this machine keeps to; to all where so many are not free."""
    folder = _own_folder("cores")
    allowed = os.sched_getaffinity(0)
    own: set[int] = set()
    with ExitStack() as held:
        for core in sorted(allowed):
            (folder / str(core)).touch()
            if len(own) < count and held.enter_context(_lock(folder / str(core))):
                own.add(core)
        kept = own if len(own) == count else allowed
        os.sched_setaffinity(0, kept)
        try:
            yield tuple(sorted(kept))
        finally:
            os.sched_setaffinity(0, allowed)


def _own_folder(name: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"relic-{name}-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold a file or folder, which a process that ends in any way lets go of; False where another one holds it."""
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = True
    except BlockingIOError:
        is_held = False
    try:
        yield is_held
    finally:
        os.close(number)


def _value(sent: Sequence[Any], item: Any, cores: int, settings: Mapping[str, str]) -> Any:
    """Return (function(item), device), or the RelicError that it raises.

    In a list, `sent` comes as a reference: the function's modules must not be imported before the settings are there.
    """
    with task_folder(settings), own_cores(cores):
        ray: Any = import_module("ray")
        networks, function = ray.get(sent[0])
        write(results_dir(), networks)
        from common import backend

        try:
            return function(item), backend.device()
        except RelicError as error:
            return RelicError(str(error))


# --- files ---------------------------------------------------------------------------------------------------------


def contents(folder: Path, *patterns: str) -> Files:
    """Return the files of a folder that match a pattern, by their path in it."""
    paths = dict.fromkeys(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def write(folder: Path, files: Files) -> None:
    """Write files into a folder, each atomically, in their order."""
    for name, data in files.items():
        with atomic_file(folder / name) as file:
            file.write(data)
