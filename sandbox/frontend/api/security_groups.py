"""one.secgroup.* and one.secgrouppool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.objects.security_groups import SecurityGroup

shared_calls.add_info("secgroup", SecurityGroup)
shared_calls.add_pool("secgroup", SecurityGroup)
