"""The pretraining loop: one for all objectives, on one CPU thread or on many GPUs, resumable bit for bit.

A run is a directory: `model-best` and `model-last` (checkpoints to use), `training/` (states to go on from),
`log.jsonl`, `config.cfg`. Weights are written only after an evaluation that went well, or when the run is interrupted,
so a run that breaks keeps its last good ones.
"""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, TextIO, Union, cast

import torch
from confection import Config

from ..errors import Errors
from ..models.checkpoint import save_checkpoint
from . import resume as states
from .averaging import AVERAGES, build_average
from .budget import Budget, Progress
from .config import Paths, Pretraining, System, build_choice, build_section, check_sections
from .devices import launch_fabric, to_device
from .initialize import initialize_from
from .interrupt import StopRequest, stop_on_signal
from .loggers import RunLog
from .meters import Clock, LossMeter
from .objectives import build_objective
from .optimizers import OPTIMIZERS, awaken, set_factor
from .provenance import describe_machine, describe_run
from .schedules import SCHEDULES

SECTIONS = ("paths", "system", "model", "corpora", "pretraining")
BEST, LAST, CONFIG = "model-best", "model-last", "config.cfg"


def pretrain(
    config: Mapping[str, Any],
    *,
    output: Optional[Union[str, Path]] = None,
    resume: bool = False,
    init_from: Optional[Union[str, Path]] = None,
    exclude: Sequence[str] = (),
    stream: Optional[TextIO] = None,
    resume_hint: str = "the same config and resume=True",
) -> Dict[str, Any]:
    """Train the config's objective until its budget is used, its schedule ends or somebody presses Ctrl-C.

    config (Mapping[str, Any]): Sections [paths], [system], [model], [corpora], [pretraining], as in `configs/`.
    output (Optional[Union[str, Path]]): The run's directory; None: `paths.output`.
    resume (bool): Go on from the newest state in `output`, to the same weights as a run that was never stopped.
    init_from (Optional[Union[str, Path]]): Checkpoint whose weights are the start, see `initialize_from`.
    exclude (Sequence[str]): Patterns of weights that `init_from` leaves alone.
    stream (Optional[TextIO]): Where the table is written, e.g. `sys.stdout`; None: nowhere.
    resume_hint (str): How to go on, named when the run is stopped early.
    RETURNS (Dict[str, Any]): `is_finished`, the fields of `Progress`, and the last evaluation's measures.
    RAISES: ValueError G100, G140-G147, G300, G304-G306, G314 for the config; G308-G311 for what `output` holds, all
        before any work; RuntimeError G303 or G307 when training goes wrong.
    """
    check_sections(config, known=SECTIONS)
    paths = build_section(Paths, name="paths", values=config.get("paths"))
    system = build_section(System, name="system", values=config.get("system"))
    settings = build_section(Pretraining, name="pretraining", values=config.get("pretraining"))
    target = output or paths.output
    for name, value in (("corpus", paths.corpus), ("output", target)):
        if not value:
            raise ValueError(Errors.G147.format(name=name))
    run = Run(config, system=system, settings=settings, output=Path(str(target)), resume=resume, stream=stream)
    try:
        if init_from is not None and not resume:
            run.initialize(init_from, exclude=exclude)
        with stop_on_signal() as stop:
            run.train(stop, resume_hint=resume_hint)
    finally:
        run.log.close()
    return run.result


