"""What firmware code imports from `micropython`, for CPython: every decorator is the identity."""


def const(value):
    return value


def native(function):
    return function


def viper(function):
    return function


def opt_level(level=None):
    return 0 if level is None else None


def mem_info(verbose=None):
    return None
