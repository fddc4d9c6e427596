"""Runs sections in two processes, each section in one of its own, so that none finds memory or caches of another."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib import import_module
from multiprocessing import get_context

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.eval.report import Part, Section

Job = tuple[Part, str]
PROCESSES = 2


def measured(part: Part, name: str, scale: float) -> tuple[Section, float]:
    """A section and the CPU seconds it took; runs in a process of its own."""
    began = time.process_time()
    section: Section = import_module(f"tests.eval.{name}").section(part, scale)
    return section, time.process_time() - began


def run(jobs: Sequence[Job], scale: float) -> dict[Job, Section]:
    """Every job, with progress on standard error; what fails is raised when the others are done."""
    done: dict[Job, Section] = {}
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(PROCESSES, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        futures: dict[Future[tuple[Section, float]], Job] = {}
        tasks = {}
        for job in jobs:
            futures[pool.submit(measured, *job, scale)] = job
            tasks[job] = progress.add_task(f"{job[1]}, {job[0]}", total=None)
        for future in as_completed(futures):
            job = futures[future]
            section, cpu_s = future.result()
            done[job] = section
            progress.update(tasks[job], total=1, completed=1, description=f"{job[1]}, {job[0]}: {cpu_s:.0f} s of CPU")
    return {job: done[job] for job in jobs}
