"""Figures that need the whole graph: totals, what strides leave unread, warnings, expectations.

Memory, receptive fields and the symbolic questions of fit come to this room as they are built.
"""
