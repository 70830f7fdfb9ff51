"""The one error of the installer: what is wrong, where, and what to do next."""


class SetupProblem(Exception):
    """A reason to stop before (or instead of) changing anything; its text is for the administrator."""
