"""Constants of a tracker as plain data and back, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest

from models.runtimes.dummy import DUMMY_SPEC
from models.spec import LongTermSpec, MemorySpec, ModelSpec, SecondTemplateSpec, SpecInvalid

SECOND = {"background": 0.4, "agreement": 0.5}
LOOP, NETWORK = asdict(DUMMY_SPEC.loop), asdict(DUMMY_SPEC.network)
LONG_TERM = asdict(LongTermSpec(303, 0.3, 0.5, 0.4, judges_ranking=True, free_place=False))
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
        *(
            ({"loop": LOOP | {"min_size": size}}, r"min_size must be in 1\.\.100")
            for size in (-5.0, 0.0, math.nan, 1e9)
        ),
        ({"long_term": LONG_TERM | {"window_influence": 7.0}}, r"window_influence must be in 0\.\.1"),
        *(({"network": NETWORK | {"stride": stride}}, r"stride must be in 1\.\.64") for stride in (-8, 0, 65)),
        *(
            ({"network": NETWORK | {"channels": wide}}, "channels must be one number or more")
            for wide in ([], [0], [9999])
        ),
        ({"second_template": {"background": 0.4}}, r"spec\.second_template: .*'agreement'"),
        ({"second_template": SECOND, "family": "siamrpn"}, "second_template is for the family lockon"),
        ({"second_template": SECOND, "memory": asdict(MEMORY)}, "without a memory"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecInvalid, match=words):
        ModelSpec.from_json(DUMMY_SPEC.to_json() | changes)
