"""The errors longsynth raises on purpose. Each message says what is wrong, where, and what to do about it."""


class LongsynthError(Exception):
    """Base of every error that longsynth raises on purpose."""


class SchemaError(LongsynthError, ValueError):
    """The schema contradicts itself or is not one that longsynth can read."""


class CohortError(LongsynthError, ValueError):
    """The tables do not form a cohort under their schema."""


class ConfigError(LongsynthError, ValueError):
    """An argument or a setting is outside what is allowed."""


class NotFittedError(LongsynthError):
    """Something was used before it was fitted."""


class PrivacyError(LongsynthError):
    """A privacy guarantee was asked for that cannot be given."""


class ArtifactError(LongsynthError):
    """A saved synthesizer is damaged, altered, or of another version."""


class NotComputableError(LongsynthError):
    """A quantity has no value for these data; the message is the reason."""
