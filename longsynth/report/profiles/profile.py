"""What a use of a synthetic cohort asks of it: checks with limits, and where each limit comes from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from longsynth.exceptions import ConfigError
from longsynth.schema.yaml_text import parse_yaml

Group = Literal["fidelity", "utility", "privacy"]
Rule = Literal["excess", "band", "value", "risk", "tpr", "copies", "budget"]
GROUPS: tuple[Group, ...] = ("fidelity", "utility", "privacy")
PROFILES = (
    "software_testing",
    "exploratory_analysis",
    "trial_design",
    "external_control_arm",
    "partner_sharing",
    "public_release",
)
OF_METRICS: tuple[Rule, ...] = ("excess", "band", "value")
OF_ATTACKS: tuple[Rule, ...] = ("risk", "tpr", "copies")


class Check(BaseModel):
    """One thing that is asked.

    Attributes
    ----------
    group : {"fidelity", "utility", "privacy"}
        Which of the three columns of the verdict it belongs to.
    title : str
        What is asked, in plain words.
    rule : str
        ``excess``: the value may be worse than the ceiling by at most ``limit``. ``band``: the value may not be worse
        than the 95 % band of the ceiling. ``value``: the value itself may be worse than `best` by at most ``limit``.
        ``risk``: the risk of an attack is at most ``limit``. ``tpr``: a membership attack finds at most ``limit`` of
        the members at 1 % false alarms. ``copies``: no more copies of members than of patients held out.
        ``budget``: epsilon is at most ``limit``.
    metrics : tuple of str
        Whose values for all patients are asked about; each is a line of its own, and so are the parts of metrics that
        have no value for the whole cohort.
    criteria : tuple of str
        Of the attacks that are asked about.
    worst_case : bool
        Whether the attacks on the most exposed patients count as well.
    limit : float or None
        In the units of what is limited. None where a limit is needed: only the user can give it, and until then the
        check is not assessed.
    source : str
        Who says so.
    needs : tuple of str
        What cohorts must have for the check to apply: visits, terminal event, arm.
    required : bool
        Whether it counts for the state of its group; if not, it is for information.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Group
    title: str
    rule: Rule
    metrics: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    worst_case: bool = False
    limit: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    source: str
    needs: tuple[Literal["visits", "terminal event", "arm"], ...] = ()
    required: bool = True

    @model_validator(mode="after")
    def _check(self) -> Check:
        if bool(self.metrics) != (self.rule in OF_METRICS):
            raise ValueError(f"the rule {self.rule} takes {'' if self.rule in OF_METRICS else 'no '}metrics")
        if bool(self.criteria) != (self.rule in OF_ATTACKS):
            raise ValueError(f"the rule {self.rule} takes {'' if self.rule in OF_ATTACKS else 'no '}criteria")
        if self.limit is not None and self.rule in ("band", "copies"):
            raise ValueError(f"the rule {self.rule} takes no limit")
        return self


class Profile(BaseModel):
    """A use case.

    Attributes
    ----------
    name, title : str
        As users give it, and in plain words.
    version : int
        Of its limits.
    statement : str
        What every verdict says first.
    checks : dict of str to Check
        By name.
    overrides : tuple of str
        What a user changed, one line each; printed with every verdict.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    version: int
    statement: str
    checks: dict[str, Check]
    overrides: tuple[str, ...] = ()


def load_profile(source: str | Path | Mapping[str, Any] | Profile) -> Profile:
    """Return a profile that ships with the package, or a user's own.

    Parameters
    ----------
    source : str, path, mapping or Profile
        The name of a profile (``"trial_design"`` or ``"trial design"``), a YAML file, or what such a file holds. With
        the key ``base`` it changes that profile: ``{"base": "trial_design", "checks": {"marginals": {"limit": 0.1}}}``;
        a check that is set to null is taken out. ``base`` may be such a file as well. Without ``base`` it is a whole
        profile.

    Returns
    -------
    Profile
        With every change in ``overrides``; the source of a changed limit is the user.

    Raises
    ------
    ConfigError
        If there is no such profile, or it contradicts itself; names the check and what is wrong with it.

    Examples
    --------
    >>> load_profile("trial design").title
    'Trial design and power planning'
    >>> load_profile({"base": "trial_design", "checks": {"marginals": {"limit": 0.1}}}).overrides
    ('marginals.limit: 0.1 instead of 0.05',)
    """
    if isinstance(source, Profile):
        return source
    if isinstance(source, Mapping):
        return _own(source, "the profile")
    name = str(source).replace(" ", "_").replace("-", "_")
    if name in PROFILES:
        return _validated(parse_yaml(files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")), name)
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"there is no profile and no file {str(source)!r}; profiles are {', '.join(PROFILES)}")
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable YAML file; correct it") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: a profile is a mapping with the key checks; correct it")
    return _own(document, str(path))


def _own(document: Mapping[str, Any], where: str) -> Profile:
    if "base" not in document:
        return _validated(dict(document), where)
    base = load_profile(str(document["base"])).model_dump()
    unknown = set(document) - {"base", "checks", "title", "name", "statement"}
    if unknown:
        raise ConfigError(f"{where}: unknown keys {', '.join(sorted(unknown))}; a changed profile has base and checks")
    merged = copy.deepcopy(base) | {key: document[key] for key in ("name", "title", "statement") if key in document}
    changes = [*base["overrides"], *(f"{key}: {document[key]}" for key in ("title", "statement") if key in document)]
    checks = document.get("checks") or {}
    if not isinstance(checks, Mapping):
        raise ConfigError(f"{where}: checks: a mapping from names of checks to what changes is needed; correct it")
    for name, change in checks.items():
        if change is None and name not in merged["checks"]:
            raise ConfigError(f"{where}: checks.{name}: there is no such check in {document['base']} to take out")
        if change is not None and not isinstance(change, Mapping):
            raise ConfigError(f"{where}: checks.{name}: a mapping is needed, for example {{limit: 0.1}}")
        changes += _override(merged["checks"], name, change)
    return _validated(merged | {"overrides": tuple(changes)}, where)


def _override(checks: dict[str, Any], name: str, change: Mapping[str, Any] | None) -> list[str]:
    """Change, add or take out one check; return what was done in words."""
    if change is None:
        del checks[name]
        return [f"{name}: taken out"]
    if name not in checks:
        checks[name] = dict(change)
        return [f"{name}: added"]
    before = checks[name]
    source = {"source": "user"} if "limit" in change else {}
    checks[name] = before | source | dict(change)
    return [f"{name}.{key}: {value} instead of {before.get(key)}" for key, value in change.items()]


def _validated(document: dict[str, Any], where: str) -> Profile:
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        ]
        raise ConfigError(f"{where}: {'; '.join(problems)}") from None
