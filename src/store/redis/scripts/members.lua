-- KEYS: an owner's list. The ids on it.
return unwritten(redis.call('ZRANGE', KEYS[1], 0, -1))
