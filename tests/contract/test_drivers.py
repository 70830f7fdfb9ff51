"""How drivers are run: environment, place, priority, number, and the turns of monitoring."""
from __future__ import annotations

from pathlib import Path

from contract_shapes import WIRE, differences
from contract_site import OWNER, Call, Site, until


def _monitor(site: Site, name: str, oid: int) -> Call:
    found: list[Call] = []

    def seen() -> bool:
        found.extend(call for call in site.take_calls(monitors=True) if call.name == name and call.argv == [str(oid)])
        return bool(found)
    until(f"{name} of datastore {oid}", seen)
    return found[0]


def _like(call: Call, folder: Path, ignore: str) -> None:
    recorded = next(folder.glob("01-*"))
    assert differences((recorded / "stdin.xml").read_text(), call.xml, (ignore,)) == []
    assert len(call.argv) == len((recorded / "argv.txt").read_text().splitlines()) - 1


def test_image_datastores_are_monitored_by_their_datastore_driver(site: Site) -> None:
    call = _monitor(site, "datastore-recorder-monitor", 102)
    _like(call, WIRE / "ds" / "image-ds-monitor", "/DS_DRIVER_ACTION_DATA/DATASTORE/TEMPLATE")


def test_system_datastores_are_monitored_by_the_tm_driver(site: Site) -> None:
    call = _monitor(site, "tm-recorder-monitor", 104)
    _like(call, WIRE / "ds" / "system-ds-monitor", "/DS_DRIVER_ACTION_DATA/DATASTORE/TEMPLATE")


def test_the_environment_and_place_of_a_driver(site: Site) -> None:
    call = _monitor(site, "datastore-recorder-monitor", 102)
    assert call.place[:2] == [str(site.var), "19"]
    wanted = {"ONE_LOCATION": str(site.location), "ONE_XMLRPC": site.endpoint,
              "ONE_AUTH": str(site.var / ".one" / "one_auth")}
    assert {name: call.environment[name] for name in wanted} == wanted
    assert Path(wanted["ONE_AUTH"]).read_text().strip() == OWNER
    assert Path(wanted["ONE_AUTH"]).stat().st_mode & 0o777 == 0o600


def test_a_failed_monitor_leaves_the_old_numbers(site: Site) -> None:
    site.answer("datastore-monitor", "exit 1")
    _monitor(site, "datastore-recorder-monitor", 102)
    _monitor(site, "datastore-recorder-monitor", 102)
    site.answer("datastore-monitor", None)
    assert site.xml("datastore", 102).findtext("FREE_MB") == "10760"


def test_a_monitor_that_says_nothing_makes_everything_zero(site: Site) -> None:
    site.answer("datastore-monitor", "echo SOMETHING=1")
    until("zero", lambda: site.xml("datastore", 102).findtext("FREE_MB") == "0")
    site.answer("datastore-monitor", None)
    until("back", lambda: site.xml("datastore", 102).findtext("FREE_MB") == "10760")


def test_fifteen_datastore_actions_run_at_once_and_no_more(site: Site) -> None:
    gate, here = site.var / "gate", site.var / "here"
    here.mkdir()
    site.answer("datastore-mkfs", f'touch "{here}/$1"; while [ ! -e "{gate}" ]; do sleep 0.02; done; echo "x/one-$1"')
    images = [site.must("one.image.allocate", f"NAME=par{number}\nTYPE=DATABLOCK\nSIZE=1\n", 102, True)
              for number in range(17)]
    until("fifteen run", lambda: len(list(here.iterdir())) == 15)
    gate.touch()
    for oid in images:
        site.wait_image(oid)
    site.answer("datastore-mkfs", None)
    assert len(list(here.iterdir())) == 17


def test_a_driver_that_oned_conf_does_not_name_is_refused(site: Site) -> None:
    text = site.call("one.host.allocate", "h9", "kvm", "nosuch", -1)
    assert text == [False, "[one.host.allocate] Cannot find vmm driver: nosuch", 8192, -1, -1]
