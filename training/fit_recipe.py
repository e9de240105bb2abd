"""How a network learns: numbers, rates and their schedule, what learns when, losses, judging. Read from a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.spec import SpecInvalid
from training.limits import require_at_least, require_shares

_COUNTS = ("batch", "accumulate", "checkpoint_every")
_FIT_AMOUNTS = (
    "seed", "workers", "learning_rate", "backbone_rate", "frozen_steps", "warmup_steps", "decay_steps", "weight_decay",
    "gradient_clip", "score_weight", "box_weight", "snapshot_every",
)  # fmt: skip


class Precision(StrEnum):
    """In which numbers the network is run while it learns; weights and losses are float32 in any case."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    """With losses scaled up, so that small gradients are not lost; GPU only."""


@dataclass(frozen=True, slots=True)
class DistilRecipe:
    """A larger network whose features are shown to a smaller one while both see the same crops."""

    teacher: str
    """Name of a model, or folder of a package with weights."""
    steps: int
    """Steps at the start in which they are shown; in the last of them they count half."""
    weight: float
    """Of the difference in the total loss."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.weight <= 0:
            raise SpecInvalid(f"fit.distil: steps must be 0 or more, weight above 0: {self}")


@dataclass(frozen=True, slots=True)
class FitRecipe:
    """Optimisation of a network of our own: AdamW over steps."""

    seed: int
    start: str
    """Checkpoint whose averaged weights the run begins with, or a package's folder; `$NAME` is replaced from the
    environment. Empty: the backbone begins with its ImageNet weights and the rest with noise."""
    steps: int
    batch: int
    """Pairs of a step."""
    accumulate: int
    """Parts in which the batch is run one after the other, to save memory; it must divide `batch`."""
    precision: Precision
    workers: int
    """Processes that draw and decode pairs; 0: a thread of the run, which is enough for a set that fits into memory."""
    learning_rate: float
    backbone_rate: float
    """The backbone's learning rate as a share of the head's."""
    frozen_steps: int
    """Steps at the start in which the deep half of the backbone stays frozen; its shallow half always is."""
    warmup_steps: int
    decay_steps: int
    """Steps at the end in which the rate falls to zero as half a cosine; between warm-up and these it stays."""
    weight_decay: float
    gradient_clip: float
    ema_decay: float
    score_weight: float
    box_weight: float
    checkpoint_every: int
    snapshot_every: int
    """Steps between copies of the averaged weights that are kept (`average-00012000.pt`); 0 keeps none."""
    distil: DistilRecipe | None = None
    """For networks that begin as a thinned copy of a larger one."""

    def __post_init__(self) -> None:
        require_at_least(1, self, "fit", (*_COUNTS, "steps"))
        require_at_least(0, self, "fit", _FIT_AMOUNTS)
        require_shares(self, "fit", ("ema_decay",))
        if self.batch % self.accumulate:
            raise SpecInvalid(f"accumulate must divide batch: {self.accumulate}, {self.batch}")
        if self.warmup_steps + self.decay_steps > self.steps:
            raise SpecInvalid(f"warmup_steps and decay_steps must fit into steps: {self}")

    @property
    def epoch_steps(self) -> int:
        """What stands for an epoch: the steps between two kept copies of the weights."""
        return self.snapshot_every or self.checkpoint_every


class Shape(StrEnum):
    """How the learning rate goes from the first to the last value of a phase."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the schedule; phases follow each other."""

    shape: Shape
    epochs: int
    first: float
    last: float
    each_step: bool = False
    """The rate changes with every step, else with every epoch."""
    reaches_last: bool = False
    """The phase's last epoch learns with `last`; else only the next phase's first one would."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.first <= 0 or self.last <= 0:
            raise SpecInvalid(f"fit.phases: epochs, first and last must be above 0: {self}")
        if self.reaches_last and (self.each_step or self.epochs < 2):
            raise SpecInvalid(f"fit.phases: reaches_last is for two epochs and more that keep a rate each: {self}")


@dataclass(frozen=True, slots=True)
class Group:
    """Parts of the network that begin to learn together."""

    modules: tuple[str, ...]
    """Names, as in the state dict; a name means all that is below it."""
    rate: float = 1.0
    """Share of the schedule's learning rate."""
    from_epoch: int = 0
    """The first epoch in which they learn, counted from 0; -1: none, but their norms learn under `norms = "learn"`."""


