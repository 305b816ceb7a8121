"""Why a backup is not made or not restored; each message is one line that says what to do."""


class BackupRefused(Exception):
    """The state of a backup, of its target or of the tools says no."""
