"""`glomo-spacy ablate`: pipelines with different features, on different amounts of data, with several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple

import typer

from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from ._ablation_cell import Job
    from ._ablation_figures import Figures


def ablate_cli(
    ctx: typer.Context,
    config_path: Path = Arg(
        ..., metavar="CONFIG", help="Training config of spaCy with an [ablation] section", exists=True, dir_okay=False
    ),
    output: Path = Opt(Path("ablation"), "--output", "-o", help="Folder for cells and tables"),
    features: List[str] = Opt([], "--features", "-f", help="Only this feature; may be repeated"),
    sizes: List[float] = Opt([], "--sizes", "-s", help="Only this share of the training data; may be repeated"),
    seeds: List[int] = Opt([], "--seeds", "-S", help="Only this seed; may be repeated"),
    workers: int = Opt(1, "--workers", "-w", min=1, help="Processes that share the cells, one thread each"),
    table_only: bool = Opt(False, "--table-only", help="Train nothing; show what is finished"),
    keep_models: bool = Opt(False, "--keep-models", help="Keep the pipeline of each cell; default: its figures only"),
    force: bool = Opt(False, "--force", "-F", help="Make finished cells again whose config has changed"),
    code: Optional[Path] = Opt(
        None, "--code", "-c", help="Python file with registered functions of your own", exists=True, dir_okay=False
    ),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU to use, -1 for the CPU"),
) -> None:
    """
    Train spaCy pipelines for every feature, share of the training data and seed that the config's [ablation] section
    names, score each once on the test corpus, and compare: means and deviations, differences to the first feature with
    the 95 % interval of a paired bootstrap, words per second and size on disk, as table.md, table.json and plot.png.

    Stop it at any time: finished cells stay, and the same command goes on from there. Settings are overridden as in
    spaCy: --paths.train corpus/train.spacy. Examples:

    glomo-spacy ablate ablation.cfg -o results --workers 2

    glomo-spacy ablate ablation.cfg -o results -f none -f elmo -s 0.1
    """
    from ..training.config import parse_overrides

    try:
        figures = ablate(
            config_path,
            output,
            overrides=parse_overrides(ctx.args),
            features=features,
            sizes=sizes,
            seeds=seeds,
            workers=workers,
            table_only=table_only,
            keep_models=keep_models,
            force=force,
            code=code,
            use_gpu=gpu_id,
            show_progress=True,
        )
    except KeyboardInterrupt:
        typer.secho("Stopped. Finished cells are kept; the same command goes on from there.", fg="yellow", err=True)
        raise typer.Exit(130) from None
    _show(figures, output)


def ablate(
    config_path: Path,
    output: Path,
    *,
    overrides: Optional[Mapping[str, Any]] = None,
    features: Sequence[str] = (),
    sizes: Sequence[float] = (),
    seeds: Sequence[int] = (),
    workers: int = 1,
    table_only: bool = False,
    keep_models: bool = False,
    force: bool = False,
    code: Optional[Path] = None,
    use_gpu: int = -1,
    show_progress: bool = False,
) -> "Figures":
    """Make the cells that are missing, then the tables of all that are finished.

    config_path (Path): A training config of spaCy with an [ablation] section: see `AblationSection`.
    output (Path): Folder for `cells/FEATURE/SIZE/SEED`, `table.md` and `table.json`.
    overrides (Optional[Mapping[str, Any]]): Settings by dotted name.
    features, sizes, seeds (Sequence): Make only these cells. Empty: all. The tables show every finished cell.
    workers (int): Processes that share the cells, one thread each.
    table_only (bool): Make no cell.
    keep_models (bool): Leave each scored pipeline in its cell.
    force (bool): Make finished cells again if their config has changed.
    code (Optional[Path]): Python file with the user's own registered functions.
    use_gpu (int): GPU, or -1 for the CPU.
    show_progress (bool): Print a line for each cell.
    RETURNS (Figures): What the tables show.
    RAISES: As `Ablation` and its methods; ValueError G975 if a finished cell had other settings, before any is made;
        RuntimeError G969 if cells failed, after all others, and G973 if a process ended; ValueError G974 for a score
        that no finished cell has.
    """
    from spacy.util import import_file

    from ._ablation_figures import gather_figures
    from ._ablation_plan import Ablation
    from ._ablation_table import write_tables
    from ._ablation_work import find_missing, make_cells

    if code is not None:
        import_file("python_code", code)
    ablation = Ablation(config_path, overrides)
    if not table_only:
        chosen = ablation.cells(features, sizes, seeds)
        jobs = find_missing(
            ablation, chosen, output=output, force=force, keep_model=keep_models, code=code, use_gpu=use_gpu
        )
        report = _Report(len(jobs), n_finished=len(chosen) - len(jobs), show=show_progress)
        make_cells(jobs, report=report, workers=workers)
        report.raise_failures()
    figures = gather_figures(output, ablation.cells(), scores=ablation.section.scores)
    write_tables(figures, output)
    return figures


class _Report:
    """A line for each cell, and the failures for the end."""

    def __init__(self, n_cells: int, *, n_finished: int, show: bool) -> None:
        self.n_cells, self.show = n_cells, show
        self.n_reported = 0
        self.failures: List[Tuple[Job, str]] = []
        if show and n_finished:
            typer.echo(f"{n_finished} finished cells are kept, {n_cells} are to be made.")

    def __call__(self, job: "Job", reason: Optional[str]) -> None:
        from ._ablation_cell import read_result

        self.n_reported += 1
        place = f"{self.n_reported}/{self.n_cells} {job.name}"
        if reason is not None:
            self.failures.append((job, reason))
            if self.show:
                typer.secho(f"✘ {place}: {reason}", fg="red", err=True)
        elif self.show:
            result = read_result(job.folder)
            found = [(name, result["scores"].get(name)) for name in job.scores]
            scores = ", ".join(f"{name} {'-' if score is None else f'{100 * score:.2f}'}" for name, score in found)
            typer.secho(f"✔ {place}: {scores}, {result['seconds']:,.0f} s", fg="green")

    def raise_failures(self) -> None:
        """Raise G969 (RuntimeError) if a cell failed."""
        if self.failures:
            job, reason = self.failures[0]
            n_failed = len(self.failures)
            text = Errors.G969.format(
                n_failed=n_failed, n_cells=self.n_cells, name=job.name, reason=reason, path=job.folder
            )
            raise RuntimeError(text)


def _show(figures: "Figures", output: Path) -> None:
    from ._ablation_table import PLOT, draw_plot, print_tables

    print_tables(figures)
    if left := figures.n_cells - figures.n_finished:
        typer.secho(f"{left} of {figures.n_cells} cells are not finished.", fg="yellow")
    try:
        draw_plot(figures, output)
    except ImportError as error:
        typer.secho(f"No {PLOT}: {error}", fg="yellow", err=True)
    typer.secho(f"✔ {output}", fg="green")
