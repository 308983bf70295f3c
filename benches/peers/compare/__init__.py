"""Times convlow beside other libraries: problems, engines, turns, report."""
