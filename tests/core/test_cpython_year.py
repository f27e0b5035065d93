"""A year of simulated time: renewals, outages, restarts, loss, other addresses. No leak, nothing
stuck."""

import gc

from keeping import World

HOUR = 3_600_000
DAY = 24 * HOUR


def year(seed: int, roles: tuple[str, str]) -> World:
    world = World(seed, roles, loss=1, lifetime=28800, dpd=3600)
    dice = world.dice
    objects = 0
    for day in range(365):
        world.run(day * DAY + dice.below(DAY // 2))
        trouble = dice.below(10)
        if trouble == 0:  # the line is cut, for a minute to some hours
            world.cut = True
            world.run(world.clock.now + 60000 + dice.below(6 * HOUR))
            world.cut = False
        elif trouble == 1:
            world.boot(dice.choice("ir"))
        elif trouble == 2:  # both, as after a power cut
            world.boot("i")
            world.boot("r")
        elif trouble == 3:  # a bad line for hours
            world.loss = 30
            world.run(world.clock.now + dice.below(6 * HOUR))
            world.loss = 1
        elif trouble == 4:  # another address by DHCP, or the gateway moves
            world.move(dice.choice("ir"))
        world.run((day + 1) * DAY)
        assert len(world.common()) >= 1, f"day {day}: down"
        for engine in world.engines.values():
            assert len(engine.sas) <= 3, f"day {day}: {[sa.state for sa in engine.sas]}"
        del world.log[:]
        if day == 30:
            gc.collect()
            objects = len(gc.get_objects())
    gc.collect()
    assert len(gc.get_objects()) < objects + 300
    return world


def test_a_branch_and_its_head_office() -> None:
    world = year(1, ("initiator", "responder"))
    assert world.up_ms > 0.97 * 365 * DAY


def test_two_ends_that_both_initiate() -> None:
    world = year(2, ("both", "both"))
    assert world.up_ms > 0.97 * 365 * DAY
