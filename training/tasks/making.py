"""From a recipe to its task."""

from __future__ import annotations

from models.networks import build
from models.networks.siamfcpp import SiamFCpp
from models.networks.siamfcpp_light import SiamFCppLight
from models.spec import Architecture, SpecInvalid
from training.fit_recipe import LossKind, StagedFitRecipe
from training.recipe import Recipe
from training.tasks.anchors import AnchorObjective
from training.tasks.dense import DenseObjective, initialise
from training.tasks.light import LightTask
from training.tasks.staged import Objective, StagedTask
from training.tasks.task import Task
from training.tasks.tiny import TinyTask

_OF_CELLS = (LossKind.SIAMFCPP_FOCAL, LossKind.SIAMFCPP_RETINA)


def make_task(recipe: Recipe) -> Task:
    """The task with fresh weights; raises SpecInvalid if the losses are not for the network."""
    network = build(recipe.trained_model)
    fit = recipe.fit
    if not isinstance(fit, StagedFitRecipe):
        assert isinstance(network, SiamFCppLight), "the only networks of our own"
        tiny = recipe.model.network.architecture is Architecture.SIAMFCPP_TINY
        return TinyTask(network, fit) if tiny else LightTask(network, fit)
    dense = isinstance(network, SiamFCpp)
    if dense is not (fit.loss.kind in _OF_CELLS):
        raise SpecInvalid(f"fit.loss.kind: {fit.loss.kind} is not for {recipe.model.network.architecture}")
    objective: Objective
    if isinstance(network, SiamFCpp):
        initialise(network)
        objective = DenseObjective(network, fit.loss, fit.search_size)
    else:
        objective = AnchorObjective(network, fit.loss, fit.search_size)
    return StagedTask(network, fit, objective)
