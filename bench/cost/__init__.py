"""What a run costs before it begins, and whether it fits: operations, memory, disk and time.

``estimates`` counts, ``forecast`` says what is left, ``dry_run`` tells all of it.
"""

from bench.cost.estimates import Budget as Budget
from bench.cost.estimates import Extent as Extent
from bench.cost.facts import FACTS as FACTS
from bench.cost.facts import Facts as Facts