class Norms(StrEnum):
    """What batch norm does in parts that do not learn (yet)."""

    REST = "rest"
    """It keeps its statistics, scale and shift (pysot, mmtracking)."""
    LEARN = "learn"
    """It goes on as everywhere: only convolutions are frozen (video_analyst)."""


class LossKind(StrEnum):
    """Targets and losses of a code base."""

    SIAMFCPP_FOCAL = "siamfcpp_focal"
    SIAMFCPP_RETINA = "siamfcpp_retina"
    """The same focal loss, written with probabilities instead of logits."""
    PYSOT = "pysot"
    MMTRACKING = "mmtracking"
    SIAMRPNPP_PYTORCH = "siamrpnpp_pytorch"
    SIAMRPN_TF = "siamrpn_tf"


@dataclass(frozen=True, slots=True)
class LossRecipe:
    """Which losses, and how they are weighed."""

    kind: LossKind
    box_weight: float
    """Of the box's loss in the total; the others count once."""
    target_weight: float = 0.5
    """Focal loss: weight of cells on the target; those beside it weigh the rest to 1."""
    decay_frames: float = 0.0
    """A pair d frames apart weighs exp(-d / decay_frames); 0: all weigh the same."""

    def __post_init__(self) -> None:
        require_at_least(0, self, "fit.loss", ("box_weight", "decay_frames"))
        require_shares(self, "fit.loss", ("target_weight",))


@dataclass(frozen=True, slots=True)
class StagedFitRecipe:
    """Optimisation of a published network: SGD over epochs, parts of the network beginning to learn one by one."""

    seed: int
    start: str
    """Checkpoint or package whose weights the run begins with, as in `FitRecipe`."""
    backbone: str
    """Weights that the backbone begins with: an ImageNet classifier's, another tracker's, or a package; `$NAME` is
    replaced from the environment. Empty: noise."""
    search_size: int
    """Side of the search crops while it learns; the tracker's own may differ."""
    epoch_pairs: int
    batch: int
    accumulate: int
    precision: Precision
    workers: int
    momentum: float
    nesterov: bool
    weight_decay: float
    decays_biases: bool
    """Norms and biases decay as well."""
    gradient_clip: float
    """Largest norm of the gradient; 0: any."""
    gradient_factor: float
    """The gradient is multiplied by it: pysot adds up those of its GPUs where others take their mean."""
    phases: tuple[Phase, ...]
    groups: tuple[Group, ...]
    """The first one that names a parameter has it; what none of them names never learns."""
    norms: Norms
    restarts_momentum: bool
    """Momentum begins anew whenever more of the network begins to learn."""
    loss: LossRecipe
    ema_decay: float
    checkpoint_every: int

    def __post_init__(self) -> None:
        require_at_least(1, self, "fit", (*_COUNTS, "search_size"))
        require_at_least(0, self, "fit", ("seed", "workers", "weight_decay", "gradient_clip", "gradient_factor"))
        require_shares(self, "fit", ("momentum", "ema_decay"))
        if self.batch % self.accumulate:
            raise SpecInvalid(f"accumulate must divide batch: {self.accumulate}, {self.batch}")
        if self.epoch_pairs < self.batch or not self.phases or not self.groups:
            raise SpecInvalid(f"an epoch has a batch at least, and there are phases and groups: {self}")

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return self.epoch_pairs // self.batch

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return self.epoch_steps * sum(phase.epochs for phase in self.phases)

    @property
    def snapshot_every(self) -> int:
        """Steps between copies of the averaged weights that are kept: an epoch's."""
        return self.epoch_steps


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """Averaged weights are tried on sequences at the end of an epoch, and the best are kept, named by their hash."""

    folder: str
    """Sequences as `lockon evaluate` takes them; `$NAME` is replaced from the environment."""
    first_epoch: int
    """Counted from 1: the epoch that has just ended. An epoch of our own networks is `snapshot_every` steps."""
    last_epoch: int

    def __post_init__(self) -> None:
        if not 1 <= self.first_epoch <= self.last_epoch:
            raise SpecInvalid(f"judge: 1 <= first_epoch <= last_epoch: {self}")