class Run:
    """One run: its objective, optimiser and schedule, and how far it is.

    config (Mapping[str, Any]): The whole config, kept beside the results.
    system (System), settings (Pretraining): Its checked sections.
    output (Path): The run's directory.
    resume (bool): Go on from the newest state there.
    stream (Optional[TextIO]): Where the table is written.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        system: System,
        settings: Pretraining,
        output: Path,
        resume: bool,
        stream: Optional[TextIO],
    ) -> None:
        self.config, self.system, self.settings, self.output = config, system, settings, output
        self.progress, self.budget = Progress(), Budget.from_settings(settings)
        self.schedule = build_choice(SCHEDULES, name="pretraining.schedule", values=settings.schedule)
        optimizer = build_choice(OPTIMIZERS, name="pretraining.optimizer", values=settings.optimizer)
        average = settings.average
        trigger = build_choice(AVERAGES, name="pretraining.average", values=average) if average else None
        states.check_output(output, resume=resume)
        self.fabric = launch_fabric(system)
        torch.manual_seed(system.seed)
        rank, world_size = self.fabric.global_rank, self.fabric.world_size
        self.objective = build_objective(config, seed=system.seed, rank=rank, world_size=world_size)
        self.model = self.objective.model
        self.objective.loss.to(self.fabric.device)
        self.optimizer = optimizer.build(self.model)
        self.average = build_average(self.model, decay=settings.average_decay, trigger=trigger)
        self._meter, self._clock = LossMeter(self.fabric), Clock(self.fabric)
        self._learn_rate, self._norm = 0.0, torch.zeros(())  # of the last step
        self.result: Dict[str, Any] = {}
        self.origin: Dict[str, Any] = {}  # of the first weights, if they came from a checkpoint
        if resume:
            self._load()
        else:
            torch.manual_seed(system.seed + self.fabric.global_rank)  # dropout differs between processes
        loss: Any = torch.compile(self.objective.loss) if system.compile else self.objective.loss
        self._loss, self._stepper = self.fabric.setup(loss, self.optimizer)
        is_writer, step, tensorboard = self.fabric.is_global_zero, self.progress.step, settings.tensorboard
        self.log = RunLog(output, stream=stream, tensorboard=tensorboard, is_writer=is_writer, resumed_step=step)

    def initialize(self, directory: Union[str, Path], *, exclude: Sequence[str]) -> None:
        """Take weights from a checkpoint and say which."""
        objective = self.objective
        own: Dict[str, Any] = {"kind": objective.kind, "vocab": objective.vocab, "indexer": objective.indexer}
        report = initialize_from(self.model, directory, **own, exclude=exclude, optimizer=self.optimizer)
        self.average.restart()
        self.origin = report.origin
        self.log.say(report.summary())
        self.log.record("initialize", 0, source=str(directory), **asdict(report))

    def train(self, stop: StopRequest, *, resume_hint: str) -> None:
        """Step, log and evaluate until the run ends."""
        if self.fabric.is_global_zero:
            Config(dict(self.config)).to_disk(self.output / CONFIG)
        self.log.record("start", self.progress.step, seed=self.system.seed, **describe_machine(self.fabric))
        self.objective.loss.train()
        self._clock.start(self.progress)
        while not self._is_finished:
            self._step()
            step = self.progress.step
            is_logged, is_evaluated = step % self.settings.log_every == 0, step % self.settings.evaluate_every == 0
            if is_logged or is_evaluated:
                self._log_training()
            self._clock.tick(self.progress, stop, is_shared=is_logged)
            if is_evaluated:
                self._evaluate()
            elif self.settings.save_every is not None and step % self.settings.save_every == 0:
                self._save_between()
            if self._clock.is_stopping:
                break
        if not self._is_finished:
            self._save_between()
            self.log.say(f"Stopped at step {self.progress.step}. Continue with: {resume_hint}")
        elif self.progress.evaluated_step < self.progress.step:
            self._evaluate()
        self.result = {**self.result, **asdict(self.progress), "is_finished": self._is_finished}

    @property
    def _is_finished(self) -> bool:
        has_stalled = self.progress.has_stalled(self.settings.patience)
        return self.budget.used(self.progress) >= 1 or self.schedule.is_finished or has_stalled

    def _step(self) -> None:
        """One update of the weights. Nothing here waits for the GPU."""
        progress, n_batches = self.progress, self.settings.accumulate
        used = self.budget.used(progress)
        factor = self.schedule.factor(used)
        awaken(self.optimizer, used, is_shared=self.fabric.world_size > 1)
        for index in range(n_batches):
            batch = next(self.objective.batches)
            progress.tokens += batch[0].numel() * self.fabric.world_size
            is_last = index == n_batches - 1
            with nullcontext() if is_last else self.fabric.no_backward_sync(self._loss):
                loss = self._loss(*(to_device(tensor, self.fabric.device) for tensor in batch))
                self.fabric.backward(loss / n_batches if n_batches > 1 else loss)
            self._meter.add(loss.detach())
        if (clip := self.settings.clip) is not None:
            norm = self.fabric.clip_gradients(self._loss, self._stepper, max_norm=clip, error_if_nonfinite=False)
            self._norm = cast(torch.Tensor, norm)
        self._learn_rate = set_factor(self.optimizer, factor * self.objective.batches.rate_factor)
        self._stepper.step()
        self._stepper.zero_grad()
        self.average.update()
        progress.step += 1
        progress.epoch = self.objective.batches.epoch
        if self.log.is_drawing:
            self._draw_progress()

    def _log_training(self) -> None:
        """Read the loss, which waits for the GPU, and write a line of the log."""
        loss = self._meter.read()
        self._check_loss(loss)
        progress = self.progress
        self.log.record(
            "train",
            progress.step,
            loss=loss,
            gradient_norm=float(self._norm) if self.settings.clip is not None else None,
            learn_rate=self._learn_rate,
            tokens=progress.tokens,
            epoch=progress.epoch,
            seconds=progress.seconds,
            tokens_per_second=self._clock.speed(progress),
        )

    def _check_loss(self, loss: float) -> None:
        if not loss <= self.objective.worst_loss:  # nor if it is not a number
            raise RuntimeError(Errors.G307.format(loss=loss, step=self.progress.step, output=self.output))

    def _evaluate(self) -> None:
        """Measure held-out text, write the checkpoints and the state."""
        progress, model = self.progress, self.objective.loss
        model.eval()
        with self.average.in_place():
            measures = self.objective.evaluate(self.fabric.device)
            self._check_loss(measures["loss"])
            is_best = progress.note(measures["loss"], self.objective.score(measures))
            self.schedule.after_evaluation(improved=is_best)
            row = {
                "learn_rate": self._learn_rate,
                "train_loss": self._meter.read_interval(),
                "tokens_per_second": self._clock.speed(progress),
                **asdict(progress),
                **measures,
            }
            self._report(row, note="best" if is_best else "")
            for folder in (LAST, BEST) if is_best else (LAST,):
                self._save_checkpoint(self.output / folder, measures)
        model.train()
        self.average.after_evaluation(measures["loss"])
        self.result = row
        self._save()
        self._clock.start(self.progress)

    def _report(self, row: Dict[str, Any], *, note: str) -> None:
        warning, left = self.objective.warnings(row), self.budget.seconds_left(self.progress)
        self.log.row(row, shown=self.objective.shown, seconds_left=left, note=note)
        self.log.record("evaluation", **row)
        if warning:
            self.log.say(warning)

    def _draw_progress(self) -> None:
        progress, speed = self.progress, self._clock.speed(self.progress)
        used, left = self.budget.used(progress), self.budget.seconds_left(progress)
        self.log.progress(used=used, tokens=progress.tokens, speed=speed, seconds_left=left)

    def _save_checkpoint(self, folder: Path, measures: Dict[str, Any]) -> None:
        if not self.fabric.is_global_zero:
            return
        objective = self.objective
        meta = describe_run(
            self.config,
            objective=objective,
            progress=self.progress,
            fabric=self.fabric,
            measures=measures,
            origin=self.origin,
        )
        save_checkpoint(folder, self.model, indexer=objective.indexer, vocab=objective.vocab, meta=meta)

    def _save_between(self) -> None:
        """Write the state where nothing is evaluated."""
        self._check_loss(self._meter.peek())
        self._save()
        self._clock.start(self.progress)

    def _save(self) -> None:
        """Write everything the run needs to go on; every process adds its own part."""
        own = {
            "batches": self.objective.batches.state_dict(),
            "objective": self.objective.state_dict(),
            "random": states.random_state(self.fabric.device),
            "meter": self._meter.state_dict(),
        }
        ranks = states.gather(own, world_size=self.fabric.world_size)
        if not self.fabric.is_global_zero:
            return
        tensors = states.run_tensors(self.model, self.optimizer, self.average)
        values = {
            "progress": asdict(self.progress),
            "schedule": self.schedule.state_dict(),
            "average": self.average.progress(),
            "origin": self.origin,
            "config": dict(self.config),
            "result": self.result,
            "ranks": ranks,
            "optimizer": type(self.optimizer).__name__,
            "parameters": states.parameter_names(self.optimizer, self.model),
        }
        states.save_state(self.output, step=self.progress.step, tensors=tensors, values=values)

    def _load(self) -> None:
        """Undo `_save`."""
        tensors, values = states.load_newest(self.output, config=self.config, world_size=self.fabric.world_size)
        states.load_run_tensors(tensors, self.model, self.optimizer, self.average)
        self.progress, self.result = Progress(**values["progress"]), values["result"]
        self.schedule.load_state_dict(values["schedule"])
        self.average.load_progress(values.get("average", {}))
        self.origin = values.get("origin", {})
        own = values["ranks"][self.fabric.global_rank]
        self.objective.batches.load_state_dict(own["batches"])
        self.objective.load_state_dict(own.get("objective", {}))
        self._meter.load_state_dict(own["meter"])
        states.set_random_state(own["random"], self.fabric.device)
