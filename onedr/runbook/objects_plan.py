"""The chapters about OpenNebula's objects: images registered, VMs created on hold, released. Pure.

Ids of new objects are not known yet: each is kept in a file, from which later commands take it. A command
that is pasted again makes nothing twice.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from onedr.failover import failback_plan, image_subject, placement, start_order
from onedr.failover.facts import RunPlan
from onedr.failover.image_subject import Subject
from onedr.failover.waves import Wave
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.template import Pairs
from onedr.model.types import MIB
from onedr.opennebula import image_template, mapped, nics, vm_locks, vm_template
from onedr.opennebula.mapped import Owner
from onedr.opennebula.vm_template import ORIGIN_SOURCE, Recreation
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets
from onedr.replication.inventory import VmItem
from onedr.runbook import storage_plan
from onedr.runbook.facts import Block, BookFacts, Chapter, Part, Title
from onedr.runbook.shell_text import file, note, prose
from onedr.runs.steps import StepKind

_RIGHTS = 3  # use, manage and admin for each of owner, group, other
_ID_OF = "sed -n 's/^ID: //p'"  # what a create command prints
_ADMIN = 0  # id of oneadmin, and of its group
_WAIT_S = 180
_DONE = (vm_template.FINISHED, "YES")  # OneDR records none that lacks it, once it is back
_LOCKS = {1: "use", 2: "manage", 3: "admin"}


class _OwnerHere(NamedTuple):
    """Ids at this site; `names` are for people."""

    user_id: int
    group_id: int
    names: str


@dataclass
class Objects:
    """Images and VMs of a book, numbered as they are met. `known`: OpenNebula ids by RBD name."""

    facts: BookFacts
    plan: RunPlan
    images: dict[str, int] = field(default_factory=dict)  # number in the book by RBD name
    vms: dict[str, int] = field(default_factory=dict)  # by origin
    taken: set[tuple[int, str]] = field(default_factory=set)
    without_commands: set[str] = field(default_factory=set)  # origins

    def __post_init__(self) -> None:
        self.taken = set(self.facts.images)
        self._by_name = {image.name: image for image in self.facts.failover.images}
        self._register = _targets(self.plan, StepKind.REGISTER)
        self._items = {item.origin: item for item in self.plan.vms}
        self._homes = failback_plan.homes(self.plan.vms, self.facts.failover.local)

    def chapter(self) -> Chapter:
        """Each VM with its images, in the order in which they start; then images of no VM."""
        parts: list[Part] = [
            "As oneadmin at this front-end. Each block may be pasted again: what exists is not made twice, "
            "and an error that says so is harmless."
        ]
        create = set(_targets(self.plan, StepKind.CREATE))
        back = set(_targets(self.plan, StepKind.RETURN))
        for item in start_order.by_priority(self.plan.vms):
            if item.origin in create:
                parts += self._or_why_not(item)
            elif item.origin in back:
                parts += self._home_vm(item, self._homes[item.origin])
        loose = [name for name in self._register if name not in self.images]
        if loose:
            parts.append(Title("Images of no VM"))
            for name in loose:
                try:
                    parts += self._image(self._by_name[name], self._owner_vm(name))
                except (OneDRError, ValueError) as error:
                    parts.append(f"- {name} is promoted and not registered: {prose(str(error))}.")
        return Chapter("Register the images, create the VMs on hold", tuple(parts))

    def _or_why_not(self, item: VmItem) -> list[Part]:
        """A new VM; or why there are no commands for it, for one record never takes the others with it."""
        images = dict(self.images)
        try:
            return list(self._new_vm(item))
        except (OneDRError, ValueError) as error:  # no free name; or text that XML cannot carry
            self.images = images
            self.vms.pop(item.origin, None)
            self.without_commands.add(item.origin)
            return [Title(prose(item.label)), f"- It is not in this book: {prose(str(error))}"]

    def _owner_vm(self, name: str) -> VmItem | None:
        return next((item for item in self.plan.vms if name in {each.name for each in item.images}), None)

    def _image(self, image: ImageFacts, item: VmItem | None) -> Iterable[Part]:
        subject = image_subject.subject_of(self.facts.failover.here, image, item)
        number = self.images[image.name] = len(self.images) + 1
        pool = self.facts.access.pool
        owner, notes = self._owner(Owner(subject.owner, subject.group))
        name = self._free_name(subject, owner.user_id)
        source, lines = image.name, [storage_plan.folder(self.facts), note(f"image {name}, of {image.name}")]
        if not subject.persistent:
            source, made = storage_plan.local_base(self.facts, image)
            lines += made
        described = image_template.image_description(
            name, subject.kind, subject.persistent, f"{pool}/{source}", -(-image.size // MIB), subject.origin
        )
        at = f"image-{number}"
        lines += file(f"{at}.xml", (*described, (ORIGIN_SOURCE, image.name)))
        lines.append(
            f"test -s {at}.id || oneimage create --datastore {self.facts.datastore_id} --no_check_capacity "
            f"{at}.xml | {_ID_OF} > {at}.id"
        )
        lines += _given("oneimage", at, owner, subject.permissions)
        lines += file(f"{at}.attributes.xml", (*image_template.portable_image(subject.attributes), _DONE))
        lines.append(f'oneimage update "$(cat {at}.id)" {at}.attributes.xml --append')
        if name != subject.name:
            notes = (*notes, f"- Its name {prose(subject.name)} is taken here: it becomes {prose(name)}.")
        return (*notes, Block(tuple(lines)))

    def _free_name(self, subject: Subject, owner_id: int) -> str:
        """Free for oneadmin, who registers it, and for its owner: a user has no two images of one name."""
        first = image_template.fitting_name(subject.name)
        for name in (first, *image_subject.other_names(subject.name, subject.site)):
            if not {(_ADMIN, name), (owner_id, name)} & self.taken:
                self.taken.add((owner_id, name))
                return name
        raise OneDRError(f"no free name like {subject.name!r} for an image here; rename one of yours")

    def _owner(self, there: Owner) -> tuple[_OwnerHere, tuple[str, ...]]:
        """Owner and group here, and what stays with oneadmin."""
        called = mapped.name_owner(there, self.facts.failover.ground.counterparts.mapping)
        user, group = self.facts.users.get(called.owner), self.facts.groups.get(called.group)
        notes = [
            f"- {word} {prose(name)} is not here: it stays with oneadmin."
            for word, name, found in (("User", there.owner, user), ("Group", there.group, group))
            if found is None
        ]
        return _OwnerHere(user or _ADMIN, group or _ADMIN, f"{called.owner}, {called.group}"), tuple(notes)

    def _new_vm(self, item: VmItem) -> Iterable[Part]:
        yield Title(prose(item.label))
        for image in item.images:
            if image.name in self._register and image.name not in self.images:
                yield from self._image(image, item)
        number = self.vms[item.origin] = len(self.vms) + 1
        built, record = self._built(item), item.record
        yield from (f"- {prose(text)}" for text in dict.fromkeys(built.warnings))
        owner, notes = self._owner(Owner(record.owner, record.group))
        yield from notes
        at = f"vm-{number}"
        needed = [f"image-{self.images[image.name]}" for image in item.images if image.name in self.images]
        fill = "".join(
            f' -e "s|<IMAGE_ID>@{each}@<|<IMAGE_ID>$(cat {each}.id)<|"' for each in needed
        ) or " ''"
        tests = "".join(f"test -s {each}.id && " for each in needed)
        yield Block((
            storage_plan.folder(self.facts), note(f"VM {record.name}"), *file(f"{at}.xml", built.template),
            f"test -s {at}.id || {{ {tests}sed{fill} {at}.xml > {at}.filled.xml &&",
            f"  onevm create --hold {at}.filled.xml | {_ID_OF} > {at}.id; }}",
            *_given("onevm", at, owner, record.permissions),
            *self._other_groups(at, built.template),
            *file(f"{at}.attributes.xml", (*built.user_template, _DONE)),
            f'onevm update "$(cat {at}.id)" {at}.attributes.xml',
        ))
        yield from self._secrets(item, at)

    def _built(self, item: VmItem) -> Recreation:
        """The VM's templates without secrets. A disk whose image gets its id later has `@image-<n>@` there.
        """
        registered = self.facts.failover.ground.registered
        ids = {
            disk.disk_id: -self.images[name] if name in self.images else registered[name]
            for disk in item.record.disks
            if disk.protected and (name := str(disk.rbd).rpartition("/")[2]) in {*self.images, *registered}
        }
        built = vm_template.recreate(
            _without_secrets(item.record), item.origin, item.envelope.site, ids,
            self.facts.failover.ground.counterparts, False,
        )
        later = tuple(
            (key, _to_fill(value)) if key == "DISK" and not isinstance(value, str) else (key, value)
            for key, value in built.template
        )
        more = (*placement.of_memory(item.record.state), *placement.of_images(item), *item.warnings)
        return Recreation(later, built.user_template, (*built.warnings, *more))

    def _other_groups(self, at: str, asked: Pairs) -> Iterable[str]:
        """Security groups of the networks here come to a NIC's own, and open what those close
        (docs/opennebula-facts.md O39): they are taken off.
        """
        known = self.facts.failover.ground.counterparts.networks
        every = [nic for kind in ("NIC", "NIC_ALIAS") for nic in template.vectors(asked, kind)]
        for number, nic in enumerate(every):
            found = nics.network_called(known, int(template.get(nic, "NETWORK_ID", "-1")))
            own = _groups(template.get(nic, "SECURITY_GROUPS"))
            theirs = found.attributes.get("SECURITY_GROUPS", "") if found is not None and own else ""
            for group in sorted(_groups(theirs) - own):
                yield f'onevm sg-detach "$(cat {at}.id)" {number} {group}'

    def _secrets(self, item: VmItem, at: str) -> Iterable[Part]:
        """What is not printed, and how it is set."""
        sealed, unopened = self.facts.secrets.get(item.origin, ()), self.facts.unopened.get(item.origin, "")
        if unopened:
            yield f"- Its secrets cannot even be named: {prose(unopened)}."
        if sealed:
            yield (
                f"- **Secrets are not printed: {prose(', '.join(sealed))}.** Their values are sealed in the "
                "record on its disks; only OneDR opens them, with the record key. Set them by hand before "
                "the VM is released. These open an editor: the first with CONTEXT and GRAPHICS, the second "
                "with the other attributes."
            )
            yield Block((
                storage_plan.folder(self.facts), f'onevm updateconf "$(cat {at}.id)"',
                f'onevm update "$(cat {at}.id)"',
            ), here=False)

    def _home_vm(self, item: VmItem, home: PeerVm) -> Iterable[Part]:
        """A VM that left from here: its own object is still there, locked."""
        yield Title(prose(f"VM {home.name} ({home.vm_id}) comes home"))
        yield (
            "It is still here, locked, on the disks that were promoted. What was changed of it at the other "
            "site (capacity, disks, networks, attributes) does not follow."
        )
        text = self.plan.warnings.get(item.origin, "")
        if text:
            yield f"- {prose(text)}"
        yield Block((f"onevm unlock {home.vm_id}",))

    def release(self) -> Chapter:
        """VMs start by recovery plan and priority; who was off stays on hold."""
        title = f"Release the VMs, by {'recovery plan' if self.facts.failover.recovery.label else 'priority'}"
        starting = {
            step.target for step in self.plan.steps
            if step.kind is StepKind.START and step.target not in self.without_commands
        }
        parts: list[Part] = []
        doubt = self.facts.failover.recovery.doubt
        if doubt:
            parts.append(f"- The recovery plan is not followed: {prose(doubt)}")
        waves = [wave for wave in self.plan.waves if starting.intersection(wave.origins)]
        for number, wave in enumerate(waves):
            parts += self._wave(wave, starting, number == 0, number + 1 == len(waves))
        held = [self._items[origin].record.name for origin in self.vms if origin not in starting]
        if held:
            parts.append(f"Not running at the other site, so they stay on hold: {prose(', '.join(held))}.")
        parts += self._locks()
        return Chapter(title, tuple(parts) or ("No VM is to be started.",))

    def _wave(self, wave: Wave, starting: Collection[str], first: bool, last: bool) -> Iterable[Part]:
        wait = "" if first else f" When those before run, or after {_WAIT_S} s:"
        yield f"{wave.called[0].upper()}{wave.called[1:]}.{wait}"
        late = self.plan.vm_delays
        group = [origin for origin in wave.origins if origin in starting]
        lines = [self._start(origin) for origin in group if origin not in late]
        for origin in sorted((each for each in group if each in late), key=lambda each: late[each]):
            lines += [f"sleep {late[origin]}", self._start(origin)]
        yield Block((storage_plan.folder(self.facts), *lines, "onevm list"))
        for gate in wave.gates:
            yield f"Gate: {gate.step.text}."
        if wave.delay_s and not last:
            yield f"Wait {wave.delay_s} s before the next ones."

    def _locks(self) -> Iterable[Part]:
        """Locks that their users had put on VMs, which nothing could be done with while they are locked."""
        lines = []
        for item in self.plan.vms:
            level = vm_locks.recorded(item.record.template)
            if level and item.origin in {*self.vms, *self._homes}:
                new, home = self.vms.get(item.origin), self._homes.get(item.origin)
                which = home.vm_id if home is not None else f'"$(cat vm-{new}.id)"'
                lines.append(f"onevm lock {which} --{_LOCKS[level]}  {note(item.record.name)}")
        if lines:
            yield "These were locked at the other site. Once they run, or are not to:"
            yield Block((storage_plan.folder(self.facts), *lines), here=False)

    def _start(self, origin: str) -> str:
        if origin in self.vms:
            return f'onevm release "$(cat vm-{self.vms[origin]}.id)"  {note(self._items[origin].record.name)}'
        home = self._homes.get(origin) or self.facts.failover.local.get(origin)
        if home is not None:
            verb = "release" if home.state in ("HOLD", "PENDING") else "resume"
            return f"onevm {verb} {home.vm_id}  {note(home.name)}"
        return f"onevm release {self.facts.failover.recovered[origin].vm_id}"

    def snapshots(self) -> Chapter | None:
        """What snapshots of disks there are: OpenNebula does not list them without OneDR."""
        rows: list[Part] = []
        lines = []
        for name in self.images:
            image = self._by_name[name]
            subject = image_subject.subject_of(self.facts.failover.here, image, self._owner_vm(name))
            for number in sorted(int(each) for each in image.snapshots or () if each.isdecimal()):
                known = subject.snapshots.snapshots.get(number)
                said = f", called {prose(known.name)}" if known is not None and known.name else ""
                rows.append(f"- {name}: snapshot {number}{said}")
                target = f"{self.facts.access.pool}/{name}@{number}"
                lines.append(storage_plan.rbd(self.facts.access, "snap", "rollback", target))
        if not rows:
            return None
        return Chapter("Snapshots of disks", (
            "They are on the RBD images, and OpenNebula does not list them here. Take no snapshot of these "
            "disks with OpenNebula until OneDR is back: it would begin with number 0 again.", *rows,
            "To revert a disk to one of them, with its VM powered off, the command of that snapshot. It "
            "discards what was written since:", Block(tuple(lines), here=False),
        ))


def _groups(text: str) -> set[int]:
    """Ids of security groups."""
    return {int(each) for each in text.split(",") if each.strip().isdecimal()}


def _targets(plan: RunPlan, kind: StepKind) -> Sequence[str]:
    return [step.target for step in plan.steps if step.kind is kind]


def _given(program: str, at: str, owner: _OwnerHere, permissions: str) -> list[str]:
    """Owner, group and rights, where they are not as oneadmin gets them."""
    digits = [permissions[place : place + _RIGHTS] for place in range(0, len(permissions), _RIGHTS)]
    octal = "".join(str(int(bits, 2)) for bits in digits)
    lines = [f'{program} chmod "$(cat {at}.id)" {octal}']
    if owner.user_id != _ADMIN or owner.group_id != _ADMIN:
        ids = f"{owner.user_id} {owner.group_id}"
        lines.insert(0, f'{program} chown "$(cat {at}.id)" {ids}  {note(owner.names)}')
    return lines


def _without_secrets(record: VmRecord) -> VmRecord:
    marks = (secrets.ENCRYPTED, secrets.WITHHELD)
    return replace(
        record, template=template.without(record.template, *marks),
        user_template=template.without(record.user_template, *marks),
    )


def _to_fill(disk: Pairs) -> Pairs:
    return tuple(
        (key, f"@image{value}@") if key == "IMAGE_ID" and value.startswith("-") else (key, value)
        for key, value in disk
    )
