"""The regimes a report can be made for; one module per family, duties as data.

Facts about the law were read in August to November 2026 from the sources each duty names; this is not legal advice.
"""

from __future__ import annotations

from typing import Final

from gensafe.compliance.duty import Regime
from gensafe.compliance.regimes.asia import CHINA, INDIA, KOREA
from gensafe.compliance.regimes.california import CALIFORNIA
from gensafe.compliance.regimes.eu import EU
from gensafe.compliance.regimes.iso import ISO_42001

REGIMES: Final[dict[str, Regime]] = {r.key: r for r in (EU, CALIFORNIA, CHINA, KOREA, INDIA, ISO_42001)}

__all__ = ["REGIMES"]
