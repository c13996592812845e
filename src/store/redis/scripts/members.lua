-- KEYS: an owner's list. Returns the ids on it.
return unwritten(redis.call('ZRANGE', KEYS[1], 0, -1))
