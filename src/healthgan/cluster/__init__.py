"""The jobs of a study on the nodes of a Ray cluster; what they give is what worker processes give.

``connection`` finds or starts the cluster, ``driver`` hands out the jobs and writes the run folder, ``node`` is what
runs on the nodes. Ray is imported when a cluster is asked for, and not before.
"""
