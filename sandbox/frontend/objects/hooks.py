"""Hook objects: what they listen to, and the log of their executions."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sandbox.frontend.objects import states
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.templates import Template

RESOURCES = ("VM", "IMAGE", "HOST", "NET")
Record = dict[str, Any]


@dataclass
class Hook(PoolObject):
    """A hook as one.hook.allocate made it."""

    KIND: ClassVar[str] = "hook"
    ROOT: ClassVar[str] = "HOOK"
    LABEL: ClassVar[str] = "hook"

    type: str = "api"
    log: str = ""
    """Execution records, put in just before the object is shown."""

    def to_xml(self) -> str:
        return (f"<HOOK><ID>{self.oid}</ID><NAME>{self.name}</NAME><TYPE>{self.type}</TYPE>{self.lock_xml()}"
                f"{self.template.to_xml()}<HOOKLOG>{self.log}</HOOKLOG></HOOK>")

    def pool_xml(self) -> str:
        return self.to_xml().replace(f"<HOOKLOG>{self.log}</HOOKLOG>", "")

    def orders(self) -> Record:
        """What the hook process needs to know of it."""
        return {
            "hook": self.oid,
            "command": self.template.text("COMMAND"),
            "words": self.template.text("ARGUMENTS"),
            "stdin": self.template.text("ARGUMENTS_STDIN").lower() in ("yes", "true"),
            "timeout": self.template.number("TIMEOUT"),
            "remote": self.template.text("REMOTE").upper() == "YES",
        }

    @property
    def key(self) -> str:
        """The key an event must have to run this hook."""
        template = self.template
        if self.type == "api":
            return template.text("CALL")
        resource = template.text("RESOURCE").upper()
        if resource != "VM":
            return f"{resource}/{template.text('STATE')}"
        on = template.text("ON").upper()
        if on in ("", "CUSTOM"):
            return f"VM/{template.text('STATE')}/{template.text('LCM_STATE')}"
        return "VM/" + "/".join(states.HOOK_ALIASES[on])

    def check_update(self, old: Template) -> None:
        """The condition must stay valid."""
        for name in ("CALL", "RESOURCE"):
            if old.text(name) and not self.template.text(name):
                self.template.put(name, old.text(name))
        check(self.type, self.template, set())


def check(kind: str, template: Template, calls: set[str]) -> None:
    """Validate a hook's template as oned does."""
    if not template.text("COMMAND"):
        raise internal("No COMMAND in template.")
    if kind == "api":
        call = template.text("CALL")
        if calls and (call not in calls or call.endswith((".info", ".infoextended", ".infoset"))):
            raise internal("API call does not exist or is not supported")
        return
    resource = template.text("RESOURCE").upper()
    if resource not in RESOURCES:
        raise internal(f"Invalid resource type: {template.text('RESOURCE')}")
    if resource == "VM":
        _check_vm(template)
        return
    state = template.text("STATE").upper()
    known = {"IMAGE": states.IMAGE_HOOK_STATES, "HOST": states.HOST_STATES,
             "NET": states.VNET_STATES}[resource]
    if state not in known or state == "INIT" and resource == "IMAGE":
        raise internal(f"Invalid or unkown STATE condition: {template.text('STATE')}")
    # Persistent images in use are known under the plain names.
    template.put("STATE", state.replace("_PERS", ""))


def _check_vm(template: Template) -> None:
    on = template.text("ON").upper()
    if on in states.HOOK_ALIASES:
        return
    if on not in ("", "CUSTOM"):
        raise internal(f"Invalid or unkown ON condition: {template.text('ON')}")
    for name, known in (("STATE", states.VM_STATES), ("LCM_STATE", states.LCM_STATES)):
        value = template.text(name).upper()
        if value not in known:
            raise internal(f"Invalid or unkown {name} condition: {template.text(name)}")
        template.put(name, value)
