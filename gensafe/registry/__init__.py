"""Records of released outputs, intents of requests, the review queue, blobs, and what is sealed and can be erased."""

from gensafe.registry.acts import Act, DeskActs
from gensafe.registry.api_keys import ApiKey, ApiKeyTable, KeyAct, KeyChange, KeyState
from gensafe.registry.cases import Case, CaseDecision, Cases, owner_of_case
from gensafe.registry.end_users import owner_name
from gensafe.registry.jobs import JobRow, JobState, JobTable
from gensafe.registry.model import HeldOutput, Hold, Intent, IntentState, Record, ReviewDecision
from gensafe.registry.orders import Order, OrderKind, Orders
from gensafe.registry.registry import Registry
from gensafe.registry.reviews import Reviews, new_review_id
from gensafe.registry.usage import DayOfUse, UsageTable
from gensafe.registry.webhooks import WebhookMessage, WebhookTable

__all__ = [
    "Act",
    "ApiKey",
    "ApiKeyTable",
    "Case",
    "CaseDecision",
    "Cases",
    "DayOfUse",
    "DeskActs",
    "HeldOutput",
    "Hold",
    "Intent",
    "IntentState",
    "JobRow",
    "JobState",
    "JobTable",
    "KeyAct",
    "KeyChange",
    "KeyState",
    "Order",
    "OrderKind",
    "Orders",
    "Record",
    "Registry",
    "ReviewDecision",
    "Reviews",
    "UsageTable",
    "WebhookMessage",
    "WebhookTable",
    "new_review_id",
    "owner_name",
    "owner_of_case",
]
