"""The errors a user can meet; the CLI prints each as one line and exits with 1.

    OpticalError
    ├── DataError        a file or a record in it is not what it should be
    ├── ConfigError      a setting, a model name or an output path cannot be used
    └── DependencyError  an optional part is not installed (with the line that installs it)

Messages say what was expected, what was found and what to do. Programming mistakes stay
`ValueError` and `TypeError`.
"""


class OpticalError(Exception):
    """Root of the errors that are the user's to mend."""


class DataError(OpticalError):
    """A file or a record in it is not what it should be."""


class ConfigError(OpticalError):
    """A setting, a model name or an output path cannot be used."""


class DependencyError(OpticalError):
    """An optional part is not installed."""
