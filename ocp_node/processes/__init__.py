"""Child processes: started, watched, limited and ended in one place, for every surface alike; the only user of `subprocess`.

`engine.py` is what rooms use; `records.py` what they hand over and get back.  Inside: `spawn.py` makes a child, `child.py` is
one child from start to end, `tree.py` is everything a child has brought to life, `capture.py`, `kept.py` and `outputfile.py` take
its output, `usage.py`, `marks.py`, `cgroup.py` and `orphans.py` read and write what the kernel knows, `rules.py` decides.
"""
