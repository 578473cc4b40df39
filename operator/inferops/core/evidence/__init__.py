"""Whether a canary is worse than stable: sequential statistics over what both did in the same windows."""

from inferops.core.evidence.arms import Arms
from inferops.core.evidence.judge import begin_step, judge, without_data

__all__ = ["Arms", "begin_step", "judge", "without_data"]
