"""Settings of every test: one thread, and libraries that keep quiet."""

import torch

from planner_model.quiet import silence

# Many times faster for small models, above all on a busy machine.
torch.set_num_threads(1)
silence()
