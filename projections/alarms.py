"""What no operator may overlook: conditions that the log or its read models show to be wrong.

An alarm stands for as long as its source finds it; nothing is switched off by hand. Readiness, the
metrics, `grantledger doctor` and the console's overview show every alarm that stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from projections.query import Query


@dataclass(frozen=True, slots=True)
class Alarm:
    """One condition that stands.

    `name` is the name of its source. `found` says what is wrong, `fix` what to do about it, `since`
    when it was first seen (UTC). `/readyz` shows `name` and `since` to strangers, never `found`.
    """

    name: str
    found: str
    fix: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AlarmSource:
    """A question whose every answer is an alarm. `query` is answered quickly on any log.

    `name` is a label of the metrics, as "forged_tokens".
    """

    name: str
    query: Query[Alarm]


ALARM_SOURCES: Sequence[AlarmSource] = ()
