"""The phantom: a procedural chest X-ray generator that needs no download and knows the truth.

    phantoms = make_phantoms(1000, classes=("normal", "pneumonia"), seed=0)
    phantoms.images, phantoms.labels, phantoms.masks, phantoms.lungs, phantoms.table

Modules: `cohort` (patients, splits, what is wrong with the set), `anatomy`, `lesions`, `devices` (markers,
leads, hand), `physics` (attenuation to pixels), `render` (one image). Not a medical device.
"""

from .cohort import CLASSES
from .make import Confounder, Phantoms, counterfactual, make_phantoms

__all__ = ["CLASSES", "Confounder", "Phantoms", "counterfactual", "make_phantoms"]
