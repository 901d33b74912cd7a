"""How a command ends early."""


class UserError(Exception):
    """Something the user can put right; one line that says what is wrong and what is allowed."""


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The user stopped the program; the message says what is saved and how to go on."""
