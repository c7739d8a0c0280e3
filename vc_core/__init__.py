"""The laws of vchat: protocols and cryptography as pure functions and machines.

Nothing in this package touches the world. Time is an argument ``now``
(monotonic seconds as a float), chance is an argument ``rng`` (a function from
a count to that many random bytes). Bytes and facts go in, commands and events
come out.
"""
