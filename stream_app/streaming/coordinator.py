"""Makes aiokafka notice the group-level error of an offset fetch.

While a restarted broker still loads `__consumer_offsets`, it answers an offset fetch with an error
for the group and no partitions. aiokafka 0.14 looks at the partitions only, so the answer reads as
"nothing was ever committed" and the whole topic would be consumed again. Raising the error makes
aiokafka's own retry loop ask again.
"""

from __future__ import annotations

from typing import Any

from aiokafka import errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchRequest

_send_req = GroupCoordinator._send_req


async def _send_checked(self: Any, request: Any) -> Any:
    response = await _send_req(self, request)
    code = getattr(response, "error_code", 0) if isinstance(request, OffsetFetchRequest) else 0
    if code:
        error = errors.for_code(code)
        if error is errors.NotCoordinatorForGroupError:
            self.coordinator_dead()
        raise error()
    return response


def install() -> None:
    """Replace the request method of every group coordinator of this process."""
    GroupCoordinator._send_req = _send_checked
