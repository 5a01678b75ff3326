"""The whole: fit a cohort, sample synthetic patients, save and load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import polars as pl

from longsynth.artifact import read_artifact, write_artifact
from longsynth.budget import PrivacyBudget, PrivacyLedger
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import counted
from longsynth.cohort.formats.stream import cohort_writer
from longsynth.encoding import CohortEncoder
from longsynth.encoding.acceptance import Where, acceptance
from longsynth.exceptions import ArtifactError, CohortError, ConfigError, NotFittedError, PrivacyError
from longsynth.generators.earlier_fits import check_counted, check_unspent, remember, spent_by
from longsynth.generators.fit import fit_model
from longsynth.generators.folder import paid_events
from longsynth.generators.model import Model
from longsynth.generators.private_fit import fit_private
from longsynth.generators.settings import FitSettings
from longsynth.generators.state import model_from_state, model_state
from longsynth.schema.types import Schema
from longsynth.seeding import child_seed
from longsynth.training.accounting import epsilon_of
from longsynth.training.noise import SecretRandomness
from longsynth.training.plan import plan_for
from longsynth.training.threads import one_thread
from longsynth.training.trainer import Hardware, is_main_process

MIN_PATIENTS = 20
MANY_VISITS = 50_000
PART = 10_000


class Synthesizer:
    """Learns a cohort and draws synthetic ones.

    Parameters
    ----------
    seed : int
        Equal seeds and data give an equal fit on the same machine.
    objective : {"hybrid", "likelihood", "adversarial"}
        ``hybrid``: likelihood, then adversarial refinement with the likelihood as anchor, kept only where it beats
        as many steps of likelihood alone on held-out patients. ``likelihood``: that alone. ``adversarial``: a pure
        GAN, without likelihood.
    backbone : {"recurrent", "transformer"}
        How the history of a patient is read.
    privacy : PrivacyBudget or None
        Fit with differential privacy for the whole patient. The schema must then declare what is otherwise read off
        the data; the objective is ``likelihood`` also where ``hybrid`` is asked for, since a refinement that looks at
        held-out patients would cost more of the budget than it gives; the network reads the history by carried
        statistics alone, whatever the backbone. None: no such guarantee.
    after : sequence of PrivacyLedger
        Of earlier fits of the same patients (one that counted others stands for them too): the budget covers them and
        the new fit together. A fit in the same process that leaves one out is refused.
    accelerator, devices, strategy, precision
        Passed to Lightning's Trainer.

    Attributes
    ----------
    schema : Schema
        Of the train cohort, after :meth:`fit`.
    training_record : dict
        What happened in each stage: epochs, held-out likelihood, what refinement was kept and why. No patient's data.
    ledger : PrivacyLedger or None
        Every spend of a private fit. Smaller epsilon is stronger privacy.

    Examples
    --------
    >>> import longsynth as ls
    >>> train, holdout = ls.split(ls.load_pbc(), holdout=0.3, seed=0)
    >>> synthesizer = ls.Synthesizer(seed=0).fit(train)  # doctest: +SKIP
    >>> arm = synthesizer.sample(300, where={"trt": 1}, seed=1)  # doctest: +SKIP
    """

    def __init__(
        self,
        seed: int = 0,
        objective: Literal["hybrid", "likelihood", "adversarial"] = "hybrid",
        backbone: Literal["recurrent", "transformer"] = "recurrent",
        *,
        privacy: PrivacyBudget | None = None,
        after: Sequence[PrivacyLedger] = (),
        accelerator: str = "auto",
        devices: int | str | list[int] = 1,
        strategy: str = "auto",
        precision: str = "32-true",
    ) -> None:
        if objective not in ("hybrid", "likelihood", "adversarial"):
            raise ConfigError("objective must be 'hybrid', 'likelihood' or 'adversarial'")
        if backbone not in ("recurrent", "transformer"):
            raise ConfigError("backbone must be 'recurrent' or 'transformer'")
        if seed < 0:
            raise ConfigError("seed must be 0 or more")
        _check_budget(privacy, after, precision)
        self.seed, self.objective, self.backbone = seed, objective, backbone
        self.hardware = Hardware(accelerator, devices, strategy, precision)
        self.training_record: dict[str, Any] = {}
        self._ledger = None if privacy is None else PrivacyLedger(privacy, earlier=spent_by(after))
        self._model: Model | None = None

    @property
    def ledger(self) -> PrivacyLedger | None:
        """Every spend of a private fit; it belongs to that fit and cannot be exchanged."""
        return self._ledger

    @property
    def schema(self) -> Schema:
        """Schema of the train cohort."""
        return self._fitted().encoder.schema

    def fit(
        self, train: Cohort, *, work_dir: str | Path | None = None, resume: bool = False, progress: bool = False
    ) -> Synthesizer:
        """Learn a cohort.

        Parameters
        ----------
        train : Cohort
            The patients to learn from. Keep the holdout out of it.
        work_dir : path or None
            Where checkpoints and logs go. None: a temporary folder.
        resume : bool
            Carry on from the checkpoints in ``work_dir``, left by a fit of the same cohort and settings.
        progress : bool
            Show progress bars.

        Returns
        -------
        Synthesizer
            Itself, fitted.

        Raises
        ------
        CohortError
            If there are fewer than 20 patients (without a budget), or nothing to learn.
        ConfigError
            If ``resume`` finds checkpoints of another cohort or other settings.
        PrivacyError
            Under a budget: if the schema leaves facts open, delta is too large, the budget is already spent, or these
            patients were fitted under another one in this process and ``after`` leaves that out.
        """
        if resume and work_dir is None:
            raise ConfigError("resume needs the work_dir of the fit to carry on")
        _check_learnable(train, is_private=self.ledger is not None)
        if self.ledger is None:
            return self._learn(train, work_dir, resume, progress)
        check_unspent(self.ledger)
        check_counted(train, self.ledger, () if work_dir is None else paid_events(Path(work_dir)))
        try:
            return self._learn(train, work_dir, resume, progress)
        finally:
            remember(train, self.ledger)

    def refits(self, n_patients: int, n_refits: int = 10, seed: int = 0) -> Iterator[Synthesizer]:
        """Fit again and again to patients drawn from this synthesizer, with its settings and budget.

        This synthesizer is the truth of its refits, so that they show how far a fit's estimates are off the truth: by
        the error of so many patients, of the training, and of the noise of differential privacy. See
        :func:`~longsynth.evaluation.estimates.refitted_interval`. Only synthetic patients are looked at, so it costs
        no budget; each takes as long as a fit.

        Parameters
        ----------
        n_patients : int
            As many as this one was fitted to; of a private fit ``training_record["private"]["n_patients_noisy"]``,
            rounded.
        n_refits : int
            How many.
        seed : int
            Equal seeds give equal patients; under a budget never equal noise.

        Returns
        -------
        iterator of Synthesizer
            Each fitted when it is asked for.

        Raises
        ------
        ConfigError
            If there are fewer than 20 patients, or no refits, or the seed is below 0.
        """
        self._fitted()
        if n_patients < MIN_PATIENTS or n_refits < 1 or seed < 0:
            raise ConfigError(f"n_patients must be {MIN_PATIENTS} or more, n_refits 1 or more, and seed 0 or more")
        return (self._refit(n_patients, child_seed(seed, "refit", number)) for number in range(n_refits))

    def _refit(self, n_patients: int, seed: int) -> Synthesizer:
        again = Synthesizer(seed, self.objective, self.backbone, **asdict(self.hardware))
        if self.ledger is not None:
            again._ledger = PrivacyLedger(self.ledger.budget, earlier=self.ledger.earlier)
        return again._learn(self.sample(n_patients, seed=seed), None, resume=False, progress=False)

    def _learn(self, train: Cohort, work_dir: str | Path | None, resume: bool, progress: bool) -> Synthesizer:
        """Fit a cohort of either origin."""
        if self.ledger is not None and work_dir is None and not is_main_process():
            raise ConfigError("a private fit on several processes needs one work_dir that all of them can read")
        started = time.perf_counter()
        # under a budget nothing may follow from the exact number of visits
        small = self.ledger is not None or train.n_visits < MANY_VISITS
        with tempfile.TemporaryDirectory() as temporary, one_thread(small):
            settings = FitSettings(
                objective=self.objective,
                backbone=self.backbone,
                plan=plan_for(train.n_patients, self.objective),
                hardware=self.hardware,
                seed=self.seed,
                folder=Path(work_dir or temporary),
                resume=resume,
                progress=progress,
                is_kept=work_dir is not None,
            )
            if self.ledger is not None:
                self._model, self.training_record = fit_private(train, self.ledger, settings, SecretRandomness())
            else:
                self._model, self.training_record = fit_model(CohortEncoder().fit(train), train, settings)
        if self.ledger is None:  # how long it took tells how many patients and visits there are
            self.training_record["seconds"] = round(time.perf_counter() - started, 1)
        return self

    def sample(self, n: int, where: Where | None = None, seed: int = 0) -> Cohort:
        """Draw n synthetic patients.

        Parameters
        ----------
        n : int
            Number of patients, at least 1.
        where : polars.Expr, mapping or None
            A condition on static attributes, duration or event, or fixed values such as ``{"trt": 1}``. Patients
            follow the distribution given the condition.
        seed : int
            Equal seeds give equal patients.

        Returns
        -------
        Cohort
            Of origin ``synthetic``, with ids that say so.

        Raises
        ------
        ConfigError
            If the condition names what is no attribute, or hardly any patient meets it.
        """
        parts = [part.tables() for part in self._parts(n, where, seed)]
        static, visits = (pl.concat(tables) for tables in zip(*parts, strict=True))
        return Cohort(static, visits if self.schema.visit_time else None, schema=self.schema, origin="synthetic")

    def sample_to_files(
        self,
        n: int,
        folder: str | Path,
        where: Where | None = None,
        seed: int = 0,
        format: Literal["parquet", "csv"] = "parquet",
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Draw n synthetic patients straight into ``static`` and ``visits`` files, in constant memory.

        Parameters as in :meth:`sample`; equal arguments give equal patients.

        Parameters
        ----------
        n, where, seed
            As in :meth:`sample`.
        folder : path
            Where the files go; both appear complete, or none does.
        format : {"parquet", "csv"}
            File format and suffix.
        on_progress : callable or None
            Called with the number of patients written so far.
        """
        if format not in ("parquet", "csv"):
            raise ConfigError("format must be 'parquet' or 'csv'")
        parts = self._parts(n, where, seed)
        done = 0
        with cohort_writer(folder, format, has_visits=self.schema.visit_time is not None) as add:
            for part in parts:
                add(part)
                done += part.n_patients
                if on_progress is not None:
                    on_progress(done)

    def _parts(self, n: int, where: Where | None, seed: int) -> Iterator[Cohort]:
        model = self._fitted()
        if n < 1:
            raise ConfigError("n must be 1 or more")
        if seed < 0:
            raise ConfigError("seed must be 0 or more")
        accept = None if where is None else acceptance(model.encoder, where)
        digits = max(6, len(str(n)))
        for number, first in enumerate(range(0, n, PART)):
            size = min(PART, n - first)
            with one_thread():
                encoded = model.sample(size, child_seed(seed, "part", number), accept=accept)
            ids = [f"synthetic-{first + i + 1:0{digits}d}" for i in range(size)]
            yield model.encoder.inverse_transform(encoded, ids)

    def save(self, folder: str | Path) -> None:
        """Write the fitted synthesizer to a folder of safetensors and JSON: generators and encoder, nothing else.

        Of several training processes only the first one writes.
        """
        model = self._fitted()
        _check_guarantee(self.ledger, model, self.training_record)
        documents, tensors = model_state(model)
        if not is_main_process():
            return
        settings = {"seed": self.seed, "objective": self.objective, "backbone": self.backbone}
        record = {
            "settings": settings,
            "hardware": asdict(self.hardware),
            "training": self.training_record,
            "privacy": None if self.ledger is None else self.ledger.to_json(),
        }
        write_artifact(folder, documents | {"record": record}, tensors)

    def _fitted(self) -> Model:
        if self._model is None:
            raise NotFittedError("the synthesizer is not fitted; call fit(cohort) or longsynth.load(folder) first")
        return self._model


