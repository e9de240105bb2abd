"""Constants of a tracker as plain data and back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from models.runtimes.dummy import DUMMY_SPEC
from models.spec import MemorySpec, ModelSpec, SecondTemplateSpec, SpecInvalid

SECOND = {"background": 0.4, "agreement": 0.5}
MEMORY = MemorySpec(length=3, interval=2, share=0.5)


def test_a_spec_is_the_same_after_json() -> None:
    spec = replace(DUMMY_SPEC, second_template=SecondTemplateSpec(**SECOND), as_marked=0.5)
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_manifest_from_before_second_templates_has_none() -> None:
    data = DUMMY_SPEC.to_json()
    del data["second_template"]
    assert ModelSpec.from_json(data) == DUMMY_SPEC


@pytest.mark.parametrize(
    ("changes", "count"), [({}, 1), ({"second_template": SecondTemplateSpec(0.4, 0.5)}, 2), ({"memory": MEMORY}, 3)]
)
def test_a_target_has_as_many_templates_as_the_spec_says(changes: dict[str, Any], count: int) -> None:
    assert replace(DUMMY_SPEC, **changes).template_count == count


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"second_template": SECOND | {"background": 1.0}}, "background must be in 0..1, without 1"),
        ({"second_template": SECOND | {"agreement": -0.1}}, "agreement must be in 0..1"),
        ({"second_template": {"background": 0.4}}, r"spec\.second_template: .*'agreement'"),
        ({"second_template": SECOND, "family": "siamrpn"}, "second_template is for the family lockon"),
        ({"second_template": SECOND, "memory": asdict(MEMORY)}, "without a memory"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecInvalid, match=words):
        ModelSpec.from_json(DUMMY_SPEC.to_json() | changes)
