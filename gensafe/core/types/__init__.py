"""The values that flow through GenSafe. All frozen; protobuf and C2PA types stop at their adapters.

``GenerationRequest`` -> ``Admission`` -> ``Draft`` -> ``Judged`` -> ``Marked`` -> ``Signed`` -> ``Recorded``.
Each stage of ``gensafe.pipeline`` is a function from one of these types to the next, so that the type checker holds
the order.
"""

from gensafe.core.types.caller import (
    Everything,
    OneTenant,
    Public,
    Scope,
)
from gensafe.core.types.generation import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    InputMedia,
    Progress,
    RequestKey,
    TextDelta,
)
from gensafe.core.types.media import (
    Audio,
    Image,
    Media,
    Modality,
    Text,
    Video,
)
from gensafe.core.types.parameters import (
    Message,
    Parameters,
    Role,
)
from gensafe.core.types.safety import (
    ACTION_ORDER,
    Action,
    Assessment,
    Box,
    ClassifierId,
    Coverage,
    Decision,
    Finding,
    Span,
    Stage,
    TimeRange,
    Verdict,
)
from gensafe.core.types.stages import (
    PAYLOAD_BYTES,
    Admission,
    Detection,
    Judged,
    Manifest,
    Marked,
    MarkLevel,
    Recorded,
    Review,
    Signed,
    WatermarkReceipt,
)
from gensafe.core.types.verification import (
    Check,
    Conclusion,
    Outcome,
    VerificationReport,
)

__all__ = [
    "ACTION_ORDER",
    "PAYLOAD_BYTES",
    "Action",
    "Admission",
    "Assessment",
    "Audio",
    "BackendCapabilities",
    "BackendEvent",
    "Box",
    "Check",
    "ClassifierId",
    "Conclusion",
    "Coverage",
    "Decision",
    "Detection",
    "Draft",
    "Everything",
    "Finding",
    "GenerationJob",
    "GenerationRecord",
    "GenerationRequest",
    "Image",
    "InputMedia",
    "Judged",
    "Manifest",
    "MarkLevel",
    "Marked",
    "Media",
    "Message",
    "Modality",
    "OneTenant",
    "Outcome",
    "Parameters",
    "Progress",
    "Public",
    "Recorded",
    "RequestKey",
    "Review",
    "Role",
    "Scope",
    "Signed",
    "Span",
    "Stage",
    "Text",
    "TextDelta",
    "TimeRange",
    "Verdict",
    "VerificationReport",
    "Video",
    "WatermarkReceipt",
]