def load(folder: str | Path) -> Synthesizer:
    """Read a fitted synthesizer from the folder that :meth:`Synthesizer.save` wrote.

    Raises
    ------
    ArtifactError
        If the folder is not a whole, unaltered artifact of a version this longsynth can read.
    """
    documents, tensors = read_artifact(folder)
    try:
        record: Any = documents["record"]
        synthesizer = Synthesizer(**record["settings"])
        synthesizer.training_record = record["training"]
        if record.get("privacy") is not None:
            synthesizer._ledger = PrivacyLedger.from_json(record["privacy"], epsilon_of)
        synthesizer._model = model_from_state(documents, tensors)
        _check_guarantee(synthesizer.ledger, synthesizer._model, record["training"])
    except PrivacyError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise ArtifactError(f"{folder} is not a fitted synthesizer of this version; fit and save it again") from error
    return synthesizer


def _check_guarantee(ledger: PrivacyLedger | None, model: Model, training: Mapping[str, Any]) -> None:
    """Raise if a model would leave under another guarantee than that of its own fit."""
    digest = training.get("private", {}).get("ledger")
    if (ledger is not None) != model.encoder.is_private or digest != (None if ledger is None else ledger.digest):
        raise PrivacyError("the model and the ledger are not of the same fit. Fit again under the budget")


