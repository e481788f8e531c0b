"""How many replicas a deployment should run: the arithmetic of scaling. Pure.

Nothing here reads a clock, a socket or a file, and nothing here knows a spec, a fact or a service: plain
values come in, values with their reasons go out. So a decision can be made, explained, made again and tried
on another day's load by the same functions.

Units, everywhere in this folder:

- a time is a number of seconds on one clock, whichever the caller has (`now`, `at`, `..._at`, `..._since`),
  and an age or a length is a number of seconds (`..._s`);
- a measured amount is a whole number of thousandths of its unit: 250 is a quarter of a core. A request
  duration is a whole number of microseconds, because thousandths of a second are too coarse for an average;
- a percentage is a number (`..._percent`), a ratio is measured over target, so 1.0 is on target;
- `None` is missing, which is never 0.

`hpa.py` is the algorithm of Kubernetes' HorizontalPodAutoscaler, `concurrency.py` that of Knative's KPA;
conditions and reasons have the names that those publish. Where a rule is our own, its docstring says so.
"""
