"""What a finished piece of work says of itself: plain frozen models, to and from JSON."""

# ruff: noqa: F403  (all that these files define is meant for all)
from tellapart.records.base import *
from tellapart.records.mistakes import *
from tellapart.records.predictor import *
from tellapart.records.runs import *
from tellapart.records.sizes import *
from tellapart.records.study import *
