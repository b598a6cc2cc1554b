"""The Prometheus text of the surface (App Mesh, metrics; text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Labels = Mapping[str, str]


class Family(NamedTuple):
    """One metric: its name, kind and help, and a value for each set of labels."""
    name: str
    kind: str
    about: str
    samples: list[tuple[Labels, float]]


APP_FAMILIES = (
    ("appmesh_application_process_starts_total", "counter", "Accepted starts of an application's process", "starts"),
    ("appmesh_application_metrics_collection_errors_total", "counter", "Looks at an application's processes that failed",
     "errors"),
    ("appmesh_application_process_id", "gauge", "Process id of an application, or zero while it is stopped", "pid"),
    ("appmesh_application_process_resident_memory_bytes", "gauge", "Resident memory of an application's process tree", "memory"),
    ("appmesh_application_process_cpu_usage_cores", "gauge", "Processor use of an application's process tree, in cores", "cores"),
    ("appmesh_application_process_open_fds", "gauge", "Open file descriptors of an application's process tree", "fds"),
    ("appmesh_application_enabled", "gauge", "Whether an application is enabled", "enabled"),
    ("appmesh_application_running", "gauge", "Whether an application's process runs", "running"),
    ("appmesh_application_healthy", "gauge", "Whether an application runs and is healthy", "healthy"),
)


def text(families: Iterable[Family], host: str) -> str:
    """All families; every series also says which host it is of, labels sorted by name."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels({**labels, 'host': host})} {_number(value)}" for labels, value in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(labels[name])}"' for name in sorted(labels)) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def status_class(status: int) -> str:
    return f"{status // 100}xx"


def pattern(path: str) -> str:
    """`/appmesh/app/:param/output` of `/appmesh/app/{app}/output`."""
    return "/".join(":param" if part.startswith("{") else part for part in path.split("/"))
