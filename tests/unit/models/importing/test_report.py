"""What a report says of weights that do not fit."""

from __future__ import annotations

import numpy as np

from models.importing.report import SHOWN, fit


def test_weights_that_fit_are_complete() -> None:
    state = {"theirs": np.zeros((2, 3))}
    assert fit({"ours": (2, 3)}, {"ours": state["theirs"]}, state).complete


def test_counters_of_batches_may_be_missing_and_nothing_else() -> None:
    assert fit({"norm.num_batches_tracked": ()}, {}, {}).complete
    assert not fit({"norm.running_mean": (2,)}, {}, {}).complete


def test_each_kind_of_misfit_is_told_by_its_original_name_with_shapes() -> None:
    state = {"theirs": np.zeros((2, 3)), "extra": np.zeros(4)}
    report = fit({"ours": (2, 2), "other": (5,)}, {"ours": state["theirs"], "extra": state["extra"]}, state)
    assert not report.complete
    assert report.text().splitlines() == [
        "1 missing:",
        "  other (5,)",
        "1 left over:",
        "  extra (4,)",
        "1 of another shape:",
        "  theirs: expected (2, 2), found (2, 3)",
    ]


def test_a_long_list_is_cut_and_counted() -> None:
    report = fit({f"layer{number}": (1,) for number in range(SHOWN + 5)}, {}, {})
    lines = report.text().splitlines()
    assert len(lines) == SHOWN + 2
    assert lines[0] == f"{SHOWN + 5} missing:"
    assert lines[-1] == "  ... and 5 more"
