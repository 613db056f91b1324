"""How many topics: trainings with several numbers of topics and several seeds, side by side."""
