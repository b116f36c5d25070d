"""What keys that several stages have alike mean."""

CHECKPOINT = (
    "a run folder (whose network is taken, unless backbone keys are given), a weights file, or 'none'; auto = the "
    "newest compatible finished pretraining run"
)

COMPILE = (
    "compile the network with torch.compile, on a GPU into CUDA graphs; takes a minute or more, needs a C++ compiler, "
    "and gained nothing on CPUs"
)

TEST_BALANCE = (
    "what the reports count: all samples, or as many of either class, drawn at random from the larger one, for all "
    "seeds alike; thresholds are chosen on all either way"
)

CURVE = "length, learning-rate curve and clipping"

PROFILE = "write where a step's time goes into the run folder: profile.md"
