"""Names that pages offer, without the weight of the networks that they name."""

ARCHITECTURES = ("lite0", "sequential")
"""Those of `ml.networks.sequential`, the one that is shipped first."""
MODES = ("head", "last", "whole")
"""What of a version learns: its classifier, its last stages, or all of it."""
