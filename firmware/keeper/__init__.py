"""The keeper: the one process that may do to the box what only root can do.

It keeps the box's own settings (`kept`), applies them at its start and when they change, and does what the daemon
hands on to it over a socket of its own (`service`). What it can be asked is one table (`acts`); a room is a module with
its requests and what is done with them: `clock` (zone and time servers), `network`, `name`, `ssh`, `power`.

The root is read-only. What is kept lies under /data/system, for root alone; what of it the system's own services read
is made from that under /run, so that nothing applied outlives a boot and a box whose data cannot be opened starts with
the image's own settings.
"""
