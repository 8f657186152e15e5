"""The study: steps on one dataset, in one folder, within the minutes; and what reads it later."""