def _check_budget(privacy: PrivacyBudget | None, after: Sequence[PrivacyLedger], precision: str) -> None:
    if not isinstance(after, Sequence) or not all(isinstance(one, PrivacyLedger) for one in after):
        raise ConfigError("after must be ledgers of earlier private fits, such as [first.ledger]")
    if privacy is None:
        if after:
            raise ConfigError("earlier fits are counted by a budget; give privacy=PrivacyBudget(...) beside after")
        return
    if not isinstance(privacy, PrivacyBudget):
        raise ConfigError("privacy must be a budget, such as PrivacyBudget(epsilon=3, delta=1e-6)")
    if precision not in ("32-true", "32"):
        raise ConfigError(
            "under a budget the precision must be '32-true': with fewer digits a patient's gradient could be longer "
            "than what it is clipped to"
        )


def _check_learnable(train: Cohort, *, is_private: bool) -> None:
    """Raise if there is nothing to learn; under a budget without a look at how many patients or visits there are."""
    if not isinstance(train, Cohort):
        raise CohortError(
            f"a {type(train).__name__} cannot be fitted; make a cohort of the tables with longsynth.read_cohort"
        )
    if train.origin != "real":
        raise CohortError("the cohort is synthetic; fit a real one")
    if train.n_patients < MIN_PATIENTS and not is_private:
        raise CohortError(
            f"the cohort has {counted(train.n_patients, 'patient')}; with fewer than {MIN_PATIENTS} a generator would "
            "copy them. Use a larger cohort"
        )
    if not train.schema.static and train.schema.terminal_event is None and train.schema.visit_time is None:
        raise CohortError("the cohort has neither static attributes, nor a terminal event, nor visits to learn")
